/**
 * `slipway/delta`: the Delta log library's public names. Nothing inside src/ imports this file.
 */
export { SlipwayError } from '../base/errors.ts'
export type { PutResult, Storage, StoredObject } from '../storage/storage.ts'
export { LocalStorage } from '../storage/local.ts'
export { MemoryStorage } from '../storage/memory.ts'
export type { Action, AddFile, ChangeFile, CommitInfo, DeletionVectorDescriptor, DomainMetadata,
  Metadata, Protocol, RemoveFile, Txn } from './actions.ts'
export { version, type Version } from './version.ts'
export { column, parseSchema, printSchema, type DataType, type StructField, type StructType }
  from './schema.ts'
export { addColumn, commentOn, dropColumn, enableColumnMapping, physicalName, renameColumn }
  from './column-mapping.ts'
export { widenColumn } from './type-widening.ts'
export { logRetentionMs, setProperties, unsetProperties } from './table-properties.ts'
export { partitionFolder, partitionText } from './partitioning.ts'
export { DeltaTable, type CreateOptions, type TableOptions } from './table.ts'
export type { Snapshot } from './snapshot.ts'
export type { FileBlock } from './file-block.ts'
export type { LiveBlock } from './file-set.ts'
export type { CommitOutcome, Transaction, TransactionOptions } from './transaction.ts'
export type { ConflictReason } from './conflict.ts'
export { RowBitmap } from './row-bitmap.ts'
export { readDeletionVector, writeDeletionVectors } from './deletion-vector.ts'
export { buildStats, loosenStats, numRecordsOf, statValueOf, type ColumnStats, type StatValue }
  from './stats.ts'
export { encodeDataPath, filePlace, parseDataPath, type DataPath, type FilePlace }
  from './data-path.ts'
export { CheckpointWriter } from './checkpoint-writer.ts'
export { writeCheckpoint } from './checkpoint.ts'
export type { HistoryEntry } from './history.ts'
export { checkTable, type DataCheck, type Finding, type FsckReport } from './fsck.ts'
export { dataCheck } from './data-check.ts'
export { cleanUpLog } from './log-cleanup.ts'
export { bindPredicate, type BoundPredicate, type ColumnName, type Literal, type Predicate }
  from './predicate.ts'
export type { Value } from './value.ts'
export type { ParquetReader, ReadFile, ReadRequest, RowSelection } from './parquet-reader.ts'
export { parsePredicate } from './predicate-parser.ts'
export { filesMatching } from './data-skipping.ts'
export { scanTable, type ScanOptions } from './table-scan.ts'
export { tableChanges, type ChangeOptions } from './changes.ts'
export { jsonRows } from './json-rows.ts'
export type { ParquetRewriter, RewriteRequest, RewriteSource, RewrittenFile }
  from './parquet-rewriter.ts'
export { optimize, type OptimizeOptions, type OptimizeReport } from './optimize.ts'
export { restore, type RestoreReport, type RestoreTarget } from './restore.ts'
export { vacuum, type VacuumOptions, type VacuumReport } from './vacuum.ts'
export { keepsChangeFeed, writeChangeFiles, type ChangeType, type RowChanges }
  from './change-feed-writer.ts'
