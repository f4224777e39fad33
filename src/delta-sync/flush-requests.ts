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
/** The caller waits for the WAL position before its message, which is at most this far below. */
const SLACK_BYTES = 256n

interface Request { readonly lsn: Lsn; readonly at: number; readonly tables: Set<MirroredTable> }

export class FlushRequests {
  readonly #tables: MirrorTables
  readonly #clock: Clock
  #waiting: Request[] = []

  constructor(options: { readonly tables: MirrorTables; readonly clock: Clock }) {
    this.#tables = options.tables
    this.#clock = options.clock
  }

  get isEmpty(): boolean { return this.#waiting.length === 0 }

  add(lsn: Lsn): void {
    this.#waiting.push({ lsn, at: this.#clock.now(),
      tables: new Set([...this.#tables.all()].filter((table) => this.#unsettled(table))) })
  }

  /** FR1. What of `lsn` may be confirmed; requests that it serves are done. */
  confirmable(lsn: Lsn): Lsn {
    const now = this.#clock.now()
    this.#waiting = this.#waiting.filter((request) => now - request.at < WAIT_MS_MAX
      && (request.lsn > lsn || [...request.tables].some((table) => this.#unsettled(table))))
    const first = this.#waiting[0]
    if (first === undefined || first.lsn > lsn) return lsn
    return first.lsn > SLACK_BYTES ? lsnFromBigint(first.lsn - SLACK_BYTES) : LSN_ZERO
  }

  #unsettled(table: MirroredTable): boolean {
    if (this.#tables.get(table.relid) !== table) return false
    return table.state.kind !== 'ready' && table.state.kind !== 'errored'
  }
}
