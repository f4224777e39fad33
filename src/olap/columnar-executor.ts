/**
 * ColumnarExecutor: runs a plan over the mirror at one LSN.
 *
 * CE1  What is read is one state of the whole database, at or above the LSN asked for, unless
 *      an older one was allowed.
 * CE2  Rows come as they are made, as fast as they are taken.
 * CE3  Disposing of an answer, taken to its end or not, gives its connection back.
 * CE4  When the signal aborts the statement stops, and the chunks end with its reason.
 * CE5  An answer whose statement fails midway throws; it never ends early in silence.
 */
import type { DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import type { Clock } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import { maxLsn, type Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import type { Epoch } from '../mirror/epoch.ts'
import { qualifiedName, type TableSchema } from '../mirror/table-schema.ts'
import type { ColumnarPlan } from '../router/plan.ts'
import { ConnectionPool, type PooledConnection } from './connection-pool.ts'
import type { DuckDb } from './duckdb.ts'
import type { EpochRegistry } from './epoch-registry.ts'
import { beginPinned } from './live-pin.ts'
import { literal } from './sql-text.ts'
import { unionRead } from './union-read.ts'
import { wholeStream } from './whole-stream.ts'

/** How often a statement that shall stop is told so. */
const INTERRUPT_EVERY_MS = 20

/** What the executor needs of the mirror; delta-sync's Mirror and Progress have it. */
export interface AppliedProgress {
  readonly applied: Lsn
  /** Milliseconds since everything that PostgreSQL had sent was applied. */
  ageMs(): number
  waitFor(lsn: Lsn, options: { readonly timeoutMs: number; readonly signal: AbortSignal })
    : Promise<void>
}

export interface TableStates {
  get(relid: Oid): { readonly schema: TableSchema
    readonly state: { readonly kind: string; readonly reason?: string }
    readonly tailRows: number } | null
}

export interface ExecuteRequest {
  readonly parts: ColumnarPlan['parts']
  readonly timeZone: string
  readonly readLsn: Lsn
  /** null: nothing older than readLsn. */
  readonly maxStalenessMs: number | null
  /** For the wait until readLsn is applied. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface ScanReport {
  readonly filesRead: number
  readonly filesPruned: number
  readonly tailRows: number
}

export interface ColumnarAnswer extends AsyncDisposable {
  readonly readLsn: Lsn
  readonly waitedMs: number
  readonly sql: string
  readonly scan: ScanReport
  readonly columnTypes: readonly DuckDBType[]
  readonly chunks: AsyncIterable<DuckDBDataChunk>
}

export class ColumnarExecutor implements AsyncDisposable {
  readonly #registry: EpochRegistry
  readonly #progress: AppliedProgress
  readonly #tables: TableStates
  readonly #clock: Clock
  readonly #pool: ConnectionPool

  constructor(options: {
    readonly duckdb: DuckDb
    readonly registry: EpochRegistry
    readonly progress: AppliedProgress
    readonly tables: TableStates
    readonly clock: Clock
    /** Statements that run at once. */
    readonly concurrency: number
    /** Statements that may wait for their turn. */
    readonly queueMax: number
  }) {
    this.#registry = options.registry
    this.#progress = options.progress
    this.#tables = options.tables
    this.#clock = options.clock
    this.#pool = new ConnectionPool(options.duckdb,
      { size: options.concurrency, queueMax: options.queueMax })
  }

  /** null unless the table is ready. */
  schema(relid: Oid): TableSchema | null {
    return this.#registry.current?.tables.get(relid)?.schema ?? null
  }

  /** Why `schema` is null, in words. */
  refusal(relid: Oid): string {
    const table = this.#tables.get(relid)
    if (table === null) return `the table with OID ${relid} is not mirrored`
    const name = qualifiedName(table.schema)
    const { kind, reason } = table.state
    return reason === undefined ? `table ${name} is not ready (${kind})`
      : `mirroring of table ${name} is suspended: ${reason}`
  }

  /** CE1. Throws `freshness-timeout`, `table-not-mirrored`, DuckDB's error, the signal's reason. */
  async execute(request: ExecuteRequest): Promise<ColumnarAnswer> {
    const began = this.#clock.now()
    await this.#reach(request)
    const waitedMs = this.#clock.now() - began
    const floor = this.#progress.applied
    const connection = await this.#pool.take(request.signal)
    const disarm = interruptOnAbort(connection, request.signal)
    let inTransaction = false
    const release = async (): Promise<void> => {
      disarm()
      await this.#release(connection, inTransaction)
    }
    try {
      await setTimeZone(connection, request.timeZone)
      inTransaction = true
      const pinned = await beginPinned(connection.statements, this.#registry)
      const { sql, filesRead, filesPruned, relids } = compose(request.parts, pinned.epoch)
      const result = await connection.duckdb.stream(sql)
      const chunks = wholeStream(result, connection.statements.check)
      return new Answer({ chunks, columnTypes: result.columnTypes(), sql, waitedMs,
        readLsn: maxLsn(pinned.lsn, floor), signal: request.signal, release,
        scan: { filesRead, filesPruned, tailRows: this.#tailRows(relids) } })
    } catch (error) {
      await release()
      request.signal.throwIfAborted()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]()
  }

  /** As of now, which may be a batch later than what is read: a figure to show, no more. */
  #tailRows(relids: ReadonlySet<Oid>): number {
    let rows = 0
    for (const relid of relids) rows += this.#tables.get(relid)?.tailRows ?? 0
    return rows
  }

  async #reach(request: ExecuteRequest): Promise<void> {
    const { readLsn, maxStalenessMs, timeoutMs, signal } = request
    if (this.#progress.applied >= readLsn) return
    if (maxStalenessMs !== null && this.#progress.ageMs() <= maxStalenessMs) return
    await this.#progress.waitFor(readLsn, { timeoutMs, signal })
  }

  async #release(connection: PooledConnection, inTransaction: boolean): Promise<void> {
    try {
      // Whatever still runs for an answer that was not taken to its end.
      connection.duckdb.interrupt()
      if (inTransaction) await connection.statements.end.run()
      this.#pool.give(connection, true)
    } catch {
      // BEGIN itself may have failed; such a connection is not used again.
      this.#pool.give(connection, false)
    }
  }
}

/** CE4. Returns what ends it. */
function interruptOnAbort(connection: PooledConnection, signal: AbortSignal): () => void {
  let again: NodeJS.Timeout | null = null
  const abort = (): void => {
    connection.duckdb.interrupt()
    // DuckDB forgets an interrupt that comes between two statements, or before one has begun.
    again = setInterval(() => { connection.duckdb.interrupt() }, INTERRUPT_EVERY_MS)
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return () => {
    signal.removeEventListener('abort', abort)
    if (again !== null) clearInterval(again)
  }
}

async function setTimeZone(connection: PooledConnection, timeZone: string): Promise<void> {
  if (connection.timeZone === timeZone) return
  await connection.duckdb.run(`SET TimeZone = ${literal(timeZone)}`)
  connection.timeZone = timeZone
}

function compose(parts: ColumnarPlan['parts'], epoch: Epoch): { readonly sql: string
  readonly filesRead: number; readonly filesPruned: number; readonly relids: ReadonlySet<Oid> } {
  let filesRead = 0
  let filesPruned = 0
  const relids = new Set<Oid>()
  const sql = parts.map((part) => {
    if (typeof part === 'string') return part
    const table = epoch.tables.get(part.relid)
    if (table === undefined) {
      throw new SlipwayError('table-not-mirrored', 'a table of the statement is not mirrored now')
    }
    const read = unionRead(table, part)
    filesRead += read.filesRead
    filesPruned += read.filesPruned
    relids.add(part.relid)
    return read.sql
  }).join('')
  return { sql, filesRead, filesPruned, relids }
}

class Answer implements ColumnarAnswer {
  readonly readLsn: Lsn
  readonly waitedMs: number
  readonly sql: string
  readonly scan: ScanReport
  readonly columnTypes: readonly DuckDBType[]
  readonly chunks: AsyncIterable<DuckDBDataChunk>
  readonly #release: () => Promise<void>
  #released: Promise<void> | null = null

  constructor(options: { readonly chunks: AsyncIterable<DuckDBDataChunk>
    readonly columnTypes: readonly DuckDBType[]; readonly sql: string
    readonly waitedMs: number; readonly readLsn: Lsn; readonly scan: ScanReport
    readonly signal: AbortSignal; readonly release: () => Promise<void> }) {
    this.readLsn = options.readLsn
    this.waitedMs = options.waitedMs
    this.sql = options.sql
    this.scan = options.scan
    this.columnTypes = options.columnTypes
    this.chunks = this.#take(options.chunks, options.signal)
    this.#release = options.release
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#released ??= this.#release()
    await this.#released
  }

  /** CE2, CE3, CE4, CE5. */
  async * #take(chunks: AsyncIterable<DuckDBDataChunk>, signal: AbortSignal)
    : AsyncIterable<DuckDBDataChunk> {
    try {
      for await (const chunk of chunks) {
        signal.throwIfAborted()
        yield chunk
      }
      signal.throwIfAborted()
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      await this[Symbol.asyncDispose]()
    }
  }
}
