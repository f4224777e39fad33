/**
 * ParquetSource: Parquet files as a DuckDB relation with columns c<attnum>.
 *
 * PS1  Columns are found by field id, which is attnum: names in the file do not matter.
 * PS2  A column that a file was written without is NULL in its rows.
 */
import { columnAlias } from '../mirror/table-schema.ts'
import { duckdbTypeOf, type MirrorType } from '../mirror/mirror-type.ts'
import { listOf, literal } from './sql-text.ts'

/** A table function call; `file_row_number` and `file_index` can be asked for beside. */
export function parquetSource(paths: readonly string[],
  columns: readonly { readonly attnum: number; readonly mirror: MirrorType }[]): string {
  if (columns.length === 0) return `read_parquet(${listOf(paths)})`
  const entries = columns.map((column) => `${column.attnum}: {name: `
    + `${literal(columnAlias(column.attnum))}, type: ${literal(duckdbTypeOf(column.mirror))}, `
    + 'default_value: NULL}')
  return `read_parquet(${listOf(paths)}, schema = MAP {${entries.join(', ')}})`
}
