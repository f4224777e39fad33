/**
 * Changes: the change data feed of a range of versions: which rows came, went and changed, and
 * with which commit.
 *
 * CH1  A commit with `cdc` files is told by them alone; one without, by what its adds, removes
 *      and deletion vectors do to rows. Commits that change no data (`dataChange` false) have
 *      no changes.
 * CH2  Every row has `_change_type` (insert, delete, update_preimage, update_postimage),
 *      `_commit_version` and `_commit_timestamp`; its other columns are those that the table has
 *      at the end of the range.
 * CH3  Versions come in order; within one, files by path, what went before what came.
 * CH4  A range with a version at which the feed was not enabled is refused, naming the version.
 *
 * Source: PROTOCOL.md "Change Data Files"; delta-spark's CDCReader for CH4.
 */
import type { RecordBatch } from 'apache-arrow'
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { Action, AddFile, ChangeFile, PartitionValues, RemoveFile } from './actions.ts'
import { mappingMode, physicalName } from './column-mapping.ts'
import { pathIdentity } from './data-path.ts'
import { deletionVectorId, readDeletionVector } from './deletion-vector.ts'
import { commitTimes } from './history.ts'
import { readCommit } from './log-reader.ts'
import type { ReadFile, RowSelection } from './parquet-reader.ts'
import { bindPredicate, findField } from './predicate.ts'
import { RowBitmap } from './row-bitmap.ts'
import { column, type StructField, type StructType } from './schema.ts'
import type { CommitContent, Snapshot } from './snapshot.ts'
import { localFile, partitionConstants, projection, type ScanOptions } from './table-scan.ts'
import type { DeltaTable } from './table.ts'
import type { Value } from './value.ts'
import { nextVersion, version, type Version } from './version.ts'

export interface ChangeOptions extends Omit<ScanOptions, 'storage'> {
  /** Both included. */
  readonly from: Version
  /** Absent: the newest. */
  readonly to?: Version
}

const TYPE = '_change_type'
/** CH2. */
const CHANGE_COLUMNS: readonly StructField[] = [column(TYPE, 'string'),
  column('_commit_version', 'long'), column('_commit_timestamp', 'timestamp')]

/**
 * CH1 to CH3. `where` and `columns` may name the columns of CH2; `columns` absent: all, those
 * last. Throws `usage` for a range that is none, `not-found` for versions that the log no longer
 * has, `delta-unsupported` by CH4; else as ParquetReader.read.
 */
export async function * tableChanges(table: DeltaTable, options: ChangeOptions)
  : AsyncGenerator<RecordBatch, void> {
  const known = table.snapshot
  const newest = options.to === undefined || options.to > known.version ? await table.latest()
    : known
  const to = options.to ?? newest.version
  if (options.from > to || to > newest.version) {
    throw new SlipwayError('usage', options.from > to
      ? `there are no changes from version ${options.from} to ${to}`
      : `the newest version is ${newest.version}`)
  }
  const end = await table.at(to)
  const schema = withChangeColumns(end.schema)
  const where = options.where === undefined ? null : bindPredicate(schema, options.where)
  yield * options.reader.read({
    columns: projection(schema, options.columns), mapping: mappingMode(end.metadata),
    files: changeFiles(table, options, end), predicate: where,
    ...options.signal === undefined ? {} : { signal: options.signal },
  })
}

function withChangeColumns({ fields }: StructType): StructType {
  const taken = fields.find((field) =>
    CHANGE_COLUMNS.some((own) => own.name === field.name.toLowerCase()))
  if (taken !== undefined) {
    throw new SlipwayError('delta-unsupported',
      `the table has a column ${taken.name}, which the change feed needs for itself`)
  }
  return { type: 'struct', fields: [...fields, ...CHANGE_COLUMNS] }
}

async function * changeFiles(table: DeltaTable, options: ChangeOptions, end: Snapshot)
  : AsyncGenerator<ReadFile> {
  const { storage } = table
  const timeOf = await commitTimes(storage, end)
  let before = await snapshotBefore(table, options.from)
  for (let at: Version = options.from; at <= end.version; at = nextVersion(at)) {
    const commit = await readCommit(storage, at)
    if (commit === null) {
      throw new SlipwayError('not-found', `the log of version ${at} was cleaned up`)
    }
    const after: Snapshot = before === null ? await table.at(at) : before.next(commit)
    requireFeed(after)
    yield * commitFiles({ storage, commit, before, timestampMs: timeOf(commit),
      partitionColumns: partitionFields(before ?? after, end),
      newPartitionColumns: partitionFields(after, end) })
    before = after
  }
}

/** The columns at the end that a version was partitioned by, whatever they were called then. */
function partitionFields({ schema, metadata }: Snapshot, end: Snapshot): readonly StructField[] {
  const physical = new Set(metadata.partitionColumns.map((name) =>
    physicalName(findField(schema, name)[0])))
  return end.schema.fields.filter((field) => physical.has(physicalName(field)))
}

/** null when there was none, or the log of then is gone. */
async function snapshotBefore(table: DeltaTable, from: Version): Promise<Snapshot | null> {
  if (from === 0) return null
  try {
    return await table.at(version(from - 1))
  } catch (error) {
    if (error instanceof SlipwayError && error.code === 'not-found') return null
    throw error
  }
}

/** CH4. */
function requireFeed({ version: at, metadata }: Snapshot): void {
  if (metadata.configuration['delta.enableChangeDataFeed'] === 'true') return
  throw new SlipwayError('delta-unsupported',
    `changes were not recorded at version ${at}: the table's change data feed was not enabled`, {
      hint: 'Ask for a range of versions since delta.enableChangeDataFeed was set to true.' })
}

interface Commit {
  readonly storage: Storage
  readonly commit: CommitContent
  /** null: not known. */
  readonly before: Snapshot | null
  readonly timestampMs: number
  /** Of files that were there before, and of those that the commit adds. */
  readonly partitionColumns: readonly StructField[]
  readonly newPartitionColumns: readonly StructField[]
}

/** CH1. */
async function * commitFiles(about: Commit): AsyncGenerator<ReadFile> {
  const told = about.commit.actions.filter((action) => 'cdc' in action)
    .map((action) => action.cdc).sort(byPath)
  if (told.length > 0) {
    for (const file of told) {
      yield await readFile(about, file, file.partitionValues, about.newPartitionColumns,
        { rows: { kind: 'all' }, type: null })
    }
    return
  }
  const { adds, removes } = dataChanges(about.commit.actions)
  for (const path of [...new Set([...removes.keys(), ...adds.keys()])].sort()) {
    const [add, remove] = [adds.get(path), removes.get(path)]
    const sameRows = add !== undefined && remove !== undefined
      && deletionVectorId(add.deletionVector) === deletionVectorId(remove.deletionVector)
    if (sameRows) continue
    if (remove !== undefined) {
      yield await readFile(about, remove, valuesOf(about, remove), about.partitionColumns,
        { rows: gone(about.storage, remove, add), type: 'delete' })
    }
    if (add !== undefined) {
      yield await readFile(about, add, add.partitionValues, about.newPartitionColumns,
        { rows: gone(about.storage, add, remove), type: 'insert' })
    }
  }
}

function byPath(a: ChangeFile, b: ChangeFile): number {
  return a.path < b.path ? -1 : 1
}

function dataChanges(actions: readonly Action[]): {
  readonly adds: ReadonlyMap<string, AddFile>
  readonly removes: ReadonlyMap<string, RemoveFile>
} {
  const adds = new Map<string, AddFile>()
  const removes = new Map<string, RemoveFile>()
  for (const action of actions) {
    if ('add' in action && action.add.dataChange) {
      adds.set(pathIdentity(action.add.path), action.add)
    }
    if ('remove' in action && action.remove.dataChange) {
      removes.set(pathIdentity(action.remove.path), action.remove)
    }
  }
  return { adds, removes }
}

/** The rows of `file` that live, less those that live in `other`, the same file before or after. */
function gone(storage: Storage, file: AddFile | RemoveFile, other: AddFile | RemoveFile | undefined)
  : RowSelection {
  const own = file.deletionVector
  if (other === undefined) {
    return own === undefined ? { kind: 'all' }
      : { kind: 'all-but', positions: () => readDeletionVector(storage, own) }
  }
  const others = other.deletionVector
  // Without a vector there, all of its rows live there.
  if (others === undefined) {
    return { kind: 'only', positions: () => Promise.resolve(RowBitmap.empty) }
  }
  return { kind: 'only', positions: async () => {
    const dead = await readDeletionVector(storage, others)
    return own === undefined ? dead : dead.without(await readDeletionVector(storage, own))
  } }
}

/** A remove may leave out what its add said. */
function valuesOf({ before }: Commit, remove: RemoveFile): PartitionValues {
  const values = remove.partitionValues ?? before?.file(remove.path)?.partitionValues
  if (values !== undefined) return values
  throw new SlipwayError('delta-unsupported',
    'a remove has no partition values, and the log before it is gone')
}

async function readFile(about: Commit, file: { readonly path: string }, values: PartitionValues,
  partitionColumns: readonly StructField[], change: { readonly rows: RowSelection
    readonly type: 'insert' | 'delete' | null }): Promise<ReadFile> {
  const { commit, storage } = about
  const constants = new Map<string, Value | null>(partitionConstants(partitionColumns, values))
  if (change.type !== null) constants.set(TYPE, { kind: 'string', value: change.type })
  constants.set('_commit_version', { kind: 'integer', value: BigInt(commit.version) })
  constants.set('_commit_timestamp',
    { kind: 'timestamp', micros: BigInt(Math.floor(about.timestampMs)) * 1000n })
  return { path: await localFile(storage, file.path), constants, rows: change.rows }
}
