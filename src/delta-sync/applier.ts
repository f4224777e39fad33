/**
 * Applier: the one loop that turns the replication stream into batches.
 *
 * A1  A batch holds whole transactions; it is committed at once when nothing more waits, and
 *     at the latest after BATCH_MS_MAX or BATCH_ROWS_MAX, at a transaction's end.
 * A2  A transaction is applied to a table once: not again when the lake has it (lakeLsn), nor
 *     when it was applied before the stream was lost.
 * A3  A table that cannot go on stops alone; the others go on.
 * A4  When the stream is lost in the middle of a transaction the loop throws, and the mirror
 *     begins again from the lake.
 */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { LSN_ZERO, maxLsn, parseLsn, type Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import type { DdlMessage, RelationColumn, ReplicationMessage } from '../mirror/replication.ts'
import type { Batch } from './batch.ts'
import type { MirrorTables } from './mirror-tables.ts'
import type { Progress } from './progress.ts'
import type { TableKeeper } from './table-keeper.ts'

const BATCH_MS_MAX = 15
const BATCH_ROWS_MAX = 20_000
/** PostgreSQL may show a commit later than it sends it, but not by this many transactions. */
const RECENT_MAX = 65_536
/** Rows of an unfinished transaction that are held before they are sent. */
const SPILL_ROWS = 50_000

export interface ApplierOptions {
  readonly tables: MirrorTables
  readonly batch: Batch
  readonly keeper: TableKeeper
  readonly progress: Progress
  readonly clock: Clock
  readonly logger: Logger
  /** A flush was asked for in SQL: everything up to `lsn` shall be durable soon. */
  readonly onFlushRequest: (lsn: Lsn) => void
  /** Called before each batch: waits while the tail is too large. */
  readonly throttle: () => Promise<void>
}

interface OpenTransaction {
  readonly xid: number
  readonly finalLsn: Lsn
  readonly commitTimeUs: bigint
  /** A2: all of it was applied before. */
  readonly skip: boolean
}

export class Applier {
  readonly #options: ApplierOptions
  readonly #relations = new Map<Oid, readonly RelationColumn[]>()
  #transaction: OpenTransaction | null = null
  #held: Disposable | null = null
  #pendingLsn: Lsn = LSN_ZERO
  #batchSince = 0
  /** The last RECENT_MAX transactions, by xid: their number in the stream. */
  readonly #recent = new Map<number, number>()
  #delivered = 0

  constructor(options: ApplierOptions) {
    this.#options = options
  }

  /** The columns that the stream last described for the table. */
  relation(relid: Oid): readonly RelationColumn[] | null {
    return this.#relations.get(relid) ?? null
  }

  /** How many transactions the stream has delivered. */
  get delivered(): number { return this.#delivered }

  /** Whether the transaction came as one of the first `before`, and not long ago. */
  wasDelivered(xid: number, before: number): boolean {
    return (this.#recent.get(xid) ?? Infinity) < before
  }

  /** A4. Ends when the stream does. Batches that are whole are committed in either case. */
  async run(stream: AsyncIterable<readonly ReplicationMessage[]>): Promise<void> {
    const iterator = stream[Symbol.asyncIterator]()
    try {
      let next = iterator.next()
      for (;;) {
        const result = await next
        if (result.done === true) break
        next = iterator.next()
        // Its failure is met at the next turn; until then it must not count as unhandled.
        next.catch(() => {})
        await this.#take(result.value, next)
      }
    } finally {
      if (this.#transaction === null) {
        await this.#commit(false)
      } else {
        this.#options.batch.abandon()
        this.#release()
      }
    }
  }

  /** True when nothing of an unfinished transaction has been taken. */
  get atBoundary(): boolean {
    return this.#transaction === null
  }

  async #take(messages: readonly ReplicationMessage[], next: Promise<unknown>): Promise<void> {
    for (const message of messages) {
      if (this.#held === null) {
        await this.#options.throttle()
        this.#held = await this.#options.batch.acquire()
        this.#batchSince = this.#options.clock.now()
      }
      const work = this.#handle(message)
      if (work !== null) await work
      if (this.#transaction === null ? this.#isFull() : this.#isHuge()) {
        if (this.#transaction === null) await this.#commit(false)
        else await this.#options.batch.spill()
      }
    }
    if (this.#transaction !== null || this.#held === null) return
    const more = await settledSoon(next)
    if (!more || this.#isFull()) await this.#commit(!more)
  }

  #isFull(): boolean {
    const { batch, clock } = this.#options
    return clock.now() - this.#batchSince >= BATCH_MS_MAX || batch.pendingRows >= BATCH_ROWS_MAX
  }

  #isHuge(): boolean {
    return this.#options.batch.pendingRows >= SPILL_ROWS
  }

  async #commit(current: boolean): Promise<void> {
    if (this.#held === null) return
    const { batch, progress } = this.#options
    try {
      await batch.commit(maxLsn(this.#pendingLsn, progress.applied))
      progress.advance(this.#pendingLsn, current)
    } finally {
      this.#release()
    }
  }

  #release(): void {
    this.#held?.[Symbol.dispose]()
    this.#held = null
  }

  /** null when done; a promise when DuckDB has to be asked on the way. */
  #handle(message: ReplicationMessage): Promise<void> | null {
    switch (message.kind) {
      case 'begin':
        this.#transaction = { xid: message.xid, finalLsn: message.finalLsn,
          commitTimeUs: message.commitTimeUs,
          skip: message.finalLsn < this.#options.progress.applied }
        this.#remember(message.xid)
        return null
      case 'commit':
        this.#transaction = null
        this.#pendingLsn = maxLsn(this.#pendingLsn, message.endLsn)
        return null
      case 'keepalive':
        if (this.#transaction === null) {
          this.#pendingLsn = maxLsn(this.#pendingLsn, message.walEnd)
        }
        return null
      case 'relation':
        this.#relations.set(message.relid, message.columns)
        return this.#change(message.relid, message)
      case 'insert': case 'update': case 'delete': return this.#change(message.relid, message)
      case 'truncate': return this.#truncate(message)
      case 'message': return this.#message(message)
      case 'other': return null
    }
  }

  #remember(xid: number): void {
    this.#recent.set(xid, this.#delivered++)
    if (this.#recent.size <= RECENT_MAX) return
    for (const oldest of this.#recent.keys()) {
      this.#recent.delete(oldest)
      break
    }
  }

  #change(relid: Oid, message: ReplicationMessage): Promise<void> | null {
    const table = this.#options.tables.get(relid)
    const transaction = this.#transaction
    if (table === null || table.state.kind === 'errored') return null
    if (message.kind !== 'relation') {
      if (transaction === null || transaction.skip) return null
      if (transaction.finalLsn < table.lakeLsn) return null
    }
    const change = { xid: transaction?.xid ?? 0, message,
      commitTimeUs: transaction?.commitTimeUs ?? 0n }
    if (table.spool !== null) {
      table.spool.add(change)
      return null
    }
    return this.#options.keeper.apply(table, change)
  }

  async #truncate(message: Extract<ReplicationMessage, { kind: 'truncate' }>): Promise<void> {
    for (const relid of message.relids) await this.#change(relid, message)
  }

  #message(message: Extract<ReplicationMessage, { kind: 'message' }>): Promise<void> | null {
    if (!message.transactional) {
      // Not inside a transaction on the wire: everything before it has been sent.
      if (this.#transaction === null) this.#pendingLsn = maxLsn(this.#pendingLsn, message.lsn)
      if (message.prefix === 'slipway.flush') this.#options.onFlushRequest(flushTarget(message))
      return null
    }
    if (message.prefix !== 'slipway.ddl' || this.#transaction === null) return null
    const transaction = this.#transaction
    if (transaction.skip) return null
    const ddl = parseDdl(message.content)
    if (ddl === null) {
      this.#options.logger.error('a DDL message in the WAL is not of our form')
      return null
    }
    return this.#options.keeper.ddl(ddl, message, transaction)
  }
}

/** Whether the stream has more at hand: then a batch may wait for it. */
async function settledSoon(next: Promise<unknown>): Promise<boolean> {
  const turn = new Promise<false>((resolve) => { setImmediate(() => { resolve(false) }) })
  return await Promise.race([next.then(() => true, () => true), turn])
}

function parseDdl(content: Buffer): DdlMessage | null {
  try {
    const message = JSON.parse(content.toString('utf8')) as DdlMessage
    return message.op === 'table' || message.op === 'drop' ? message : null
  } catch {
    return null
  }
}

/** The LSN that the caller waits for; any role may send the message, with any content. */
function flushTarget(message: { readonly lsn: Lsn; readonly content: Buffer }): Lsn {
  try {
    return parseLsn(message.content.toString('latin1'))
  } catch {
    return message.lsn
  }
}
