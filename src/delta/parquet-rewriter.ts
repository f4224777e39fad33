/**
 * ParquetRewriter: the port through which rows move from files into new ones (olap: DuckDB).
 *
 * PW1  The new files hold the chosen rows of the sources, each once, every value exact.
 * PW2  A column that a source was written without is NULL; a narrower type is widened.
 * PW3  Memory is bounded, whatever the sources hold.
 * PW4  With `rowIds` each row has its id and version in columns of those names: what a source
 *      holds there, else the source's first id and the row's place in it.
 */
import type { MappingMode } from './column-mapping.ts'
import type { RowSelection } from './parquet-reader.ts'
import type { RowIdColumns } from './row-tracking.ts'
import type { StructField } from './schema.ts'
import type { StatsColumn } from './stats-columns.ts'

export interface RewriteSource {
  /** Absolute path of a local file. */
  readonly path: string
  readonly rows: RowSelection
  /** What `_change_type` says of these rows, in a file of the change feed. */
  readonly changeType?: string
  /** PW4. */
  readonly baseRowId?: number
  readonly defaultRowCommitVersion?: number
}

export interface RewriteRequest {
  readonly sources: readonly RewriteSource[]
  /** The columns that files hold: the table's, less the partition columns. */
  readonly fields: readonly StructField[]
  readonly mapping: MappingMode
  readonly stats: readonly StatsColumn[]
  /** Physical names of columns whose near values come to lie together; empty: in any order. */
  readonly clusterBy: readonly string[]
  /** About how large a file becomes before the next one is begun. */
  readonly fileBytes: number
  /** Rows of a row group, the least that a file can hold; null: the writer's own number. */
  readonly rowGroupRows: number | null
  /** PW4. null: rows have none. */
  readonly rowIds: RowIdColumns | null
  /** Absolute; exists, and gets the new files. */
  readonly directory: string
  readonly signal?: AbortSignal
}

export interface RewrittenFile {
  /** Absolute. */
  readonly path: string
  /** Above zero. */
  readonly rows: number
  readonly sizeBytes: number
  /** As `add.stats`. */
  readonly stats: string
}

export interface ParquetRewriter {
  /**
   * Throws `delta-corrupt` for a source that cannot be read to its end, `lake-write-failed`.
   * What lies in the directory after a throw is of no use.
   */
  rewrite(request: RewriteRequest): Promise<readonly RewrittenFile[]>
}
