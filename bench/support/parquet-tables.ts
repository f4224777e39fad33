/**
 * DuckDB by itself over the Parquet files of our Delta tables: what a query costs with no
 * gateway, no PostgreSQL types and no freshness; the yardstick of `bench tpch`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'

interface Action {
  readonly add?: { readonly path: string; readonly deletionVector?: unknown }
  readonly remove?: { readonly path: string }
}

/** The live files of a Delta table, from its commits (benches leave no checkpoint behind). */
export function liveFiles(folder: string): readonly string[] {
  const log = join(folder, '_delta_log')
  const files = new Set<string>()
  for (const name of readdirSync(log).filter((file) => /^\d{20}\.json$/.test(file)).sort()) {
    for (const line of readFileSync(join(log, name), 'utf8').trim().split('\n')) {
      const { add, remove } = JSON.parse(line) as Action
      if (remove !== undefined) files.delete(remove.path)
      if (add !== undefined) {
        if (add.deletionVector !== undefined) throw new Error(`${folder} has deletion vectors`)
        files.add(add.path)
      }
    }
  }
  return [...files].map((path) => join(folder, decodeURIComponent(path)))
}

export async function openParquetTables(
  tables: Readonly<Record<string, string>>,
): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  for (const [name, folder] of Object.entries(tables)) {
    const files = liveFiles(folder).map((file) => `'${file.replaceAll("'", "''")}'`)
    await connection.run(`CREATE VIEW ${name} AS FROM read_parquet([${files.join(', ')}])`)
  }
  return connection
}
