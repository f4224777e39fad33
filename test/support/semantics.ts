/** The corpus of ../shared/semantics: statements with what was measured of them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SEMANTICS } from './cache.ts'
import type { SqlClient } from './sql-client.ts'

export interface SemanticsCase {
  readonly id: string
  readonly area: string
  readonly sql: string
  readonly verdict: 'equal' | 'rewrite' | 'never'
}

export function semanticsCases(): readonly SemanticsCase[] {
  return readFileSync(join(SEMANTICS, 'cases.jsonl'), 'utf8').trim().split('\n')
    .map((line) => JSON.parse(line) as SemanticsCase)
}

/** Tables of the corpus that can be mirrored: a primary key, and values that the lake holds. */
export const MIRRORED_EDGE_TABLES = [
  'ints', 'nums', 'strs', 'misc', 'emp', 'dept', 'Mixed', 'empt', 'fsum', 'qty', 'flts', 'ivs',
  'dts', 'grp',
] as const

/** Rows with infinite dates or dates before the year 1 suspend a table: left out here. */
const ROWS_THE_LAKE_CANNOT_HOLD = `
DELETE FROM dts WHERE id IN (5, 7, 8);
DELETE FROM grp WHERE id IN (10, 11);`

export function edgeTables(): string {
  const tables = readFileSync(join(SEMANTICS, 'edge-tables.sql'), 'utf8')
  return `BEGIN;\n${tables}\n${ROWS_THE_LAKE_CANNOT_HOLD}\nCOMMIT`
}

/** How a statement fared: where it went, and whether it answered what PostgreSQL answers. */
export type Outcome =
  | { readonly kind: 'equal' }
  | { readonly kind: 'differs'; readonly columnar: string; readonly postgres: string }
  /** Columnar refused it, or both refused it. */
  | { readonly kind: 'kept'; readonly reason: string }

export async function judge(client: SqlClient, sql: string): Promise<Outcome> {
  const columnar = await answerOn(client, 'columnar', sql)
  if (columnar.startsWith('error SW')) return { kind: 'kept', reason: columnar }
  const postgres = await answerOn(client, 'postgres', sql)
  if (columnar === postgres) {
    return columnar.startsWith('error') ? { kind: 'kept', reason: columnar } : { kind: 'equal' }
  }
  return { kind: 'differs', columnar, postgres }
}

async function answerOn(
  client: SqlClient, route: 'columnar' | 'postgres', sql: string,
): Promise<string> {
  await client.query(`SET slipway.route = '${route}'`)
  try {
    return JSON.stringify(await client.query(sql))
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code === undefined) throw error
    return code.startsWith('SW') ? `error ${code}: ${message}` : `error ${code}`
  }
}
