/**
 * ParquetReader: the port through which the library reads rows; src/olap has one over DuckDB.
 *
 * PR1  Batches come file by file as `files` gives them, rows in their order in the file.
 * PR2  Every column has its Delta type, whatever narrower or older form a file keeps it in; one
 *      that a file was written without is NULL there.
 * PR3  Rows are exact: those that `rows` of the file leaves and for which the predicate is true
 *      (three-valued), no others.
 * PR4  Memory is bounded whatever the files hold: nothing is read far ahead of the consumer.
 * PR5  A file that cannot be read to its end, or not as its type, is an error that names it.
 */
import type { RecordBatch } from 'apache-arrow'
import type { MappingMode } from './column-mapping.ts'
import type { BoundPredicate } from './predicate.ts'
import type { RowBitmap } from './row-bitmap.ts'
import type { StructField } from './schema.ts'
import type { Value } from './value.ts'

/** Positions are loaded when the file's turn has come. */
export type RowSelection =
  | { readonly kind: 'all' }
  | { readonly kind: 'all-but' | 'only'; readonly positions: () => Promise<RowBitmap> }

export interface ReadFile {
  /** Absolute. */
  readonly path: string
  /**
   * Columns by logical name that have one value in all of the file's rows, whatever the file
   * itself holds: partition values, and what the change feed adds.
   */
  readonly constants: ReadonlyMap<string, Value | null>
  readonly rows: RowSelection
}

export interface ReadRequest {
  /** The batches' columns, in order: the table's own fields, with their mapping's metadata. */
  readonly columns: readonly StructField[]
  /** How columns are found in files: by physical name, or by field id. */
  readonly mapping: MappingMode
  readonly files: Iterable<ReadFile> | AsyncIterable<ReadFile>
  /** May ask for columns that are not among `columns`. */
  readonly predicate: BoundPredicate | null
  readonly signal?: AbortSignal
}

export interface ParquetReader {
  /**
   * Arrow types: Int8 … Int64, Float32, Float64, Bool, Binary, Utf8, Decimal128, Date32,
   * Timestamp(µs, UTC), Timestamp(µs), List, Map, Struct. Batches are never empty.
   * Throws `delta-corrupt` (PR5), `delta-unsupported`.
   */
  read(request: ReadRequest): AsyncGenerator<RecordBatch, void>
}
