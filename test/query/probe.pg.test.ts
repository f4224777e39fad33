/** Probe (P1-P3) and its statements (S1-S3): settings put back, search_path of no effect. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  EXPLAIN_PREFIX, PROBE_BEGIN_SQL, PROBE_END_SQL, PROBE_QUIET_SQL,
} from '../../src/query/probe-sql.ts'
import { parseProbe, parseTimeoutMs, ProbeMismatch, TREE_NOTICE, type Probe }
  from '../../src/query/probe.ts'
import { startScratchPostgres, type ScratchPostgres } from '../support/scratch-postgres.ts'

let postgres: ScratchPostgres
beforeAll(async () => { postgres = await startScratchPostgres() })
afterAll(() => postgres[Symbol.asyncDispose]())

interface NoticeText { message?: string | undefined; detail?: string | undefined }

async function probe(sql: string): Promise<Probe> {
  const { client } = postgres
  let tree: string | null = null
  const onNotice = (notice: NoticeText): void => {
    if (notice.message === TREE_NOTICE) tree ??= notice.detail ?? null
  }
  client.on('notice', onNotice)
  const text = async (query: string): Promise<(string | null)[]> => {
    const { rows } = await client.query<(string | null)[]>({ text: query, rowMode: 'array',
      types: { getTypeParser: () => String } })
    return rows[0] ?? []
  }
  await text(PROBE_BEGIN_SQL)
  // Prepared without being run, as the gateway does it.
  await client.query(`PREPARE probed AS ${sql}`)
  await text(PROBE_QUIET_SQL)
  const stateRow = await text(PROBE_END_SQL)
  const [explain] = await text(EXPLAIN_PREFIX + sql)
  await client.query('DEALLOCATE probed')
  client.off('notice', onNotice)
  return parseProbe({ sql, tree, columns: [], parameters: [], stateRow, explain: explain ?? '' })
}

describe('probe', () => {
  it('tells the session as it is, and leaves it so', async () => {
    const { client } = postgres
    await client.query(`BEGIN; SET LOCAL timezone = 'Europe/Berlin';
      SET LOCAL statement_timeout = '1min'; SET LOCAL slipway.route = 'columnar';
      SET LOCAL client_min_messages = 'warning'; SET LOCAL log_min_messages = 'error'`)
    const found = await probe('SELECT count(*) FROM pg_class')
    expect(found.tree).toContain('{QUERY ')
    expect(found).toMatchObject({ hasWritten: false, isolation: 'read committed',
      serverVersion: 18, settings: { timeZone: 'Europe/Berlin', statementTimeoutMs: 60_000,
        route: 'columnar', freshness: '', asOf: '', clientEncoding: 'UTF8' } })
    expect(found.totalCost).toBeGreaterThan(1)
    expect(Math.abs(Number(found.transactionTimeUs / 1000n) - Date.now())).toBeLessThan(60_000)
    for (const [name, value] of Object.entries({ client_min_messages: 'warning',
      log_min_messages: 'error', debug_print_rewritten: 'off', debug_pretty_print: 'on' })) {
      const { rows } = await client.query<{ value: string }>(
        'SELECT current_setting($1) AS value', [name])
      expect(rows[0]?.value, name).toBe(value)
    }
    await client.query('CREATE TEMP TABLE written (a int)')
    expect(await probe('SELECT count(*) FROM pg_class')).toMatchObject({ hasWritten: true })
    await client.query('ROLLBACK')
  })

  it('means the same under any search_path', async () => {
    const { client } = postgres
    await client.query(`BEGIN; CREATE SCHEMA trap;
      CREATE FUNCTION trap.set_config(text, text, boolean) RETURNS text LANGUAGE sql
        AS $$ SELECT 'trapped' $$;
      CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql
        AS $$ SELECT 'trapped' $$;
      SET LOCAL search_path = trap, pg_catalog`)
    expect((await probe('SELECT count(*) FROM pg_class')).isolation).toBe('read committed')
    await client.query('ROLLBACK')
  })

  it('statement_timeout in every unit; anything else is a mismatch', () => {
    expect(['0', '1500ms', '30s', '5min', '2h', '1d'].map(parseTimeoutMs))
      .toEqual([0, 1500, 30_000, 300_000, 7_200_000, 86_400_000])
    expect(() => parseTimeoutMs('soon')).toThrow(ProbeMismatch)
    expect(() => parseProbe({ sql: '', tree: null, columns: [], parameters: [], stateRow: [],
      explain: '' })).toThrow(ProbeMismatch)
  })
})
