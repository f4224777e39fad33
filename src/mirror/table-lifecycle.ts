/**
 * TableLifecycle: where a mirrored table stands, and who moves it on.
 *
 *   init -> copying -> catching-up -> ready <-> errored
 *
 * T1  Only a `ready` table is read by routed queries.
 * T2  A change of state is a function of (state, event); the table below is total.
 */
export type TableState =
  /** Known, nothing done yet: waits for a copy slot. */
  | { readonly kind: 'init' }
  /** The initial copy runs; `rows` copied so far. */
  | { readonly kind: 'copying'; readonly rows: number }
  /** Copied; changes that came meanwhile are being applied. */
  | { readonly kind: 'catching-up' }
  | { readonly kind: 'ready' }
  /** Mirroring is suspended; `reason` and `cure` are shown in slipway.tables. */
  | { readonly kind: 'errored'; readonly reason: string; readonly cure: string }

export type TableEvent =
  | { readonly kind: 'copy-started' }
  | { readonly kind: 'copy-progress'; readonly rows: number }
  | { readonly kind: 'copy-done' }
  | { readonly kind: 'caught-up' }
  | { readonly kind: 'failed'; readonly reason: string; readonly cure: string }
  /** The table must be copied anew: a rewrite, a type change, slipway.include. */
  | { readonly kind: 'restart' }

/** The next state, or null when the event cannot happen in this state. */
export function nextTableState(state: TableState, event: TableEvent): TableState | null {
  switch (event.kind) {
    case 'failed': return { kind: 'errored', reason: event.reason, cure: event.cure }
    case 'restart': return { kind: 'init' }
    case 'copy-started': return state.kind === 'init' ? { kind: 'copying', rows: 0 } : null
    case 'copy-progress':
      return state.kind === 'copying' ? { kind: 'copying', rows: event.rows } : null
    case 'copy-done': return state.kind === 'copying' ? { kind: 'catching-up' } : null
    case 'caught-up': return state.kind === 'catching-up' ? { kind: 'ready' } : null
  }
}
