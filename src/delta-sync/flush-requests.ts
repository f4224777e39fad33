/**
 * FlushRequests: `slipway.flush()` calls that wait, seen from the mirror.
 *
 * FR1  Until each table that was being copied when the request came is ready or has given up,
 *      no LSN is confirmed that would end the wait; at most WAIT_MS_MAX long.
 */
import type { Clock } from '../base/clock.ts'
import { LSN_ZERO, lsnFromBigint, type Lsn } from '../base/lsn.ts'
import type { MirroredTable } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'

const WAIT_MS_MAX = 120_000

/** `target`: the caller waits until the slot is confirmed there. */
interface Request { readonly target: Lsn; readonly at: number; readonly tables: Set<MirroredTable> }

export class FlushRequests {
  readonly #tables: MirrorTables
  readonly #clock: Clock
  #waiting: Request[] = []

  constructor(options: { readonly tables: MirrorTables; readonly clock: Clock }) {
    this.#tables = options.tables
    this.#clock = options.clock
  }

  get isEmpty(): boolean { return this.#waiting.length === 0 }

  add(target: Lsn): void {
    this.#waiting.push({ target, at: this.#clock.now(),
      tables: new Set([...this.#tables.all()].filter((table) => this.#unsettled(table))) })
  }

  /** FR1. What of `lsn` may be confirmed; requests that it serves are done. */
  confirmable(lsn: Lsn): Lsn {
    const now = this.#clock.now()
    this.#waiting = this.#waiting.filter((request) => now - request.at < WAIT_MS_MAX
      && (request.target > lsn || [...request.tables].some((table) => this.#unsettled(table))))
    const targets = this.#waiting.map((request) => request.target)
      .filter((target) => target <= lsn && target > LSN_ZERO)
    return targets.reduce((least, target) =>
      target <= least ? lsnFromBigint(target - 1n) : least, lsn)
  }

  #unsettled(table: MirroredTable): boolean {
    if (this.#tables.get(table.relid) !== table) return false
    return table.state.kind !== 'ready' && table.state.kind !== 'errored'
  }
}
