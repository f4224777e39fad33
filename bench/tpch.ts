/**
 * TPC-H through the gateway against DuckDB alone on the same Parquet files and against
 * PostgreSQL, interleaved; the least of several rounds each.
 *
 * Arguments: [scale, 1 or 0.1; default 1] [rounds, default 3]
 */
import { execFileSync } from 'node:child_process'
import { tpchFolder } from '../test/support/cache.ts'
import { mirrored, tableFolder } from '../test/support/mirror.ts'
import { Slipway } from '../test/support/slipway.ts'
import type { SqlClient } from '../test/support/sql-client.ts'
import {
  createTpchTables, loadTpch, TPCH_QUERIES, TPCH_TABLE_NAMES, type TpchQuery,
} from '../test/support/tpch.ts'
import { openParquetTables } from './support/parquet-tables.ts'
import type { BenchReport } from './support/report.ts'
import { geometricMean, timed } from './support/statistics.ts'

interface Timing {
  readonly id: string
  /** Milliseconds; null: not columnar. */
  readonly columnar: number | null
  readonly postgres: number
  readonly duckdb: number
}

export async function bench(args: readonly string[]): Promise<BenchReport> {
  const [scale = '1', rounds = '3'] = args
  execFileSync(process.execPath,
    ['test/provision.js', 'python', scale === '1' ? 'tpch1' : 'tpch'], { stdio: 'inherit' })
  await using slipway = await Slipway.start({ args: ['--engine-memory', '6GB'] })
  await using client = await slipway.connect()
  await createTpchTables(client)
  const load = await timed(() => loadTpch(slipway.address, tpchFolder(scale)))
  await mirrored(client, TPCH_TABLE_NAMES, { withinMs: 600_000 })
  await client.query('SELECT slipway.flush()')
  const folders = TPCH_TABLE_NAMES.map((name) => [name, tableFolder(slipway.shared, name)])
  const duckdb = await openParquetTables(Object.fromEntries(folders) as Record<string, string>)
  const alone = async (sql: string): Promise<void> => {
    await (await duckdb.run(sql)).fetchAllChunks()
  }
  const timings: Timing[] = []
  for (const query of TPCH_QUERIES) {
    timings.push(await measure(query, client, alone, Number(rounds)))
    process.stdout.write(`${render(timings.at(-1))}\n`)
  }
  duckdb.closeSync()
  return summary(timings, load)
}

async function measure(
  { id, sql }: TpchQuery, client: SqlClient, alone: (sql: string) => Promise<void>, rounds: number,
): Promise<Timing> {
  const through = async (route: string): Promise<number> => {
    await client.query(`SET slipway.route = '${route}'`)
    return timed(() => client.query(sql))
  }
  let [columnar, postgres, duckdb]: [number | null, number, number] = [Infinity, Infinity, Infinity]
  for (let round = 0; round < rounds; round++) {
    if (columnar !== null) {
      const best: number = columnar
      columnar = await through('columnar').then((ms) => Math.min(ms, best), (error: unknown) => {
        if ((error as { code?: string }).code === 'SW002') return null
        throw error
      })
    }
    duckdb = Math.min(duckdb, await timed(() => alone(sql)))
    postgres = Math.min(postgres, await through('postgres'))
  }
  return { id, columnar, postgres, duckdb }
}

function render(timing: Timing | undefined): string {
  if (timing === undefined) return ''
  const ms = (value: number | null): string => (value?.toFixed(0) ?? '-').padStart(8)
  return `${timing.id.padEnd(4)} columnar ${ms(timing.columnar)}  duckdb ${ms(timing.duckdb)}`
    + `  postgres ${ms(timing.postgres)} ms`
}

function summary(timings: readonly Timing[], loadMs: number): BenchReport {
  const routed = timings.filter((t): t is Timing & { columnar: number } => t.columnar !== null)
  const overDuckdb = geometricMean(routed.map((t) => t.columnar / t.duckdb))
  const overPostgres = geometricMean(routed.map((t) => t.postgres / t.columnar))
  return {
    lines: [`loaded through the gateway in ${(loadMs / 1000).toFixed(1)} s; `
      + `${routed.length} of ${timings.length} run columnar`],
    bars: [
      { name: 'columnar against DuckDB alone (geometric mean)', value: overDuckdb, unit: 'times',
        limit: { kind: 'most', value: 1.6 } },
      { name: 'faster than PostgreSQL (geometric mean)', value: overPostgres, unit: 'times',
        limit: { kind: 'least', value: 2 } },
    ],
  }
}
