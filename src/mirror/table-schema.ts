/**
 * TableSchema: the shape of a mirrored table, as PostgreSQL's catalog has it at one LSN.
 *
 * S1  Columns are known by attnum: a rename changes a name and nothing else.
 * S2  Live tables and the sources that queries read name column n `c<attnum>`, so no
 *     user's name, case or keyword ever reaches DuckDB's SQL.
 */
import type { Oid } from '../base/oid.ts'
import type { MirrorType } from './mirror-type.ts'

export interface ColumnSchema {
  readonly attnum: number
  /** PostgreSQL's name now. */
  readonly name: string
  /** Base type (domains resolved) and its typmod. */
  readonly typeOid: Oid
  readonly typmod: number
  readonly notNull: boolean
  readonly mirror: MirrorType
}

export interface TableSchema {
  readonly relid: Oid
  readonly schema: string
  readonly name: string
  /** In attnum order, dropped columns left out. */
  readonly columns: readonly ColumnSchema[]
  /** attnums of the primary key, in key order. */
  readonly primaryKey: readonly number[]
}

/** The column's name in every DuckDB relation of ours (S2). */
export function columnAlias(attnum: number): string {
  return `c${attnum}`
}

export function qualifiedName(table: { readonly schema: string; readonly name: string }): string {
  return `${table.schema}.${table.name}`
}
