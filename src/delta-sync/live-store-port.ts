/**
 * Ports: what delta-sync needs of the columnar engine. olap's LiveStore and ParquetFiles
 * satisfy them; main hands them over.
 *
 * LP1  Between `begin` and `commit` or `rollback` everything is one transaction: a reader sees
 *      all of it, with its LSN and epoch, or nothing of it.
 * LP2  There is one writer: calls are never made at the same time.
 * LP3  Rows carry `_seq`, rising in the order of appending, never used twice in a table.
 */
import type { Lsn } from '../base/lsn.ts'
import type { Epoch } from '../mirror/epoch.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { MirrorRow } from '../mirror/mirror-value.ts'

/** A column of a live table: `c<attnum>`. */
export interface LiveColumn {
  readonly attnum: number
  readonly mirror: MirrorType
}

/** A column of a Parquet file: PostgreSQL's name or the mapped one; the field id is attnum. */
export interface ParquetColumn extends LiveColumn {
  readonly physicalName: string
}

export interface WrittenColumn {
  readonly physicalName: string
  /** As DuckDB prints bounds; null when there is none. */
  readonly min: string | null
  readonly max: string | null
  readonly nullCount: number | null
  readonly hasNaN: boolean
}

export interface WrittenParquet {
  readonly path: string
  readonly rows: number
  readonly sizeBytes: number
  readonly columns: readonly WrittenColumn[]
}

/** A reader's view, fixed at one LSN, until disposed. */
export interface LivePinPort extends AsyncDisposable {
  /** Rows fromSeq <= _seq <= toSeq in order of _seq, as one new Parquet file. */
  writeTail(options: {
    readonly liveName: string
    readonly columns: readonly ParquetColumn[]
    readonly fromSeq: number
    readonly toSeq: number
    readonly path: string
  }): Promise<WrittenParquet>
  /** Dead rows of one file, rising. */
  deadRows(deadName: string, fileNo: number): Promise<readonly number[]>
}

export interface LiveStorePort {
  begin(): Promise<void>
  /** `epoch`: the newest, to be seen from this commit on; null: as before. */
  commit(lsn: Lsn, epoch: Epoch | null): Promise<void>
  rollback(): Promise<void>
  createLive(name: string, columns: readonly LiveColumn[]): Promise<void>
  createDead(name: string): Promise<void>
  drop(names: { readonly live: string | null; readonly dead: string | null }): Promise<void>
  /**
   * Makes `to` with `columns`, filled with the rows of `from` above `afterSeq`; a column that
   * `from` lacks is NULL.
   */
  moveTail(options: {
    readonly from: string
    readonly fromColumns: readonly LiveColumn[]
    readonly to: string
    readonly columns: readonly LiveColumn[]
    readonly afterSeq: number
  }): Promise<void>
  append(name: string, columns: readonly LiveColumn[], rows: readonly MirrorRow[],
    seqs: readonly number[]): Promise<void>
  deleteRows(name: string, seqs: readonly number[]): Promise<void>
  addDead(name: string, positions: readonly number[]): Promise<void>
  /** All of these files. */
  removeDead(name: string, fileNos: readonly number[]): Promise<void>
  /** Rows by _seq; every one exists. */
  readRows(name: string, columns: readonly LiveColumn[], seqs: readonly number[])
    : Promise<ReadonlyMap<number, MirrorRow>>
  /** Rows of a file by number; every one exists. Columns the file lacks are null. */
  readFileRows(path: string, columns: readonly LiveColumn[], rows: readonly number[])
    : Promise<ReadonlyMap<number, MirrorRow>>
  /** A view at the last commit. */
  pin(): Promise<LivePinPort>
}

export interface ParquetFilesPort {
  /**
   * Reads PostgreSQL's CSV from a local file or FIFO into Parquet files in `directory`,
   * several for many rows. Throws `value-unmirrorable` for a value that its column's mirror
   * cannot hold exactly, and `signal`'s reason when aborted.
   */
  importCsv(options: {
    readonly csvPath: string
    readonly columns: readonly ParquetColumn[]
    readonly directory: string
    readonly signal: AbortSignal
  }): Promise<readonly WrittenParquet[]>
  /**
   * The sources' rows, less the dropped ones (rising), in the order of the sources and of their
   * rows, as one new file. A column that a source lacks is NULL.
   */
  merge(options: {
    readonly sources: readonly { readonly path: string; readonly dropped: readonly number[] }[]
    readonly columns: readonly ParquetColumn[]
    readonly path: string
    readonly signal: AbortSignal
  }): Promise<WrittenParquet>
  /** Every row of the file in order; columns as in `columns`. */
  scan(path: string, columns: readonly LiveColumn[])
    : AsyncIterable<{ readonly firstRow: number; readonly rows: readonly MirrorRow[] }>
}
