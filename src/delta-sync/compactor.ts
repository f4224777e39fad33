/**
 * Compactor: rewrites small and holed files of the lake as one, while changes go on.
 *
 * CO1  The new file holds exactly the rows that the lake's version had: what died since in
 *      PostgreSQL is dead in the new file, by its deletion vector if the lake knows it already.
 * CO2  Rewriting holds nobody up. The commit and the exchange of files lie between two flushes,
 *      the exchange between two batches too, and readers see it as one epoch.
 * CO3  From the exchange on rows are found through the table's Relocation, until the key index
 *      names the new file. A crash before that costs reading the new file into the index.
 * CO4  What does not stand any more when it is to be committed (the table was truncated, copied
 *      anew, dropped) is given up. A failure between the commit and the exchange leaves the lake
 *      ahead of memory: `run` throws, and the mirror must begin again from the lake.
 * CO5  Files that no version of the table's retention needs are deleted, table by table, every
 *      VACUUM_EVERY_MS.
 */
import { rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { failpoint } from '../base/failpoint.ts'
import type { Logger } from '../base/logger.ts'
import type { Mutex } from '../base/mutex.ts'
import { rowOfPosition, rowPosition, fileOfPosition, type LakeFile } from '../mirror/epoch.ts'
import type { Batch } from './batch.ts'
import { planCompaction, type CompactableFile, type CompactionPolicy } from './compaction-plan.ts'
import { fileColumns } from './file-columns.ts'
import { LakeTable, type LakeCompaction } from './lake-table.ts'
import type { ParquetFilesPort, WrittenParquet } from './live-store-port.ts'
import type { MirroredTable, TableBody } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'
import type { Progress } from './progress.ts'
import { Relocation } from './relocation.ts'
import { rowKey, type RowKey } from './row-key.ts'

/** A table whose files could not be rewritten is left alone for so long. */
const RETRY_MS = 600_000
const VACUUM_EVERY_MS = 3_600_000
/** Rows of the key index that are brought up to date between two flushes. */
const INDEX_STEP = 20_000

export interface CompactorOptions {
  readonly tables: MirrorTables
  readonly batch: Batch
  readonly progress: Progress
  readonly files: ParquetFilesPort
  /** Held while the lake's folders are written. */
  readonly writing: Mutex
  readonly policy: CompactionPolicy
  readonly clock: Clock
  readonly logger: Logger
}

interface Source extends CompactableFile {
  readonly name: string
  readonly path: string
  /** What the lake said was dead when the plan was made; rising. */
  readonly dropped: readonly number[]
}

interface Plan {
  readonly table: MirroredTable
  readonly body: TableBody
  readonly sources: readonly Source[]
  readonly relocation: Relocation
}

export class Compactor {
  readonly #options: CompactorOptions
  readonly #retryAt = new WeakMap<MirroredTable, number>()
  readonly #vacuumedAt = new WeakMap<MirroredTable, number>()

  constructor(options: CompactorOptions) {
    this.#options = options
  }

  /** One pass over all tables, until none has anything to do. CO4. */
  async run(signal: AbortSignal): Promise<void> {
    for (const table of [...this.#options.tables.all()]) {
      while (!signal.aborted && await this.#compact(table, signal)) { /* again */ }
      if (!signal.aborted) await this.#vacuum(table)
    }
  }

  /** CO5. */
  async #vacuum(table: MirroredTable): Promise<void> {
    const { clock, logger, writing } = this.#options
    const { body, relid } = table
    if (table.state.kind !== 'ready' || body === null) return
    if (clock.now() - (this.#vacuumedAt.get(table) ?? -Infinity) < VACUUM_EVERY_MS) return
    this.#vacuumedAt.set(table, clock.now())
    try {
      const files = await writing.run(() => body.lake.vacuum(clock.now()))
      if (files > 0) logger.info({ relid, files }, 'files past their retention were deleted')
    } catch (error) {
      logger.warn({ relid, err: error }, 'old files could not be deleted')
    }
  }

  async #compact(table: MirroredTable, signal: AbortSignal): Promise<boolean> {
    const { clock, writing } = this.#options
    if ((this.#retryAt.get(table) ?? 0) > clock.now()) return false
    let plan: Plan | null = null
    let staged: string | null = null
    let written: WrittenParquet | null = null
    try {
      plan = await writing.run(() => this.#plan(table))
      if (plan === null) return false
      if (plan.relocation.rows > 0) {
        staged = await plan.body.lake.stage('.parquet')
        written = await this.#rewrite(plan, staged, signal)
      }
      failpoint('compact.after-parquet')
    } catch (error) {
      if (staged !== null) await rm(staged, { force: true })
      if (!signal.aborted) this.#onFailure(table, error)
      return false
    }
    const file = await this.#exchange(plan, staged, written)
    if (file === 'given-up') return false
    failpoint('compact.after-publish')
    if (file !== null) await this.#index(plan, file, signal)
    return !signal.aborted && await this.#finish(plan, file)
  }

  #onFailure(table: MirroredTable, error: unknown): void {
    const { clock, logger } = this.#options
    this.#retryAt.set(table, clock.now() + RETRY_MS)
    logger.warn({ relid: table.relid, err: error }, 'files could not be compacted')
  }

  /** Between two flushes. */
  async #plan(table: MirroredTable): Promise<Plan | null> {
    const { body } = table
    if (table.state.kind !== 'ready' || body === null || table.abandoned) return null
    if (table.relocation !== null || table.uncommitted.length > 0) return null
    const { lake } = body
    if (lake.record?.incarnation !== body.record.incarnation) return null
    const known = new Map([...table.files.values()].map((file) => [basename(file.path), file]))
    const inLake = new Map<number, { readonly name: string; readonly path: string }>()
    const files: CompactableFile[] = []
    for (const { name, rows, deadRows, sizeBytes } of lake.fileSizes()) {
      const file = known.get(name)
      if (file === undefined || rows === null) continue
      inLake.set(file.fileNo, { name, path: file.path })
      files.push({ fileNo: file.fileNo, sizeBytes, rows, deadRows })
    }
    const chosen = planCompaction(files, this.#options.policy)
    if (chosen.length === 0) return null
    const sources: Source[] = []
    for (const file of chosen) {
      const { name, path } = inLake.get(file.fileNo) ?? { name: '', path: '' }
      sources.push({ ...file, name, path, dropped: await lake.deadRowsOf(name) })
    }
    const relocation = new Relocation(await body.index.takeFileNo(), sources)
    return { table, body, sources, relocation }
  }

  async #rewrite({ body, sources, relocation }: Plan, path: string, signal: AbortSignal)
    : Promise<WrittenParquet> {
    const written = await this.#options.files.merge({ sources, path, signal,
      columns: LakeTable.parquetColumns(body.record) })
    assert(written.rows === relocation.rows, 'RL1: the new file has the rows that are left')
    return written
  }

  /** CO2, CO4. What readers have in the place of the sources; null: nothing was left of them. */
  async #exchange(plan: Plan, staged: string | null, written: WrittenParquet | null)
    : Promise<LakeFile | null | 'given-up'> {
    const { writing, batch } = this.#options
    return await writing.run(async () => {
      const { table, body } = plan
      if (!this.#stands(plan)) {
        if (staged !== null) await rm(staged, { force: true })
        return 'given-up'
      }
      let added: LakeCompaction['added'] = null
      try {
        const deadRows = await this.#diedSince(plan)
        if (staged !== null && written !== null) {
          added = { name: await body.lake.adopt(staged), written, deadRows }
        }
      } catch (error) {
        if (staged !== null) await rm(staged, { force: true })
        this.#onFailure(table, error)
        return 'given-up'
      }
      const failure = await body.lake.compact({ added, record: body.record,
        removed: plan.sources.map(({ name }) => name) })
      if (failure !== null) {
        if (added !== null) await body.lake.discard(added.name)
        this.#onFailure(table, failure)
        return 'given-up'
      }
      failpoint('compact.after-commit')
      const file = added === null ? null : newFile(plan, added)
      const isShown = await batch.run(() => this.#publish(plan, file))
      return isShown ? file : 'given-up'
    })
  }

  /** CO1. Rows of the new file that the lake knows to be dead. */
  async #diedSince({ body, sources, relocation }: Plan): Promise<readonly number[]> {
    const deadRows: number[] = []
    for (const { fileNo, name } of sources) {
      for (const row of await body.lake.deadRowsOf(name)) {
        const position = relocation.locate(rowPosition(fileNo, row))
        if (position !== null) deadRows.push(rowOfPosition(position))
      }
    }
    return deadRows
  }

  /** Between two batches. False: the table has no such files any more. */
  async #publish(plan: Plan, file: LakeFile | null): Promise<boolean> {
    const { batch, progress } = this.#options
    const { table, relocation, sources } = plan
    const { body } = table
    if (!this.#stands(plan) || body === null) return false
    assert(table.buffer.size === 0 && table.frozen === null, 'files change between batches')
    const dead: number[] = []
    {
      await using pin = await batch.store.pin()
      for (const { fileNo } of sources) {
        for (const row of await pin.deadRows(body.deadName, fileNo)) {
          const position = relocation.locate(rowPosition(fileNo, row))
          if (position !== null) dead.push(position)
        }
      }
    }
    const store = await batch.opened()
    await store.removeDead(body.deadName, relocation.from)
    if (dead.length > 0) await store.addDead(body.deadName, dead)
    table.relocate(relocation, file === null ? null : { ...file, hasDead: dead.length > 0 })
    await batch.commit(progress.applied)
    return true
  }

  /** A table that is copied anew is another one; one that was truncated has no such files. */
  #stands({ table, relocation }: Plan): boolean {
    return this.#options.tables.get(table.relid) === table && !table.abandoned
      && table.state.kind === 'ready' && relocation.from.every((no) => table.files.has(no))
  }

  /** CO3. Nobody else writes the index meanwhile: a flush may have given a key another place. */
  async #index(plan: Plan, { path }: LakeFile, signal: AbortSignal): Promise<void> {
    const { files, writing } = this.#options
    const { schema } = plan.table
    const columns = schema.primaryKey.flatMap((attnum) =>
      schema.columns.filter((column) => column.attnum === attnum))
    const keyAt = columns.map((_, at) => at)
    let step: (readonly [RowKey, number])[] = []
    for await (const { firstRow, rows } of files.scan(path, columns)) {
      if (signal.aborted) return
      rows.forEach((row, at) => {
        step.push([rowKey(row, keyAt), rowPosition(plan.relocation.to, firstRow + at)])
      })
      if (step.length < INDEX_STEP) continue
      await writing.run(() => this.#put(plan, step))
      step = []
    }
    await writing.run(() => this.#put(plan, step))
  }

  async #put({ table, body, relocation }: Plan, step: readonly (readonly [RowKey, number])[])
    : Promise<void> {
    if (table.relocation !== relocation) return
    await body.index.put(step.filter(([key, position]) => {
      const before = body.index.find(key)
      if (before === null || !relocation.moved(fileOfPosition(before))) return false
      assert(relocation.locate(before) === position, 'RL1: a row lies where it was said to go')
      return true
    }))
  }

  /** False: the table went another way meanwhile. */
  async #finish({ table, body, sources, relocation }: Plan, file: LakeFile | null)
    : Promise<boolean> {
    return await this.#options.writing.run(async () => {
      if (table.relocation !== relocation) return false
      failpoint('compact.after-index')
      if (file !== null) {
        await body.index.register([{ fileNo: file.fileNo, name: basename(file.path) }])
      }
      await body.index.forget(relocation.from)
      table.relocated(relocation)
      this.#options.logger.info({ relid: table.relid, files: sources.length,
        rows: relocation.rows, droppedRows: relocation.droppedRows,
        bytesBefore: sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        bytes: file?.sizeBytes ?? 0 }, 'files were compacted')
      return true
    })
  }
}

function newFile({ body, relocation }: Plan,
  { name, written }: NonNullable<LakeCompaction['added']>): LakeFile {
  const { record, lake } = body
  return { fileNo: relocation.to, path: lake.path(name), rows: written.rows,
    sizeBytes: written.sizeBytes, hasDead: false,
    ...fileColumns(LakeTable.statsOf(written, record, true), record.table, record.names) }
}
