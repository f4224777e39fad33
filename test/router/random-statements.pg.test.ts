/** Whatever is routed of random statements answers as PostgreSQL does. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { startScratchPostgres } from '../support/scratch-postgres.ts'
import { Differential, type Verdict } from './differential.ts'
import { RANDOM_TABLES, randomStatement } from './random-statement.ts'

/** RANDOM_STATEMENTS=20000 looks longer. */
const STATEMENTS = Number(process.env['RANDOM_STATEMENTS'] ?? 800)
const ROUTED_SHARE_MIN = 0.3

/** Found so, and silently wrong once. */
const ONCE_WRONG = [
  // date_trunc() of NULL against a constant that is no month's first moment.
  `select count(*) from l x left join r y on x.i = y.id
     where date_trunc('month', y.ts) <> timestamp '2024-11-03'`,
  `select count(*) filter (where (date_trunc('month', y.tz) = timestamptz '2024-11-03') is null)
     from l x left join r y on x.i = y.id`,
]

/** 0.0 and 0.00 are one sort key: the order of rows that differ in nothing else is open. */
function differInTiesAlone(verdict: Extract<Verdict, { readonly kind: 'differs' }>): boolean {
  const sorted = (text: string): string => text.split('\n').sort().join('\n')
  const unscaled = (text: string): string =>
    text.replace(/(\.\d*?)0+"/g, '$1"').replace(/\."/g, '"')
  return sorted(verdict.postgres) === sorted(verdict.columnar)
    && unscaled(verdict.postgres) === unscaled(verdict.columnar)
}

it('random statements: what is routed is equal', async () => {
  await using postgres = await startScratchPostgres(18)
  await postgres.client.query(RANDOM_TABLES)
  const differential = await Differential.open(postgres.client, 'America/New_York')
  await differential.mirror('public')
  for (const sql of ONCE_WRONG) expect((await differential.compare(sql)).kind, sql).toBe('equal')
  let routed = 0
  await fc.assert(fc.asyncProperty(fc.integer(), async (seed) => {
    const sql = randomStatement(seed)
    const verdict = await differential.compare(sql)
    if (verdict.kind === 'equal') routed++
    if (verdict.kind === 'differs' && !differInTiesAlone(verdict)) {
      throw new Error(`${sql}\nDuckDB:     ${verdict.sql}\npostgres: ${verdict.postgres}\n`
        + `columnar: ${verdict.columnar}`)
    }
  }), { numRuns: STATEMENTS })
  expect(routed / STATEMENTS).toBeGreaterThan(ROUTED_SHARE_MIN)
}, 600_000)
