/**
 * Mirror: PostgreSQL's tables, live and in the lake, from start to stop.
 *
 * M1  After `start` the mirror follows PostgreSQL by itself; `stop` leaves nothing undone that
 *     a next start would not find and finish.
 * M2  A stream lost between transactions is taken up again; whatever else goes wrong in the
 *     loop ends the mirror, and `failed` says so: the engine starts anew from the lake.
 * M3  What is confirmed to the slot is durable in the lake (flusher.ts).
 */
import { join } from 'node:path'
import { Deferred } from '../base/deferred.ts'
import { sleep, type Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { maxLsn, type Lsn } from '../base/lsn.ts'
import { Mutex } from '../base/mutex.ts'
import { CheckpointWriter } from '../delta/checkpoint-writer.ts'
import type { ReplicationSource, TableStatusRow } from '../mirror/replication.ts'
import { Applier } from './applier.ts'
import { Batch } from './batch.ts'
import { COMPACTION, type CompactionPolicy } from './compaction-plan.ts'
import { Compactor } from './compactor.ts'
import { readConsistentPoint } from './consistent-point.ts'
import { Flusher } from './flusher.ts'
import { FlushRequests } from './flush-requests.ts'
import { KeyIndex } from './key-index.ts'
import { LakeFolders } from './lake-folders.ts'
import { LakeLoader } from './lake-loader.ts'
import type { LiveStorePort, ParquetFilesPort } from './live-store-port.ts'
import { MirrorTables } from './mirror-tables.ts'
import { Progress } from './progress.ts'
import { TableCopier } from './table-copier.ts'
import { TableKeeper } from './table-keeper.ts'
import { tableStatus } from './table-status.ts'

export interface MirrorOptions {
  readonly source: ReplicationSource
  readonly store: LiveStorePort
  readonly files: ParquetFilesPort
  /** `<data-dir>/lake/<database>`. */
  readonly lakeDirectory: string
  /** `<data-dir>/index`. */
  readonly indexDirectory: string
  /** For FIFOs and spools; DuckDB must be allowed to read it. */
  readonly workDirectory: string
  readonly flushIntervalMs: number
  /** A flush begins when this much was applied since the last. */
  readonly flushBytes: number
  /** Rows of a table that may change between two flushes; beyond them it is copied anew. */
  readonly layerRowsMax?: number
  /** Which files are rewritten; absent: COMPACTION. */
  readonly compaction?: CompactionPolicy
  readonly clock: Clock
  readonly logger: Logger
}

const STATUS_EVERY_MS = 500
const RECONNECT_MS = 200
const RECONNECTS_MAX = 50
const FLUSH_RETRY_MS_MIN = 500
const FLUSH_RETRY_MS_MAX = 30_000
/** Applied and not flushed, in multiples of flushBytes, before applying waits. */
const TAIL_FACTOR_MAX = 8
/** Far above what the tail's bound lets several transactions have: only one can reach it. */
const LAYER_ROWS_MAX = 5_000_000

export class Mirror {
  readonly progress: Progress
  readonly tables = new MirrorTables()
  readonly #options: MirrorOptions
  readonly #writing = new Mutex()
  readonly #compacting = new Mutex()
  readonly #batch: Batch
  readonly #folders: LakeFolders
  readonly #index: KeyIndex
  readonly #copier: TableCopier
  readonly #keeper: TableKeeper
  readonly #applier: Applier
  readonly #requests: FlushRequests
  readonly #compactor: Compactor
  readonly #stopping = new AbortController()
  readonly #failed = new Deferred<Error>()
  readonly #tasks: Promise<void>[] = []
  #flusher: Flusher | null = null
  #flushWanted = new Deferred<void>()
  #flushed = new Deferred<void>()
  #lakeFault: string | null = null
  #publishing: Promise<void> = Promise.resolve()

  constructor(options: MirrorOptions) {
    this.#options = options
    const { source, clock, logger, store } = options
    const { tables } = this
    this.progress = new Progress({ source, clock })
    this.#batch = new Batch({ store, tables })
    this.#requests = new FlushRequests({ tables, clock })
    this.#index = KeyIndex.open(options.indexDirectory)
    this.#folders = new LakeFolders({ root: options.lakeDirectory, writing: this.#writing, logger,
      appId: `slipway:${source.systemIdentifier}:${source.databaseOid}` })
    this.#copier = new TableCopier({ source, tables, batch: this.#batch,
      folders: this.#folders, index: this.#index, files: options.files, progress: this.progress,
      fifoDirectory: join(options.workDirectory, 'fifo'), logger,
      keeper: () => this.#keeper,
      missedBy: ({ inProgress }, table) => [...inProgress].some((xid) =>
        this.#applier.wasDelivered(Number(xid & 0xffffffffn), table.spoolSince)),
      onReady: () => { this.#wantFlushWhenAsked() },
      onFatal: (error) => { this.#fail(error) } })
    this.#keeper = new TableKeeper({ tables, batch: this.#batch, folders: this.#folders, logger,
      spoolDirectory: join(options.workDirectory, 'spool'),
      layerRowsMax: options.layerRowsMax ?? LAYER_ROWS_MAX,
      onCopyWanted: (table) => { this.#copier.want(table) },
      onCopyUnwanted: (table) => { this.#copier.unwant(table) },
      delivered: () => this.#applier.delivered,
      relation: (relid) => this.#applier.relation(relid) })
    this.#applier = new Applier({ tables, batch: this.#batch, keeper: this.#keeper,
      progress: this.progress, clock, logger,
      onFlushRequest: (lsn) => { this.#requests.add(lsn); this.#flushWanted.resolve() },
      throttle: () => this.#throttle() })
    this.#compactor = new Compactor({ tables, batch: this.#batch, progress: this.progress,
      files: options.files, writing: this.#writing, policy: options.compaction ?? COMPACTION,
      clock, logger })
  }

  /** One pass of the compactor; passes are never made at the same time. */
  async compact(): Promise<void> {
    await this.#compacting.run(() => this.#compactor.run(this.#stopping.signal))
  }

  /** M2. Resolves with the reason when the mirror has ended by itself. */
  get failed(): Promise<Error> { return this.#failed.promise }

  /** Everything that ends at or below it is durable. */
  get durable(): Lsn | null { return this.#flusher?.confirmed ?? null }

  /** M1. Loads the lake; tables become ready a little later, when the stream has caught up. */
  async start(): Promise<void> {
    const { source, lakeDirectory, logger } = this.#options
    const confirmed = await source.confirmedLsn()
    const point = await readConsistentPoint(lakeDirectory)
    const trusted = point === null || confirmed <= point.lsn
    if (!trusted) logger.warn('the replication slot is not the lake\'s: all tables are copied anew')
    const loader = new LakeLoader({ tables: this.tables, batch: this.#batch,
      keeper: this.#keeper, folders: this.#folders, index: this.#index,
      files: this.#options.files, logger })
    const highest = await loader.load(await source.describeTables(), trusted)
    this.#flusher = new Flusher({ tables: this.tables, batch: this.#batch,
      keeper: this.#keeper, folders: this.#folders, progress: this.progress,
      checkpoints: new CheckpointWriter(), writing: this.#writing, clock: this.#options.clock,
      logger, confirm: (lsn) => { source.confirm(lsn) },
      confirmable: (lsn) => this.#requests.confirmable(lsn),
      beforeConfirm: () => this.#publishStatus() }, confirmed)
    this.progress.advance(confirmed, false)
    this.#task(this.#follow(confirmed))
    this.#task(this.#becomeReady(maxLsn(highest, confirmed)))
    this.#task(this.#flushLoop(this.#flusher))
    this.#task(this.#statusLoop())
    this.#task(this.#compactLoop())
  }

  /** One flush now; resolves when everything applied before the call is durable. */
  async flush(): Promise<Lsn> {
    if (this.#flusher === null) throw new Error('invariant broken: flush comes after start')
    return await this.#flusher.flush()
  }

  /** M1. Applied changes that are not flushed are in PostgreSQL's WAL still. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#flushWanted.resolve()
    this.#flushed.resolve()
    await this.#copier.stop()
    await Promise.all(this.#tasks)
    await this.#writing.run(() => Promise.resolve())
    this.#folders[Symbol.dispose]()
    await this.#index[Symbol.asyncDispose]()
  }

  status(): readonly TableStatusRow[] {
    return [...this.tables.all()].map((table) => tableStatus(table, {
      folders: this.#folders, applied: this.progress.applied,
      durable: this.#flusher?.confirmed ?? this.progress.applied, lakeFault: this.#lakeFault }))
  }

  /** M2. */
  async #follow(from: Lsn): Promise<void> {
    const { source, logger } = this.#options
    const { signal } = this.#stopping
    let start = from
    for (let attempt = 0; !signal.aborted; attempt++) {
      const before = this.progress.applied
      try {
        await this.#applier.run(source.stream(start, signal))
      } catch (error) {
        if (!this.#applier.atBoundary || attempt >= RECONNECTS_MAX || !isLoss(error)) throw error
        logger.warn({ err: error }, 'the replication stream was lost; taking it up again')
      }
      if (signal.aborted) return
      if (this.progress.applied > before) attempt = 0
      start = maxLsn(start, this.progress.applied)
      await sleep(RECONNECT_MS, signal)
    }
  }

  /** LL1: all tables of the lake at once, when the stream has passed the last of them. */
  async #becomeReady(barrier: Lsn): Promise<void> {
    const { signal } = this.#stopping
    try {
      await this.progress.waitFor(barrier, { timeoutMs: null, signal })
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    await this.#batch.run(async () => {
      for (const table of this.tables.all()) {
        if (table.state.kind === 'catching-up' && table.spool === null) {
          table.move({ kind: 'caught-up' })
        }
      }
      await this.#batch.commit(this.progress.applied)
    })
  }

  async #flushLoop(flusher: Flusher): Promise<void> {
    const { signal } = this.#stopping
    let retryMs = 0
    while (!signal.aborted) {
      await this.#pause(retryMs > 0 ? retryMs : this.#options.flushIntervalMs, retryMs > 0)
      if (signal.aborted) return
      this.#flushWanted = new Deferred()
      try {
        await flusher.flush()
        retryMs = 0
        this.#lakeFault = null
        this.#flushed.resolve()
        this.#flushed = new Deferred()
      } catch (error) {
        if (flusher.broken) throw error
        retryMs = Math.min(Math.max(retryMs * 2, FLUSH_RETRY_MS_MIN), FLUSH_RETRY_MS_MAX)
        this.#lakeFault = lakeFault(error)
        this.#options.logger.error({ err: error, retryMs }, 'a flush failed')
      }
    }
  }

  /** After each flush; one that fails halfway ends the mirror (CO4). */
  async #compactLoop(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#flushed.promise
      if (!signal.aborted) await this.compact()
    }
  }

  /** Until the interval is over, or a flush is wanted; a failed one is not hurried. */
  async #pause(ms: number, failed: boolean): Promise<void> {
    const wake = new AbortController()
    const { signal } = this.#stopping
    const over = (): void => { wake.abort() }
    signal.addEventListener('abort', over, { once: true })
    if (!failed) void this.#flushWanted.promise.then(over)
    await sleep(ms, wake.signal)
    signal.removeEventListener('abort', over)
  }

  #wantFlushWhenAsked(): void {
    if (!this.#requests.isEmpty) this.#flushWanted.resolve()
  }

  /** Waits while far more is applied than flushed: memory is bounded, the WAL waits. */
  async #throttle(): Promise<void> {
    const { flushBytes } = this.#options
    if (this.#tailBytes() > flushBytes) this.#flushWanted.resolve()
    while (!this.#stopping.signal.aborted && this.#tailBytes() > flushBytes * TAIL_FACTOR_MAX) {
      await this.#flushed.promise
    }
  }

  #tailBytes(): number {
    let bytes = 0
    for (const table of this.tables.all()) {
      bytes += table.layer.weight + (table.frozen?.weight ?? 0)
    }
    return bytes
  }

  async #statusLoop(): Promise<void> {
    const { signal } = this.#stopping
    let last = ''
    while (!signal.aborted) {
      await sleep(STATUS_EVERY_MS, signal)
      if (signal.aborted) return
      const now = JSON.stringify(this.status().map((row) => ({ ...row,
        appliedLsn: String(row.appliedLsn), durableLsn: String(row.durableLsn) })))
      if (now === last) continue
      last = now
      await this.#publishStatus().catch((error: unknown) => {
        this.#options.logger.debug({ err: error }, 'slipway.tables could not be brought up to date')
      })
    }
  }

  #publishStatus(): Promise<void> {
    const next = this.#publishing.catch(() => {})
      .then(() => this.#options.source.publishStatus(this.status()))
    this.#publishing = next
    return next
  }

  #task(work: Promise<void>): void {
    this.#tasks.push(work.catch((error: unknown) => { this.#fail(error) }))
  }

  #fail(error: unknown): void {
    if (this.#stopping.signal.aborted) return
    const reason = error instanceof Error ? error : new Error('the mirror stopped')
    this.#options.logger.error({ err: reason }, 'the mirror has stopped')
    this.#stopping.abort()
    this.#flushWanted.resolve()
    this.#flushed.resolve()
    this.progress.fail(reason)
    this.#failed.resolve(reason)
  }
}

function isLoss(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'postgres-unreachable'
}

function lakeFault(error: unknown): string {
  const code = (error as { readonly code?: unknown }).code
  return code === 'ENOSPC' ? 'the lake cannot be written: the disk is full'
    : `the lake cannot be written: ${typeof code === 'string' ? code : 'see the engine\'s log'}`
}
