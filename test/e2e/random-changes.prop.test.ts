/**
 * Random work on two tables: whatever happened, columnar answers what PostgreSQL answers, from
 * the tail and from files. fast-check prints the seed and the shortest failing list of steps;
 * SLIPWAY_TEST_SEED replays it.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { columnarOnceReady, inPostgres } from '../support/mirror.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

const RUNS = 12
const SEED = Number(process.env['SLIPWAY_TEST_SEED'] ?? 20_261_123)

/** `%t` is the table of the step. */
const table = fc.constantFrom('one', 'two')
const part = fc.record({ of: fc.integer({ min: 1, max: 7 }), is: fc.integer({ min: 0, max: 6 }) })
  .map(({ of, is }) => `id % ${of} = ${is % of}`)
const from = fc.integer({ min: 0, max: 400 })

const change: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(from, fc.integer({ min: 1, max: 120 })).map(([start, count]) =>
    `INSERT INTO %t (id, v, t) SELECT i, i, CASE WHEN i % 5 > 0 THEN 't' || i END
     FROM generate_series(${start}, ${start + count}) i ON CONFLICT DO NOTHING`) },
  { weight: 3, arbitrary: fc.tuple(part, from).map(([where, by]) =>
    `UPDATE %t SET v = v + ${by} WHERE ${where}`) },
  { weight: 2, arbitrary: part.map((where) => `DELETE FROM %t WHERE ${where}`) },
  { weight: 1, arbitrary: part.map((where) =>
    `UPDATE %t AS x SET id = id + 10000 WHERE ${where} AND id < 10000
     AND NOT EXISTS (SELECT FROM %t AS y WHERE y.id = x.id + 10000)`) },
  { weight: 1, arbitrary: part.map((where) =>
    `UPDATE %t SET t = (SELECT string_agg(md5(j::text), '') FROM generate_series(1, 200) j)
     WHERE ${where}`) },
  { weight: 1, arbitrary: fc.constant('TRUNCATE %t') },
)

/** What one client does, in its order. */
const step: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(change, table)
    .map(([sql, name]) => sql.replaceAll('%t', name)) },
  { weight: 3, arbitrary: fc.tuple(
    fc.array(fc.tuple(change, table), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('COMMIT', 'COMMIT', 'ROLLBACK'), fc.boolean())
    .map(([changes, end, inner]) => transaction(changes, end, inner)) },
  { weight: 1, arbitrary: fc.constant('SELECT slipway.flush()') },
  { weight: 1, arbitrary: fc.tuple(table, fc.constantFrom(
    'ALTER TABLE %t ADD COLUMN extra int', 'ALTER TABLE %t DROP COLUMN IF EXISTS extra',
    'ALTER TABLE %t ADD COLUMN IF NOT EXISTS filled int DEFAULT 3',
    'ALTER TABLE %t DROP COLUMN IF EXISTS filled')).map(([name, sql]) =>
    sql.replaceAll('%t', name).replace('ADD COLUMN extra', 'ADD COLUMN IF NOT EXISTS extra')) },
)

function transaction(
  changes: readonly (readonly [string, string])[], end: string, inner: boolean,
): string {
  const work = changes.map(([sql, name]) => sql.replaceAll('%t', name))
  const rolledBack = inner ? ['SAVEPOINT s', ...work, 'ROLLBACK TO s'] : []
  return ['BEGIN', ...rolledBack, ...work, end].join('; ')
}

describe('random work', () => {
  let schema: SharedSchema
  let client: SqlClient
  beforeAll(async () => {
    schema = await SharedSchema.create('random_work')
    client = await schema.connect()
    return async () => { await client.end() }
  })

  it(`${RUNS} lists of steps leave both sides equal`, async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }),
      async (steps) => {
        await client.query(`DROP TABLE IF EXISTS one, two;
          CREATE TABLE one (id int PRIMARY KEY, v bigint NOT NULL, t text);
          CREATE TABLE two (v bigint, t text, id int PRIMARY KEY)`)
        await schema.mirrored(client, ['one', 'two'])
        for (const sql of steps) await client.query(sql)
        // A column with a default may have asked for a new copy.
        await schema.mirrored(client, ['one', 'two'])
        await equal()
        await client.query('SELECT slipway.flush()')
        await equal()
      }), { numRuns: RUNS, seed: SEED, interruptAfterTimeLimit: 150_000 })
    if (inject('readers') === '') return
    for (const name of ['one', 'two']) {
      const { found, expected } = await schema.compare(client, name, ['delta-rs'])
      expect({ name, ...found }).toEqual({ name, ...expected })
    }
  }, 900_000)

  async function equal(): Promise<void> {
    for (const name of ['one', 'two']) {
      const sql = `SELECT id, v, t, count(*) FROM ${name} GROUP BY id, v, t ORDER BY id`
      expect(await columnarOnceReady(client, sql), name).toEqual(await inPostgres(client, sql))
    }
    const joined = `SELECT count(*), sum(one.v), sum(two.v), max(one.t)
      FROM one LEFT JOIN two ON one.id = two.id`
    expect(await columnarOnceReady(client, joined)).toEqual(await inPostgres(client, joined))
  }
})
