/**
 * ClusterOrder: rows in an order that brings near values of several columns together.
 *
 * CO1  One column: its own order. Several: the Z-order (Morton, 1966) of where each value
 *      stands among the column's quantiles, so that neither skew nor type matters.
 * CO2  Whatever the order, no row is lost or doubled: it is an ORDER BY and no more.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { identifier, literal } from './sql-text.ts'

/** Rows that the quantiles are taken of. */
const SAMPLE_ROWS = 100_000
/** Bits a column: 64 steps. More columns than this leaves room for share a 62-bit key. */
const BITS = 6
const KEY_BITS = 60

/** `columns`: physical names, among those of `select`. */
export async function clusterOrder(connection: DuckDBConnection, select: string,
  columns: readonly string[]): Promise<string> {
  const names = columns.map(identifier)
  if (names.length === 1) return `SELECT * FROM (${select}) ORDER BY ${names[0] ?? ''}`
  const bits = Math.max(1, Math.min(BITS, Math.floor(KEY_BITS / names.length)))
  const steps = 2 ** bits
  const shares = Array.from({ length: steps - 1 }, (_, at) => (at + 1) / steps)
  const bounds = names.map((name, at) =>
    `quantile_disc(${name}, [${shares.join(', ')}]) AS bounds_${at}`)
  await connection.run('CREATE OR REPLACE TEMP TABLE cluster_bounds AS '
    + `SELECT ${bounds.join(', ')} FROM (SELECT ${names.join(', ')} FROM (${select}) `
    + `USING SAMPLE reservoir(${SAMPLE_ROWS} ROWS))`)
  for (const at of names.keys()) {
    await connection.run(`SET VARIABLE cluster_bounds_${at} = `
      + `(SELECT bounds_${at} FROM cluster_bounds)`)
  }
  const key = Array.from({ length: bits }, (_, bit) => names.map((_name, at) =>
    `(((step_${at} >> ${bit}) & 1) << ${bit * names.length + at})`)).flat().join(' | ')
  const inner = names.map((name, at) => `${stepOf(name, at, 0, steps - 1)} AS step_${at}`)
  return `SELECT * EXCLUDE (${names.map((_, at) => `step_${at}`).join(', ')}) FROM `
    + `(SELECT *, ${inner.join(', ')} FROM (${select})) ORDER BY ${key}, ${names.join(', ')}`
}

/** How many of the bounds lie below the value: a search by halves. NULL is on step 0. */
function stepOf(name: string, at: number, low: number, high: number): string {
  if (low === high) return String(low)
  const middle = (low + high) >> 1
  return `CASE WHEN ${name} > getvariable(${literal(`cluster_bounds_${at}`)})[${middle + 1}] `
    + `THEN ${stepOf(name, at, middle + 1, high)} ELSE ${stepOf(name, at, low, middle)} END`
}
