/**
 * The measured corpus, statement by statement: what the router takes gives PostgreSQL's own
 * text in DuckDB, or raises; on each server version's own trees.
 */
import { expect, it } from 'vitest'
import { describeWith } from '../support/requires.ts'
import { startScratchPostgres } from '../support/scratch-postgres.ts'
import { edgeTables, semanticsCases } from '../support/semantics.ts'
import { Differential, type Verdict } from './differential.ts'

/** Rows that the mirror cannot hold: infinite times and years before 1. */
const UNMIRRORABLE = `
  delete from dts where id in (5, 7, 8);
  delete from grp where id in (10, 11)`
const EQUAL_MIN = 1600

interface Tally {
  readonly equal: number
  readonly raised: number
  readonly differing: readonly string[]
}

async function run(version: 16 | 17 | 18, everyNth: number): Promise<Tally> {
  await using postgres = await startScratchPostgres(version)
  await postgres.client.query(edgeTables())
  await postgres.client.query(UNMIRRORABLE)
  const differential = await Differential.open(postgres.client, 'America/New_York')
  await differential.mirror('public')
  const verdicts: { readonly text: string; readonly verdict: Verdict }[] = []
  for (const [index, { id, sql, verdict }] of semanticsCases().entries()) {
    if (index % everyNth !== 0) continue
    verdicts.push({ text: `${id} (${verdict}): ${sql}`, verdict: await differential.compare(sql) })
  }
  const of = (kind: Verdict['kind']): typeof verdicts =>
    verdicts.filter((item) => item.verdict.kind === kind)
  return { equal: of('equal').length, raised: of('raised').length,
    differing: of('differs').map((item) => `${item.text}\n${JSON.stringify(item.verdict)}`) }
}

describeWith(['semantics'], 'the semantics corpus through the router', () => {
  it('nothing that is routed differs from PostgreSQL 18', async () => {
    const { equal, differing } = await run(18, 1)
    expect(differing.join('\n')).toBe('')
    expect(equal).toBeGreaterThanOrEqual(EQUAL_MIN)
  }, 120_000)

  it.each([16, 17] as const)('nor from PostgreSQL %i', async (version) => {
    const { equal, differing } = await run(version, 7)
    expect(differing.join('\n')).toBe('')
    expect(equal).toBeGreaterThanOrEqual(EQUAL_MIN / 8)
  }, 120_000)
})
