/**
 * ParquetSource: Parquet files as a DuckDB relation with columns c<attnum>.
 *
 * PS1  Columns are found by the names that the files are known to have for them, else by field
 *      id, which is attnum. A schema by field ids costs the query DuckDB's statistics, and its
 *      join order with them: TPC-H at scale 1 took 1.6 times as long (docs/decisions/0006).
 * PS2  A column that a file was written without is NULL in its rows.
 */
import type { LakeFile } from '../mirror/epoch.ts'
import { columnAlias } from '../mirror/table-schema.ts'
import { duckdbTypeOf, type MirrorType } from '../mirror/mirror-type.ts'
import { identifier, listOf, literal } from './sql-text.ts'

interface SourceColumn { readonly attnum: number; readonly mirror: MirrorType }

/** Files that one table function can read, and how it calls their columns. */
export interface ParquetGroup {
  readonly files: readonly LakeFile[]
  readonly columns: readonly SourceColumn[]
  /** Names in the files, in the order of `columns`; null: by field id. */
  readonly names: readonly string[] | null
}

/** DuckDB's own columns of a Parquet relation. */
const VIRTUAL = new Set(['file_row_number', 'file_index', 'filename'])

/** PS1. Files are grouped by the names that they have for the columns. */
export function groupFiles(files: readonly LakeFile[], columns: readonly SourceColumn[])
  : readonly ParquetGroup[] {
  const groups = new Map<string, { files: LakeFile[]; names: readonly string[] | null }>()
  for (const file of files) {
    const names = namesOf(file, columns)
    const key = names === null ? '' : JSON.stringify(names)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { files: [file], names })
    else group.files.push(file)
  }
  return [...groups.values()].map((group) => ({ ...group, columns }))
}

function namesOf(file: LakeFile, columns: readonly SourceColumn[]): readonly string[] | null {
  const names: string[] = []
  for (const { attnum } of columns) {
    const name = file.names.get(attnum)
    if (name === undefined || VIRTUAL.has(name.toLowerCase())) return null
    names.push(name)
  }
  return names
}

/** `SELECT c1, … FROM …`, to which a WHERE over DuckDB's own columns can be put. */
export function selectGroup({ files, columns, names }: ParquetGroup): string {
  const paths = files.map(({ path }) => path)
  if (columns.length === 0) return `SELECT 0 AS c0 FROM read_parquet(${listOf(paths)})`
  const list = columns.map(({ attnum }, at) => names === null ? columnAlias(attnum)
    : `${identifier(names[at] ?? '')} AS ${columnAlias(attnum)}`)
  const source = names === null ? parquetSource(paths, columns)
    : `read_parquet(${listOf(paths)})`
  return `SELECT ${list.join(', ')} FROM ${source}`
}

/** A table function call, by field ids; `file_row_number` can be asked for beside. */
export function parquetSource(paths: readonly string[], columns: readonly SourceColumn[]): string {
  if (columns.length === 0) return `read_parquet(${listOf(paths)})`
  const entries = columns.map((column) => `${column.attnum}: {name: `
    + `${literal(columnAlias(column.attnum))}, type: ${literal(duckdbTypeOf(column.mirror))}, `
    + 'default_value: NULL}')
  return `read_parquet(${listOf(paths)}, schema = MAP {${entries.join(', ')}})`
}
