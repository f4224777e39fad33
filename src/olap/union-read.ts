/**
 * UnionRead: a mirrored table as one DuckDB subquery: clean files, dirty files less their dead
 * rows, live table.
 *
 * UR1  It yields each living row once, as of the epoch and the reader's snapshot.
 * UR2  Columns are c<attnum>, whatever the files call them (parquet-source.ts).
 * UR3  Dead rows are left out by NOT IN on one computed key: an anti join by NOT EXISTS loses
 *      the joins' dynamic filters above (facts/measured.md, "Union read").
 */
import { SlipwayError } from '../base/errors.ts'
import { ROW_BITS, ROWS_PER_FILE, type EpochTable, type LakeFile } from '../mirror/epoch.ts'
import { columnAlias, type ColumnSchema } from '../mirror/table-schema.ts'
import type { RelationRef } from '../router/plan.ts'
import { mayMatch } from './file-pruning.ts'
import { groupFiles, selectGroup, type ParquetGroup } from './parquet-source.ts'
import { ownName } from './sql-text.ts'

export interface UnionRead {
  /** In parentheses, to be given an alias. */
  readonly sql: string
  readonly filesRead: number
  readonly filesPruned: number
}

/** Throws `not-columnar` when the table has lost a column that the plan needs. */
export function unionRead(table: EpochTable, relation: RelationRef): UnionRead {
  const columns = relation.columns.map((attnum) => columnOf(table, attnum))
  const files = table.files.filter((file) => mayMatch(file, relation.prune,
    (attnum) => table.schema.columns.find((column) => column.attnum === attnum)?.mirror ?? null))
  const groups = (dirty: boolean): readonly ParquetGroup[] =>
    groupFiles(files.filter((file) => file.hasDead === dirty), columns)
  const tail = columns.length === 0 ? '0 AS c0'
    : columns.map((column) => columnAlias(column.attnum)).join(', ')
  const arms = [
    ...groups(false).map(selectGroup),
    ...groups(true).map((group) => `${selectGroup(group)} WHERE ${aliveIn(table, group.files)}`),
    `SELECT ${tail} FROM live.${ownName(table.liveName)}`,
  ]
  return { sql: `(${arms.join(' UNION ALL ')})`, filesRead: files.length,
    filesPruned: table.files.length - files.length }
}

/** UR3. Dead positions name a file by its number; here it is its place in the list. */
function aliveIn(table: EpochTable, files: readonly LakeFile[]): string {
  const places = files.map((file, at) => `(${file.fileNo}, ${at})`).join(', ')
  return `(CAST(file_index AS BIGINT) * ${ROWS_PER_FILE} + CAST(file_row_number AS BIGINT)) NOT IN `
    + `(SELECT p.place * ${ROWS_PER_FILE} + (d.k & ${ROWS_PER_FILE - 1}) FROM dead.`
    + `${ownName(table.deadName)} d JOIN (VALUES ${places}) p(file_no, place) `
    + `ON (d.k >> ${ROW_BITS}) = p.file_no)`
}

function columnOf(table: EpochTable, attnum: number): ColumnSchema {
  const column = table.schema.columns.find((candidate) => candidate.attnum === attnum)
  if (column === undefined) {
    throw new SlipwayError('not-columnar', 'a table of the statement has changed its columns')
  }
  return column
}
