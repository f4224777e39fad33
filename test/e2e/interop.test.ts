/** Stock Spark, delta-rs and the Java kernel read what PostgreSQL holds, row for row. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeWith } from '../support/requires.ts'
import { judge } from '../support/semantics.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

const TYPES = `id int PRIMARY KEY, s smallint, b bigint, n numeric(12,2), w numeric(38,10),
  u numeric, ok boolean, t text, v varchar(20), c char(5), f real, g double precision, d date,
  ts timestamp, tz timestamptz, bin bytea, uu uuid, j json, jb jsonb, iv interval, tm time, ip inet,
  ia int[], ta text[]`

const ROWS = `
 (1, 1, 1, 1.50, 1.5, 1.5, true, 'text', 'var', 'ab', 1.5, 1.5, '2024-02-29',
  '2024-01-31 12:34:56.789012', '2024-01-31 12:34:56.789012+00', '\\x00ff', gen_random_uuid(),
  '{"a": 1}', '{"b": [1, null]}', '1 mon 2 days', '12:00', '10.0.0.1', '{1,NULL,3}', '{a,NULL,""}'),
 (2, -32768, -9223372036854775808, -9999999999.99, -9999999999999999999999999999.9999999999,
  -12345678901234567.123456789, false, '', '', '', '-Infinity', '-0', '0001-01-01',
  '0001-01-01', '0001-01-01 00:00+00', '', '00000000-0000-0000-0000-000000000000',
  'null', 'null', '0', '00:00', '::1', '{}', '{}'),
 (3, 32767, 9223372036854775807, 9999999999.99, 9999999999999999999999999999.9999999999,
  99999999999999999999.999999999999999999, true, E'é😀 "q" \\\\ \\n\\t', 'O''Neil', 'é😀',
  'NaN', 'NaN',
  '9999-12-31', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', '\\xdeadbeef',
  'ffffffff-ffff-ffff-ffff-ffffffffffff', '[]', '"x"', '-1 day', '23:59:59.999999', '10.0.0.0/8',
  '{2147483647}', '{"a b","c,d","null"}'),
 (4, ${Array.from({ length: 23 }, () => 'NULL').join(', ')})`

describeWith(['python', 'jars'], 'stock Delta readers', () => {
  let schema: SharedSchema
  let client: SqlClient
  beforeAll(async () => {
    schema = await SharedSchema.create('interop')
    client = await schema.connect()
    return async () => { await client.end() }
  })

  async function agree(table: string): Promise<void> {
    const { found, expected } = await schema.compare(client, table)
    expect({ table, ...found }).toEqual({ table, ...expected })
  }

  it('every type, by initial copy', async () => {
    await client.query(`CREATE TABLE copied (${TYPES}); INSERT INTO copied VALUES ${ROWS}`)
    await schema.mirrored(client, ['copied'])
    await agree('copied')
  })

  it('every type, by replication; updates and deletes leave deletion vectors', async () => {
    await client.query(`CREATE TABLE streamed (${TYPES})`)
    await schema.mirrored(client, ['streamed'])
    await client.query(`INSERT INTO streamed VALUES ${ROWS}`)
    await agree('streamed')
    await client.query(`INSERT INTO streamed (id, t) SELECT i, 't' || i
      FROM generate_series(10, 5000) i`)
    await agree('streamed')
    await client.query(`UPDATE streamed SET t = t || '!', n = 7 WHERE id % 3 = 0`)
    await client.query('DELETE FROM streamed WHERE id % 7 = 0')
    await agree('streamed')
  })

  it('an empty table, and one truncated', async () => {
    await client.query('CREATE TABLE empty (id int PRIMARY KEY, v text)')
    await schema.mirrored(client, ['empty'])
    await agree('empty')
    await client.query('TRUNCATE streamed')
    await agree('streamed')
  })

  it('names that need quotes', async () => {
    await client.query(`CREATE TABLE "Odd name; '"
      ("Id" int PRIMARY KEY, "sel ect" text, "a.b" int)`)
    await client.query(`INSERT INTO "Odd name; '" VALUES (1, 'x', 2)`)
    await schema.mirrored(client, [`Odd name; '`])
    await agree(`Odd name; '`)
  })

  it('many versions: a checkpoint is written and read', async () => {
    await client.query('CREATE TABLE versions (id int PRIMARY KEY, v int)')
    await schema.mirrored(client, ['versions'])
    for (let i = 0; i < 55; i++) {
      await client.query(`INSERT INTO versions VALUES (${i}, ${i});
        UPDATE versions SET v = v + 1 WHERE id % 2 = 0`)
      await client.query('SELECT slipway.flush()')
    }
    const log = readdirSync(join(schema.folder('versions'), '_delta_log'))
    expect(log.filter((name) => name.endsWith('.checkpoint.parquet')).length).toBeGreaterThan(0)
    await agree('versions')
  })
})

describe('every type answers the same columnar', () => {
  it('as text, copied and streamed', async () => {
    const schema = await SharedSchema.create('every_type')
    await using client = await schema.connect()
    await client.query(`SET timezone = 'America/New_York'`)
    await client.query(`CREATE TABLE copied (${TYPES}); INSERT INTO copied VALUES ${ROWS}`)
    await client.query(`CREATE TABLE streamed (${TYPES})`)
    await schema.mirrored(client, ['copied', 'streamed'])
    await client.query(`INSERT INTO streamed SELECT * FROM copied`)
    const columns = 'id, s, b, n, w, ok, t, v, c, f, g, d, ts, tz, bin, uu, ia, ta'.split(', ')
    for (const table of ['copied', 'streamed']) {
      const outcomes = []
      for (const column of columns) {
        const sql = `SELECT ${column}, count(*) FROM ${table} GROUP BY id, ${column} ORDER BY id`
        outcomes.push({ column, ...await judge(client, sql) })
      }
      expect(outcomes.filter(({ kind }) => kind === 'differs')).toEqual([])
      const routed = outcomes.filter(({ kind }) => kind === 'equal')
      expect(routed.length, JSON.stringify(outcomes)).toBeGreaterThanOrEqual(14)
    }
  })
})
