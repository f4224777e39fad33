/**
 * The Delta project's own golden tables (../shared/golden, where the project is developed), and
 * rows as texts that can be compared.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { jsonRows } from '../../src/delta/json-rows.ts'
import type { ReadFile } from '../../src/delta/parquet-reader.ts'
import type { DataType, StructField } from '../../src/delta/schema.ts'
import type { scanTable } from '../../src/delta/table-scan.ts'
import type { DuckDbParquetReader } from '../../src/olap/duckdb-parquet-reader.ts'

export const GOLDEN = resolve('../shared/golden')

/** This list can only shrink: what we cannot read yet, and what is damaged on purpose. */
export const REFUSED: Readonly<Record<string, string>> = {
  'deltalog-invalid-protocol-version': 'delta-unsupported: reader version 99',
  'deltalog-state-reconstruction-from-checkpoint-missing-protocol':
    'delta-corrupt: no protocol action',
  'deltalog-state-reconstruction-without-protocol': 'delta-corrupt: no protocol action',
  'table-with-geo': 'delta-unsupported: geospatial',
}
/** Logs whose data files were never part of the test data. */
export const LOG_ONLY: ReadonlySet<string> = new Set(['checkpoint', 'app-txn-with-last-updated',
  'delete-re-add-same-file-different-transactions', 'log-replay-special-characters-b',
  'with_checkpoint_no_last_checkpoint', 'deltalog-commit-info', 'update-deleted-directory'])

export interface Golden { readonly name: string; readonly archive: string }

export function archives(): readonly Golden[] {
  if (!existsSync(GOLDEN)) return []
  return ['delta', 'delta-kernel'].flatMap((folder) => readdirSync(join(GOLDEN, folder))
    .filter((name) => name.endsWith('.tar.gz'))
    .map((name) => ({ name: name.slice(0, -'.tar.gz'.length),
      archive: join(GOLDEN, folder, name) })))
}

/** Folders with a log, not looking into what was expected of them. */
export function tablesIn(folder: string): readonly string[] {
  const inside = readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory())
  if (inside.some((one) => one.name === '_delta_log')) return [folder]
  return inside.filter((one) => one.name !== 'expected')
    .flatMap((one) => tablesIn(join(folder, one.name)))
}

type Batches = ReturnType<typeof scanTable>

/** One text a row, sorted: tables have no order of their own. */
export async function rowsOf(batches: Batches): Promise<readonly string[]> {
  const rows: string[] = []
  for await (const batch of batches) for (const row of jsonRows(batch)) rows.push(row)
  return rows.sort()
}

/** Plain Parquet files with the table's logical names, written by Spark. */
export function expectedRows(reader: DuckDbParquetReader, folder: string,
  fields: readonly StructField[]): Batches {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet'))
    .map((name): ReadFile => ({ path: join(folder, name), constants: new Map(),
      rows: { kind: 'all' } }))
  return reader.read({ files, mapping: 'none', predicate: null, columns: fields.map(unmapped) })
}

function unmapped(field: StructField): StructField {
  return { ...field, type: unmappedType(field.type), metadata: {} }
}

function unmappedType(type: DataType): DataType {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct': return { ...type, fields: type.fields.map(unmapped) }
    case 'array': return { ...type, elementType: unmappedType(type.elementType) }
    case 'map': return { ...type, keyType: unmappedType(type.keyType),
      valueType: unmappedType(type.valueType) }
  }
}
