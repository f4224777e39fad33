/**
 * Epoch: which files and which native tables belong together, for every readable table.
 *
 * P1  An epoch never changes; whatever would change it makes the next one.
 * P2  The epoch's number stands in DuckDB's table `state`, written in the same transaction
 *     as the rows that it goes with: who reads the number sees exactly those rows.
 * P3  A file's row is alive unless its position is in the table's dead rows; position
 *     (fileNo, row) is the number fileNo * ROWS_PER_FILE + row.
 */
import type { Oid } from '../base/oid.ts'
import type { TableSchema } from './table-schema.ts'

/** Bits of a position that tell the row. A table may have a new file every second for years. */
export const ROW_BITS = 24
/** A file has no more rows. */
export const ROWS_PER_FILE = 2 ** ROW_BITS
/** fileNo is below this, so that a position is a safe integer. */
export const FILE_NO_MAX = 2 ** (53 - ROW_BITS)

/** P3. */
export function rowPosition(fileNo: number, row: number): number {
  return fileNo * ROWS_PER_FILE + row
}

export function fileOfPosition(position: number): number {
  return Math.floor(position / ROWS_PER_FILE)
}

export function rowOfPosition(position: number): number {
  return position % ROWS_PER_FILE
}

/** Comparable form of a bound: whole numbers, days and µs, small or big; else text. */
export type BoundValue = number | bigint | string

/** Every value v of the file's column that is not NULL has min <= v <= max. */
export interface ColumnBounds {
  readonly min: BoundValue | null
  readonly max: BoundValue | null
}

export interface LakeFile {
  /** Names the file within its table for as long as the file lives. */
  readonly fileNo: number
  /** Absolute. */
  readonly path: string
  /** Physical rows, dead ones included. */
  readonly rows: number
  readonly sizeBytes: number
  readonly hasDead: boolean
  /** By attnum; a column without bounds is missing. */
  readonly bounds: ReadonlyMap<number, ColumnBounds>
  /** By attnum: what the file calls a column that it is known to hold. */
  readonly names: ReadonlyMap<number, string>
}

export interface EpochTable {
  readonly schema: TableSchema
  readonly files: readonly LakeFile[]
  /** Native table in schema `live`: c<attnum>… and `_seq`. */
  readonly liveName: string
  /** Native table in schema `dead`: `k`, positions of dead rows. */
  readonly deadName: string
}

export interface Epoch {
  readonly id: number
  readonly tables: ReadonlyMap<Oid, EpochTable>
}
