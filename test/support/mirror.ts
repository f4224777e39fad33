/** What tests ask of the mirror: a table's state, its folder, when it has caught up. */
import { join } from 'node:path'
import { poll } from './poll.ts'
import type { SlipwayAddress } from './slipway.ts'
import type { SqlClient } from './sql-client.ts'

export interface MirroredTable {
  readonly schema: string
  readonly table: string
  readonly state: string
  readonly reason: string | null
}

export async function tableState(
  client: SqlClient, schema: string, table: string,
): Promise<MirroredTable | null> {
  const { rows } = await client.query(
    'SELECT state, reason FROM slipway.tables WHERE schema_name = $1 AND table_name = $2',
    [schema, table])
  const row = rows[0]
  if (row === undefined) return null
  return { schema, table, state: row[0] ?? '', reason: row[1] ?? null }
}

/** Waits until each table is mirrored; an errored one fails at once with its reason. */
export async function mirrored(
  client: SqlClient, tables: readonly string[],
  options: { readonly schema?: string; readonly withinMs?: number } = {},
): Promise<void> {
  const schema = options.schema ?? 'public'
  for (const table of tables) {
    await poll(`${schema}.${table} is mirrored`, options.withinMs ?? 60_000, async () => {
      const found = await tableState(client, schema, table)
      return found?.state === 'ready' ? true : null
    })
  }
}

/** The folder of a table's Delta log, as CONTRACT.md places it. */
export function tableFolder(slipway: SlipwayAddress, table: string, schema = 'public'): string {
  return join(slipway.dataDir, 'lake', slipway.address.database, schema, table)
}

/** Runs `sql` columnar or throws; the session's route is put back to auto. */
export async function columnar(
  client: SqlClient, sql: string,
): Promise<readonly (readonly (string | null)[])[]> {
  return routed(client, 'columnar', sql)
}

/** Runs `sql` in PostgreSQL whatever it costs. */
export async function inPostgres(
  client: SqlClient, sql: string,
): Promise<readonly (readonly (string | null)[])[]> {
  return routed(client, 'postgres', sql)
}

/**
 * Columnar as soon as it can be: after DDL the table may be on its way to being copied anew,
 * which slipway.tables says only once the engine has heard of it.
 */
export async function columnarOnceReady(
  client: SqlClient, sql: string, withinMs = 30_000,
): Promise<readonly (readonly (string | null)[])[]> {
  return poll(`columnar answers ${sql}`, withinMs, () => columnar(client, sql))
}

async function routed(
  client: SqlClient, route: 'columnar' | 'postgres', sql: string,
): Promise<readonly (readonly (string | null)[])[]> {
  await client.query(`SET slipway.route = '${route}'`)
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.query(`SET slipway.route = 'auto'`)
  }
}
