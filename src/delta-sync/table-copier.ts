/**
 * TableCopier: the initial copy of tables, and their way from there to ready.
 *
 * TC1  A copy is one snapshot of PostgreSQL; of the changes that came meanwhile exactly those
 *      are applied that the snapshot does not show (copy-visibility.ts).
 * TC2  A table becomes ready at an applied LSN at or above its copy's: from then on it is at
 *      the same LSN as all others.
 * TC3  Nothing of a copy is in Delta's log before the flush that finds the table ready: a
 *      crash before that means copying anew.
 * TC4  At most COPIES_MAX copies run; one that fails is tried again, slower and slower, but
 *      for a value that cannot be mirrored, which suspends the table.
 */
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { LakeFile } from '../mirror/epoch.ts'
import type { CopyVisibility, ReplicationSource, TableCopy } from '../mirror/replication.ts'
import type { Batch } from './batch.ts'
import { isVisible } from './copy-visibility.ts'
import { CsvFeed, nonEmpty } from './csv-feed.ts'
import { fileColumns } from './file-columns.ts'
import { indexFile } from './file-indexer.ts'
import type { KeyIndex, TableIndex } from './key-index.ts'
import type { LakeFolders } from './lake-folders.ts'
import { freshNames, type LakeRecord } from './lake-schema.ts'
import { LakeTable } from './lake-table.ts'
import type { ParquetFilesPort } from './live-store-port.ts'
import type { MirroredTable, UncommittedFile } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'
import type { Progress } from './progress.ts'
import { schemaOf } from './table-description.ts'
import type { TableKeeper } from './table-keeper.ts'

const COPIES_MAX = 2
const RETRY_MS_MIN = 5
const RETRY_MS_MAX = 30_000
/** Rows applied in one go while catching up; the stream waits that long. */
const CATCH_UP_ROWS = 10_000

export interface TableCopierOptions {
  readonly source: ReplicationSource
  readonly tables: MirrorTables
  readonly batch: Batch
  readonly keeper: () => TableKeeper
  readonly folders: LakeFolders
  readonly index: KeyIndex
  readonly files: ParquetFilesPort
  readonly progress: Progress
  readonly fifoDirectory: string
  readonly logger: Logger
  /** TC1: the stream delivered a change before the table's spool began that is not in the copy. */
  readonly missedBy: (visibility: CopyVisibility, table: MirroredTable) => boolean
  /** A table became ready: its Delta table can be made. */
  readonly onReady: () => void
  /** The mirror itself cannot go on. */
  readonly onFatal: (error: unknown) => void
}

export class TableCopier {
  readonly #options: TableCopierOptions
  readonly #waiting: MirroredTable[] = []
  readonly #running = new Map<MirroredTable, { readonly abort: AbortController
    readonly done: Promise<void> }>()
  #stopped = false

  constructor(options: TableCopierOptions) {
    this.#options = options
  }

  /** Copies the table when its turn comes. */
  want(table: MirroredTable): void {
    this.#waiting.push(table)
    queueMicrotask(() => { this.#next() })
  }

  /** The table is gone or suspended. Does not wait. */
  unwant(table: MirroredTable): void {
    const at = this.#waiting.indexOf(table)
    if (at >= 0) this.#waiting.splice(at, 1)
    this.#running.get(table)?.abort.abort(new SlipwayError('not-found', 'the table is gone'))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#waiting.length = 0
    for (const { abort } of this.#running.values()) {
      abort.abort(new SlipwayError('engine-unreachable', 'the engine is stopping'))
    }
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  #next(): void {
    while (!this.#stopped && this.#running.size < COPIES_MAX) {
      const table = this.#waiting.shift()
      if (table === undefined) return
      const abort = new AbortController()
      const done = this.#untilDone(table, abort.signal).catch(this.#options.onFatal)
        .finally(() => {
          this.#running.delete(table)
          this.#next()
        })
      this.#running.set(table, { abort, done })
    }
  }

  /** TC4. */
  async #untilDone(table: MirroredTable, signal: AbortSignal): Promise<void> {
    const { logger, batch } = this.#options
    for (let pause = RETRY_MS_MIN; !signal.aborted; pause = Math.min(pause * 2, RETRY_MS_MAX)) {
      try {
        await this.#copy(table, signal)
        return
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof SlipwayError && error.code === 'value-unmirrorable') {
          await batch.run(async () => {
            if (!signal.aborted) {
              this.#options.keeper().suspend(table, { reason: error.message, cure: error.hint })
              await batch.commit(this.#options.progress.applied)
            }
          })
          return
        }
        // The stream may tell of a new table before PostgreSQL's snapshots show it; and of a
        // table that is gone it will tell soon, and call the copy off.
        const absent = error instanceof SlipwayError && error.code === 'not-found'
        logger[absent ? 'debug' : 'warn']({ relid: table.relid, err: error, pause },
          'a copy failed and will be tried again')
        await sleep(pause, signal)
        if (signal.aborted) return
        if (table.body === null) {
          table.move({ kind: 'restart' })
          continue
        }
        // Some of the spool is used up: another table object, with a spool of its own.
        await batch.run(async () => {
          if (!signal.aborted) this.#options.keeper().restart(table, table.schema)
          await batch.commit(this.#options.progress.applied)
        })
        return
      }
    }
  }

  async #copy(table: MirroredTable, signal: AbortSignal): Promise<void> {
    const { source, folders } = this.#options
    table.move({ kind: 'copy-started' })
    const copy = await source.copyTable(table.relid, signal)
    if (this.#options.missedBy(copy.visibility, table)) {
      copy.csv.destroy()
      await copy.close().catch(() => {})
      throw new SlipwayError('table-not-mirrored',
        'a transaction that was received already is not yet visible in PostgreSQL')
    }
    let files: readonly UncommittedFile[]
    const schema = schemaOf(copy.description)
    const record: LakeRecord = { incarnation: randomUUID(), table: schema,
      names: freshNames(schema), suspended: null }
    const lake = await folders.open(folders.folder(schema))
    const index = this.#options.index.openTable(record.incarnation)
    try {
      files = await this.#rows(copy, record, lake, index, signal)
    } catch (error) {
      copy.csv.destroy()
      await copy.close().catch(() => {})
      throw error
    }
    signal.throwIfAborted()
    await this.#settle(table, { record, lake, index, files })
    await this.#catchUp(table, copy, signal)
  }

  /** The snapshot's rows as files of the lake, known to the index, in no commit yet (TC3). */
  async #rows(copy: TableCopy, record: LakeRecord, lake: LakeTable, index: TableIndex,
    signal: AbortSignal): Promise<readonly UncommittedFile[]> {
    const csv = await nonEmpty(copy.csv as AsyncIterable<Buffer>)
    if (csv === null) {
      await copy.close()
      return []
    }
    const staged = await lake.stage('')
    const columns = LakeTable.parquetColumns(record)
    let written
    {
      await using feed = await CsvFeed.open(this.#options.fifoDirectory, csv)
      written = await this.#options.files.importCsv({ csvPath: feed.path, columns,
        directory: staged, signal })
      await feed.done
    }
    await copy.close()
    const files: UncommittedFile[] = []
    for (const one of written) {
      const name = await lake.adopt(one.path)
      files.push({ fileNo: await index.takeFileNo(), name, written: one })
    }
    await rm(staged, { recursive: true, force: true })
    for (const file of files) {
      signal.throwIfAborted()
      await indexFile({ files: this.#options.files, index, schema: record.table,
        path: lake.path(file.name), fileNo: file.fileNo, dead: null })
    }
    await index.register(files.map(({ fileNo, name }) => ({ fileNo, name })))
    return files
  }

  async #settle(table: MirroredTable, copied: { readonly record: LakeRecord
    readonly lake: LakeTable; readonly index: TableIndex
    readonly files: readonly UncommittedFile[] }): Promise<void> {
    const { batch, tables, progress } = this.#options
    await batch.run(async () => {
      const store = await batch.opened()
      const liveName = tables.liveName(table.relid)
      const deadName = tables.deadName(table.relid)
      await store.createLive(liveName, copied.record.table.columns)
      await store.createDead(deadName)
      table.settle({ ...copied, liveName, deadName, uncommitted: copied.files,
        files: copied.files.map((file) => lakeFile(file, copied.lake, copied.record)) })
      table.move({ kind: 'copy-done' })
      await batch.commit(progress.applied)
    })
  }

  /** TC1, TC2. */
  async #catchUp(table: MirroredTable, copy: TableCopy, signal: AbortSignal): Promise<void> {
    const { batch, progress, tables } = this.#options
    for (;;) {
      const spooled = await batch.run(() => this.#replay(table, copy, signal))
      if (spooled > 0) continue
      // The stream may be far behind: to copy again would not bring it nearer.
      await progress.waitFor(copy.lsn, { timeoutMs: null, signal })
      const ready = await batch.run(async () => {
        if (signal.aborted || tables.get(table.relid) !== table) return true
        if (await this.#replay(table, copy, signal) > 0) return false
        table.spool?.[Symbol.dispose]()
        table.spool = null
        table.move({ kind: 'caught-up' })
        await batch.commit(progress.applied)
        return true
      })
      if (ready) break
    }
    this.#options.onReady()
  }

  /** Applies some of the spool; how many changes it took. Within `batch.run`. */
  async #replay(table: MirroredTable, copy: TableCopy, signal: AbortSignal): Promise<number> {
    const { batch, progress } = this.#options
    let taken = 0
    while (taken < CATCH_UP_ROWS && !signal.aborted && table.spool !== null) {
      const changes = table.spool.take()
      if (changes.length === 0) break
      taken += changes.length
      for (const change of changes) {
        if (change.message.kind !== 'relation' && isVisible(copy.visibility, change.xid)) continue
        const work = this.#options.keeper().apply(table, change)
        if (work !== null) await work
        if (table.abandoned) break
      }
    }
    if (taken > 0) await batch.commit(progress.applied)
    return signal.aborted || table.abandoned ? 0 : taken
  }
}

function lakeFile(file: UncommittedFile, lake: LakeTable, record: LakeRecord): LakeFile {
  return { fileNo: file.fileNo, path: lake.path(basename(file.name)), rows: file.written.rows,
    sizeBytes: file.written.sizeBytes, hasDead: false,
    ...fileColumns(LakeTable.statsOf(file.written, record, true), record.table, record.names) }
}

