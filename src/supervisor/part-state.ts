/**
 * PartState: the life of one child process (postgres, engine, a gateway).
 *
 *   starting -> ready -> waiting -> starting …      a part that dies is started again
 *        \________\________> stopping -> stopped    when the supervisor ends
 *
 * S1  The next state is a pure function of state and event; the switch below is total.
 * S2  Restarts back off from 100 ms to 5 s and begin anew after a minute of health.
 */
export type PartState =
  | { readonly kind: 'starting'; readonly failures: number }
  | { readonly kind: 'ready'; readonly failures: number; readonly sinceMs: number }
  | { readonly kind: 'waiting'; readonly failures: number; readonly untilMs: number }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'stopped' }

export type PartEvent =
  | { readonly kind: 'ready'; readonly nowMs: number }
  | { readonly kind: 'exited'; readonly nowMs: number }
  | { readonly kind: 'wake' }
  | { readonly kind: 'stop' }

const FIRST_DELAY_MS = 100
const DELAY_MAX_MS = 5_000
const HEALTHY_AFTER_MS = 60_000

export const PART_START: PartState = { kind: 'starting', failures: 0 }

export function nextPartState(state: PartState, event: PartEvent): PartState {
  switch (event.kind) {
    case 'ready':
      return state.kind === 'starting'
        ? { kind: 'ready', failures: state.failures, sinceMs: event.nowMs }
        : state
    case 'exited': return afterExit(state, event.nowMs)
    case 'wake':
      return state.kind === 'waiting' ? { kind: 'starting', failures: state.failures } : state
    case 'stop':
      return state.kind === 'waiting' || state.kind === 'stopped'
        ? { kind: 'stopped' }
        : { kind: 'stopping' }
  }
}

function afterExit(state: PartState, nowMs: number): PartState {
  switch (state.kind) {
    case 'stopping': case 'stopped': return { kind: 'stopped' }
    case 'waiting': return state
    case 'starting': return waiting(state.failures + 1, nowMs)
    case 'ready': {
      const healthy = nowMs - state.sinceMs >= HEALTHY_AFTER_MS
      return waiting(healthy ? 1 : state.failures + 1, nowMs)
    }
  }
}

function waiting(failures: number, nowMs: number): PartState {
  const delay = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** (failures - 1))
  return { kind: 'waiting', failures, untilMs: nowMs + delay }
}
