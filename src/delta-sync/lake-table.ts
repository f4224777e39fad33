/**
 * LakeTable: one mirrored table's Delta table.
 *
 * L1  A commit carries the LSN up to which it holds every change: `txn.version`.
 * L2  A data file lies in the table's folder, durable, before a commit names it.
 * L3  A commit's time is not before the newest PostgreSQL commit in it.
 */
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import { lsnFromBigint, type Lsn } from '../base/lsn.ts'
import { deltaTypeOf } from '../mirror/mirror-type.ts'
import type { LakeFile } from '../mirror/epoch.ts'
import type { AddFile, DeletionVectorDescriptor, Metadata } from '../delta/actions.ts'
import { cleanUpLog } from '../delta/log-cleanup.ts'
import { readLastCheckpoint } from '../delta/log-segment.ts'
import { parseDataPath } from '../delta/data-path.ts'
import { readDeletionVector, writeDeletionVectors } from '../delta/deletion-vector.ts'
import { RowBitmap } from '../delta/row-bitmap.ts'
import { writeCheckpoint } from '../delta/checkpoint.ts'
import type { CheckpointWriter } from '../delta/checkpoint-writer.ts'
import type { Snapshot } from '../delta/snapshot.ts'
import { buildStats, numRecordsOf, statValueOf } from '../delta/stats.ts'
import { DeltaTable } from '../delta/table.ts'
import type { Transaction } from '../delta/transaction.ts'
import { logRetentionMs } from '../delta/table-properties.ts'
import { vacuum } from '../delta/vacuum.ts'
import { LocalStorage } from '../storage/local.ts'
import { fileColumns } from './file-columns.ts'
import { deltaSchema, evolve, freshNames, parseRecord, printRecord, TABLE_PROPERTY,
  type LakeRecord, type Suspension } from './lake-schema.ts'
import type { ParquetColumn, WrittenParquet } from './live-store-port.ts'
import type { TableSchema } from '../mirror/table-schema.ts'

/** Versions from one checkpoint to the next. */
const CHECKPOINT_EVERY = 50

export interface LakeCommit {
  readonly lsn: Lsn
  readonly newestCommitUs: bigint
  readonly record: LakeRecord
  /** Names of files in the folder (adopt), with what DuckDB said of them. */
  readonly added: readonly { readonly name: string; readonly written: WrittenParquet
      /** Rows that died before the file was first committed. */
      readonly deadRows: readonly number[] }[]
  /** All rows that are dead now, by name of a file that the table has. */
  readonly deadRows: ReadonlyMap<string, readonly number[]>
  /** Every file of before is removed. */
  readonly truncated: boolean
}

export interface LakeCompaction {
  readonly record: LakeRecord
  /** Names of files that the table has. */
  readonly removed: readonly string[]
  /** null: no row of them is alive. */
  readonly added: { readonly name: string; readonly written: WrittenParquet
      readonly deadRows: readonly number[] } | null
}

export class LakeTable {
  readonly folder: string
  readonly #storage: LocalStorage
  readonly #appId: string
  #delta: DeltaTable | null
  #modificationTimes = new Map<string, number>()
  /** The last version with a checkpoint; null: not looked up yet. */
  #checkpointed: number | null = null

  private constructor(storage: LocalStorage, appId: string, delta: DeltaTable | null) {
    this.folder = storage.root
    this.#storage = storage
    this.#appId = appId
    this.#delta = delta
  }

  /** Reads the log, if there is one. `folder`: absolute. */
  static async open(folder: string, appId: string): Promise<LakeTable> {
    const storage = new LocalStorage({ root: folder })
    return new LakeTable(storage, appId, await DeltaTable.openIfExists({ storage }))
  }

  get snapshot(): Snapshot | null { return this.#delta?.snapshot ?? null }
  get version(): number | null { return this.#delta?.snapshot.version ?? null }

  /** Up to where the lake holds the table; null without a log. */
  get lsn(): Lsn | null {
    const txn = this.#delta?.snapshot.txn(this.#appId) ?? null
    return txn === null ? null : lsnFromBigint(txn)
  }

  get record(): LakeRecord | null {
    return this.#delta === null ? null : parseRecord(this.#delta.snapshot.metadata)
  }

  /** A path in the table's staging folder for a file or folder yet to be written. */
  async stage(suffix: string): Promise<string> {
    await mkdir(this.#storage.stagingDirectory, { recursive: true })
    return join(this.#storage.stagingDirectory, `${randomUUID()}${suffix}`)
  }

  /** L2. Moves a staged file into the folder; its new name. */
  async adopt(staged: string): Promise<string> {
    const name = `part-${randomUUID()}.parquet`
    await this.#storage.adopt(staged, name)
    this.#modificationTimes.set(name, Date.now())
    return name
  }

  /** Removes a file that no commit names. */
  async discard(name: string): Promise<void> {
    this.#modificationTimes.delete(name)
    await this.#storage.delete(name)
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Dead rows of each file that has a deletion vector, by the file's name. */
  async deadRows(): Promise<ReadonlyMap<string, RowBitmap>> {
    const found = new Map<string, RowBitmap>()
    for (const add of this.#delta?.snapshot.files() ?? []) {
      if (add.deletionVector === undefined) continue
      found.set(fileName(add), await readDeletionVector(this.#storage, add.deletionVector))
    }
    return found
  }

  /** The files as of the snapshot; `fileNoOf` numbers them. */
  files(table: TableSchema, names: LakeRecord['names'], fileNoOf: (name: string) => number)
    : LakeFile[] {
    const files: LakeFile[] = []
    for (const add of this.#delta?.snapshot.files() ?? []) {
      const name = fileName(add)
      files.push({ fileNo: fileNoOf(name), path: this.path(name), sizeBytes: add.size,
        rows: numRecordsOf(add.stats) ?? 0, hasDead: add.deletionVector !== undefined,
        ...fileColumns(add.stats, table, names) })
    }
    return files
  }

  /** What the snapshot says of each file; `rows`: null when it does not. */
  * fileSizes(): Iterable<{ readonly name: string; readonly sizeBytes: number
    readonly rows: number | null; readonly deadRows: number }> {
    for (const add of this.#delta?.snapshot.files() ?? []) {
      yield { name: fileName(add), sizeBytes: add.size, rows: numRecordsOf(add.stats),
        deadRows: add.deletionVector?.cardinality ?? 0 }
    }
  }

  /** Dead rows of one file as of the snapshot; rising. */
  async deadRowsOf(name: string): Promise<readonly number[]> {
    const vector = this.#delta?.snapshot.file(name)?.deletionVector
    return vector === undefined ? []
      : [...(await readDeletionVector(this.#storage, vector)).positions()]
  }

  /**
   * The same rows in another file: nothing is added for readers of changes, and `txn` stays.
   * Resolves to why it was not done, or null; throws when that cannot be told.
   */
  async compact(commit: LakeCompaction): Promise<Error | null> {
    let transaction
    try {
      transaction = await this.#compaction(commit)
    } catch (error) {
      return asError(error)
    }
    try {
      const outcome = await transaction.commit()
      if (outcome.kind === 'committed') return null
      return new SlipwayError('delta-conflict', `another writer changed ${this.folder}`)
    } catch (error) {
      // The failure may have come after the commit became visible: the log knows.
      await this.#delta?.latest()
      const isDone = commit.removed.every((name) => this.snapshot?.file(name) === null)
      return isDone ? null : asError(error)
    }
  }

  async #compaction({ added, removed, record }: LakeCompaction): Promise<Transaction> {
    const delta = this.#delta
    if (delta === null) throw new SlipwayError('internal', 'a table without a log has no files')
    const transaction = delta.begin({ operation: 'OPTIMIZE', movesRows: true,
      operationParameters: { predicate: '[]', zOrderBy: '[]' } })
    for (const name of removed) {
      const file = delta.snapshot.file(name)
      if (file === null) throw new SlipwayError('delta-conflict', `${name} is not in the table`)
      transaction.remove(file, { dataChange: false })
    }
    if (added !== null) {
      const [vector] = added.deadRows.length === 0 ? []
        : await writeDeletionVectors(this.#storage, [RowBitmap.of(added.deadRows)])
      transaction.add({ ...this.#addFile(added.name, added.written, record, vector),
        dataChange: false })
    }
    return transaction
  }

  /** L1, L3. Throws `delta-conflict` when another hand wrote to the table. */
  async commit(commit: LakeCommit): Promise<void> {
    try {
      await this.#commit(commit)
    } catch (error) {
      // The failure may have come after the commit became visible: the log knows.
      this.#delta ??= await DeltaTable.openIfExists({ storage: this.#storage })
      await this.#delta?.latest()
      if (this.lsn !== commit.lsn || this.record?.incarnation !== commit.record.incarnation) {
        throw error
      }
    }
  }

  async #commit(commit: LakeCommit): Promise<void> {
    const notBeforeMs = Number((commit.newestCommitUs + 999n) / 1000n)
    const vectors = await this.#writeVectors(commit)
    const adds = commit.added.map(({ name, written }) =>
      this.#addFile(name, written, commit.record, vectors.get(name)))
    if (this.#delta === null) {
      this.#delta = await DeltaTable.create({ storage: this.#storage,
        schema: deltaSchema(commit.record.table, commit.record.names),
        configuration: { [TABLE_PROPERTY]: printRecord(commit.record) },
        txn: { appId: this.#appId, version: commit.lsn }, adds, notBeforeMs })
      return
    }
    const transaction = this.#delta.begin({ operation: 'WRITE' })
    const metadata = this.#metadata(commit.record)
    if (metadata !== null) transaction.setMetadata(metadata)
    if (commit.truncated) transaction.removeAll()
    for (const add of adds) transaction.add(add)
    for (const [name] of commit.truncated ? [] : commit.deadRows) {
      const file = this.#delta.snapshot.file(name)
      const vector = vectors.get(name)
      if (file === null || vector === undefined) {
        throw new SlipwayError('delta-corrupt', 'a file with dead rows is not in the table')
      }
      transaction.replaceDeletionVector(file, vector)
    }
    transaction.setTxn(this.#appId, commit.lsn)
    const outcome = await transaction.commit({ notBeforeMs })
    if (outcome.kind === 'conflict') {
      throw new SlipwayError('delta-conflict', `another writer changed ${this.folder}`)
    }
  }

  /** Says in the log that the table is not to be relied on; its txn stays where it is. */
  async suspend(suspension: Suspension): Promise<void> {
    const before = this.record
    if (this.#delta === null || before === null) return
    const { metadata } = this.#delta.snapshot
    const text = printRecord({ ...before, suspended: suspension })
    if (metadata.configuration[TABLE_PROPERTY] === text) return
    const transaction = this.#delta.begin({ operation: 'SET TBLPROPERTIES' })
    transaction.setMetadata({ ...metadata,
      configuration: { ...metadata.configuration, [TABLE_PROPERTY]: text } })
    const outcome = await transaction.commit()
    if (outcome.kind === 'conflict') {
      throw new SlipwayError('delta-conflict', `another writer changed ${this.folder}`)
    }
  }

  /** After many commits: a checkpoint, and away with the log behind it. */
  async maintain(writer: CheckpointWriter, nowMs: number): Promise<void> {
    const snapshot = this.#delta?.snapshot ?? null
    if (snapshot === null || snapshot.version === 0) return
    this.#checkpointed ??= await readLastCheckpoint(this.#storage) ?? 0
    if (snapshot.version < this.#checkpointed + CHECKPOINT_EVERY) return
    await writeCheckpoint({ storage: this.#storage, snapshot, writer, nowMs })
    this.#checkpointed = snapshot.version
    await cleanUpLog({ storage: this.#storage, nowMs,
      retentionMs: logRetentionMs(snapshot.metadata) })
  }

  /** Deletes the files that no version of the retention needs; how many. */
  async vacuum(nowMs: number): Promise<number> {
    return this.#delta === null ? 0 : (await vacuum({ table: this.#delta, nowMs })).files.length
  }

  /** Parquet columns of files that are written now. */
  static parquetColumns(record: LakeRecord): readonly ParquetColumn[] {
    return record.table.columns.map((column, at) => ({ attnum: column.attnum,
      mirror: column.mirror, physicalName: record.names[at]?.physical ?? column.name }))
  }

  /** Delta's statistics of a file, from what DuckDB said when it wrote it. */
  static statsOf(written: WrittenParquet, record: LakeRecord, tightBounds: boolean): string {
    const stats = new Map(written.columns.map((column) => [column.physicalName, column]))
    return buildStats({
      numRecords: written.rows, tightBounds,
      columns: LakeTable.parquetColumns(record).flatMap((column) => {
        const found = stats.get(column.physicalName)
        const type = deltaTypeOf(column.mirror)
        if (found === undefined || typeof type !== 'string') return []
        const usable = type !== 'boolean' && type !== 'binary'
        return [{ path: [column.physicalName], nullCount: found.nullCount, hasNaN: found.hasNaN,
          min: usable && found.min !== null ? statValueOf(type, found.min) : null,
          max: usable && found.max !== null ? statValueOf(type, found.max) : null }]
      }),
    })
  }

  /** The record after DDL: what the Delta table will say of the changed columns. */
  nextRecord(before: LakeRecord, table: TableSchema): LakeRecord {
    const metadata = this.#delta?.snapshot.metadata
    const { record } = this
    if (metadata === undefined || record?.incarnation !== before.incarnation) {
      return { ...before, table, names: freshNames(table) }
    }
    return { ...before, table, names: evolve(metadata, record, table).names }
  }

  async #writeVectors(commit: LakeCommit)
    : Promise<ReadonlyMap<string, DeletionVectorDescriptor>> {
    const wanted: [string, readonly number[]][] = [...commit.deadRows,
      ...commit.added.filter((file) => file.deadRows.length > 0)
        .map((file): [string, readonly number[]] => [file.name, file.deadRows])]
    const descriptors = await writeDeletionVectors(this.#storage,
      wanted.map(([, rows]) => RowBitmap.of(rows)))
    return new Map(wanted.map(([name], at) =>
      [name, descriptors[at] as DeletionVectorDescriptor]))
  }

  /** null when the table's metadata says all of it already. */
  #metadata(record: LakeRecord): Metadata | null {
    const current = this.#delta?.snapshot.metadata
    const before = this.record
    if (current === undefined || before === null) return null
    const text = printRecord(record)
    if (current.configuration[TABLE_PROPERTY] === text) return null
    const evolved = before.incarnation === record.incarnation
      ? evolve(current, before, record.table).metadata
      : this.#replaced(current, record)
    return { ...evolved, configuration: { ...evolved.configuration, [TABLE_PROPERTY]: text } }
  }

  /** A copy of its own: no file of before stays, so names and types can be anything. */
  #replaced(current: Metadata, record: LakeRecord): Metadata {
    const configuration = Object.fromEntries(Object.entries(current.configuration)
      .filter(([key]) => !key.startsWith('delta.columnMapping.')))
    const schema = deltaSchema(record.table, record.names)
    return { ...current, schemaString: JSON.stringify(schema), configuration }
  }

  #addFile(name: string, written: WrittenParquet, record: LakeRecord,
    vector: DeletionVectorDescriptor | undefined): AddFile {
    return {
      path: name, partitionValues: {}, size: written.sizeBytes, dataChange: true,
      modificationTime: this.#modificationTimes.get(name) ?? Date.now(),
      stats: LakeTable.statsOf(written, record, vector === undefined),
      ...vector === undefined ? {} : { deletionVector: vector },
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('unknown fault', { cause: error })
}

/** Our own files lie flat in the table's folder. */
function fileName(add: AddFile): string {
  const path = parseDataPath(add.path)
  if (path.kind !== 'relative') {
    throw new SlipwayError('delta-unsupported', 'a data file lies outside of its table')
  }
  return basename(path.path)
}
