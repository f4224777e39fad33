/**
 * TableScan: a snapshot's rows, as the files to read and what to leave out of each.
 *
 * TS1  The rows are those of the snapshot for which the predicate is true, each once.
 * TS2  They come in one order for one version: files by path, rows by position.
 * TS3  Nothing outside the table's folder is read, but for the folders that its storage allows.
 */
import type { RecordBatch } from 'apache-arrow'
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { AddFile, DeletionVectorDescriptor, PartitionValues } from './actions.ts'
import { mappingMode, physicalName } from './column-mapping.ts'
import { filePlace, shownPath } from './data-path.ts'
import { filesMatching } from './data-skipping.ts'
import { readDeletionVector } from './deletion-vector.ts'
import type { ParquetReader, ReadFile, ReadRequest } from './parquet-reader.ts'
import { bindPredicate, findField, type BoundPredicate, type Predicate } from './predicate.ts'
import { partitionValue } from './partition-value.ts'
import type { StructField, StructType } from './schema.ts'
import type { Snapshot } from './snapshot.ts'
import type { Value } from './value.ts'

export interface ScanOptions {
  readonly storage: Storage
  readonly reader: ParquetReader
  /** Top-level columns, in this order; absent: all. Found as predicate.ts (PD2) finds them. */
  readonly columns?: readonly string[]
  readonly where?: Predicate
  readonly signal?: AbortSignal
}

/** TS1 to TS3. Throws `usage` for what it cannot bind; else as ParquetReader.read. */
export function scanTable(snapshot: Snapshot, options: ScanOptions)
  : AsyncGenerator<RecordBatch, void> {
  const { schema, metadata } = snapshot
  const where = options.where === undefined ? null : bindPredicate(schema, options.where)
  return options.reader.read({
    columns: projection(schema, options.columns), mapping: mappingMode(metadata),
    files: scanFiles(snapshot, where, options), predicate: where,
    ...options.signal === undefined ? {} : { signal: options.signal },
  } satisfies ReadRequest)
}

/** Throws `usage` for an unknown column. */
export function projection(schema: StructType, columns: readonly string[] | undefined)
  : readonly StructField[] {
  if (columns === undefined) return schema.fields
  const fields = columns.map((name) => findField(schema, name)[0])
  const twice = fields.find((field, at) => fields.indexOf(field) !== at)
  if (twice === undefined) return fields
  throw new SlipwayError('usage', `column ${twice.name} is asked for twice`)
}

async function * scanFiles(snapshot: Snapshot, where: BoundPredicate | null,
  options: ScanOptions): AsyncGenerator<ReadFile> {
  const files = where === null ? [...snapshot.files()] : [...filesMatching(snapshot, where)]
  const partitionColumns = snapshot.metadata.partitionColumns.map((name) =>
    findField(snapshot.schema, name)[0])
  for (const file of files.sort((a, b) => a.path < b.path ? -1 : 1)) {
    yield { path: await localFile(options.storage, file.path),
      constants: partitionConstants(partitionColumns, file.partitionValues),
      rows: livingRows(options.storage, file) }
  }
}

function livingRows(storage: Storage, file: AddFile): ReadFile['rows'] {
  const { deletionVector } = file
  return deletionVector === undefined ? { kind: 'all' }
    : { kind: 'all-but', positions: () => positionsOf(storage, deletionVector, file.path) }
}

function positionsOf(storage: Storage, vector: DeletionVectorDescriptor, path: string)
  : ReturnType<typeof readDeletionVector> {
  return readDeletionVector(storage, vector).catch((error: unknown) => {
    if (!(error instanceof SlipwayError)) throw error
    throw new SlipwayError(error.code, `${path}: ${error.message}`, { cause: error })
  })
}

/** TS3. Absolute. Throws `delta-unsupported` for what is elsewhere, `delta-corrupt` if missing. */
export async function localFile(storage: Storage, path: string): Promise<string> {
  const place = filePlace(storage, path)
  // Where symbolic links lead is looked at, too.
  if (await place.storage.stat(place.path) === null) {
    throw new SlipwayError('delta-corrupt', `data file ${shownPath(path)} is missing`)
  }
  const local = place.storage.localPath(place.path)
  if (local !== null) return local
  throw new SlipwayError('delta-unsupported', 'rows are read from local tables only')
}

/** The columns' values, by their logical names, in a file of a table partitioned by them. */
export function partitionConstants(columns: readonly StructField[], values: PartitionValues)
  : ReadonlyMap<string, Value | null> {
  return new Map(columns.map((column) =>
    [column.name, partitionValue(column, values[physicalName(column)])]))
}
