/** The mirror against real PostgreSQL: types, copies, DDL, suspension. */
import { join } from 'node:path'
import type { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseLsn } from '../../src/base/lsn.ts'
import type { PostgresReplicationSource } from '../../src/oltp/replication-source.ts'
import { PostgresFixture } from '../oltp/postgres-fixture.ts'
import { queryDeltaRs } from '../support/delta-rs.ts'
import { itWith } from '../support/requires.ts'
import { MirrorBench } from './mirror-bench.ts'

let fixture: PostgresFixture
let source: PostgresReplicationSource
let client: Client
let bench: MirrorBench
let directory: string

beforeAll(async () => {
  fixture = await PostgresFixture.start(18)
  client = await fixture.connect()
  await client.query(`create table early (id int primary key, t text, d date);
    insert into early
      select g, 'text ' || g, date '2000-01-01' + g from generate_series(1, 5000) g`)
  source = await fixture.source()
  directory = await MirrorBench.folder()
  bench = await MirrorBench.start(directory, source)
}, 60_000)

afterAll(async () => {
  await bench[Symbol.asyncDispose]()
  await client.end()
  await source.close()
  await fixture.stop()
})

async function one(sql: string): Promise<string> {
  const { rows } = await client.query<{ v: string }>(`select (${sql})::text as v`)
  return rows[0]?.v ?? ''
}

async function relid(table: string): Promise<number> {
  return Number(await one(`'${table}'::regclass::oid`))
}

async function columnar(table: string, select: string, columns: readonly number[])
  : Promise<string[]> {
  const at = await relid(table)
  return await bench.query(
    [`SELECT ${select} FROM `, { relid: at as never, columns, prune: [] }, ' t'],
    parseLsn(await one('pg_current_wal_insert_lsn()')))
}

async function becomes(table: string, state: string): Promise<string | null> {
  const at = await relid(table)
  await bench.mirror.progress.waitFor(parseLsn(await one('pg_current_wal_insert_lsn()')),
    { timeoutMs: 60_000, signal: new AbortController().signal })
  for (let turn = 0; turn < 400; turn++) {
    const row = bench.mirror.status().find((each) => each.relid === at)
    if (row?.state === state) return row.reason
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`${table}: ${JSON.stringify(bench.mirror.status().map((row) =>
    [row.relid, row.state, row.reason]))}`)
}

test('a table that was there is copied, then followed', async () => {
  await bench.ready(await relid('early'))
  expect(await columnar('early', 'count(*), sum(c1), max(c2)', [1, 2]))
    .toEqual([JSON.stringify(['5000', '12502500', 'text 999'])])
  await client.query(`update early set t = t || '!' where id <= 10;
    delete from early where id > 4990;
    insert into early values (9999, null, null)`)
  expect(await columnar('early', 'count(*), count(c2), count(*) FILTER (c2 LIKE \'%!\')', [1, 2]))
    .toEqual([JSON.stringify(['4991', '4990', '10'])])
})

test('every type comes back as it was, copied and streamed', async () => {
  const types = `id int primary key, i2 int2, i8 int8, f4 float4, f8 float8, b bool, n numeric,
    n2 numeric(12,2), n38 numeric(38,10), t text, v varchar(10), c char(5), d date, ts timestamp,
    tz timestamptz, by bytea, u uuid, j jsonb, ia int[], ta text[], na numeric(6,2)[], iv interval`
  const values = [
    `1, -32768, 9223372036854775807, 0.1, 1e-300, true, 12345678901234567890.123456789012345678,
     -0.01, 1234567890123456789012345678.0123456789, 'quo"te, comma' || chr(10) || 'line',
     'abc', 'ab', '0001-01-01', '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00.5+02', '\\x00ff',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": [1, null]}', '{1,null,-3}',
     array['a"b', null, '', 'NULL', 'x y', 'c,d', '{}', '\\', E'n\\n'],
     '{1.50,-2.25}', '1 day 02:03'`,
    `2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null`,
    `3, 0, 0, 'NaN', '-Infinity', false, 0, 0, 0, '', '', '', '1970-01-01', '1970-01-01',
     '1970-01-01 00:00:00+00', '', '00000000-0000-0000-0000-000000000000', 'null', '{}', '{}',
     '{}', '0'`,
  ]
  await client.query(`create table copied (${types});
    ${values.map((row) => `insert into copied values (${row});`).join('\n')}`)
  await client.query(`create table streamed (${types})`)
  await bench.ready(await relid('copied'))
  await bench.ready(await relid('streamed'))
  for (const row of values) await client.query(`insert into streamed values (${row})`)
  const columns = Array.from({ length: 22 }, (_, at) => at + 1)
  const list = columns.map((attnum) => `c${attnum}`).join(', ')
  const copied = await columnar('copied', list, columns)
  const streamed = await columnar('streamed', list, columns)
  expect(streamed).toEqual(copied)
  expect(copied[0]).toBe(JSON.stringify(['1', '-32768', '9223372036854775807',
    '0.10000000149011612', '1e-300', 'true', '12345678901234567890.123456789012345678', '-0.01',
    '1234567890123456789012345678.0123456789', 'quo"te, comma\nline', 'abc', 'ab', '0001-01-01',
    '9999-12-31 23:59:59.999999', '2024-02-29 10:00:00.5+00', '\\x00\\xFF',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": [1, null]}', '[1, NULL, -3]',
    "['a\"b', NULL, '', 'NULL', 'x y', 'c,d', '{}', '\\', 'n\n']", '[1.50, -2.25]',
    '1 day 02:03:00']))
  await client.query('select slipway.flush()')
  expect(await columnar('streamed', list, columns)).toEqual(copied)
})

test('zeros that end a numeric are its display scale: the value is held', async () => {
  const rows = "(1, 1 / 4.0), (2, 1.50000000000000000000000), (3, -7.00000000000000000001 * 0)"
  await client.query(`create table scaled (id int primary key, n numeric);
    insert into scaled values ${rows}`)
  await bench.ready(await relid('scaled'))
  const expected = ['["1","0.250000000000000000"]', '["2","1.500000000000000000"]',
    '["3","0.000000000000000000"]']
  expect(await columnar('scaled', 'c1, c2', [1, 2])).toEqual(expected)
  await client.query(`truncate scaled; insert into scaled values ${rows}`)
  expect(await columnar('scaled', 'c1, c2', [1, 2])).toEqual(expected)
  await client.query('insert into scaled values (4, 0.0000000000000000001)')
  expect(await becomes('scaled', 'errored')).toMatch(/column n/)
})

test('a new table is ready at once, with what its transaction put into it', async () => {
  await client.query(`begin; create table fresh (id bigint primary key, x int);
    insert into fresh select g, g from generate_series(1, 100) g; commit`)
  const began = performance.now()
  await bench.ready(await relid('fresh'))
  expect(performance.now() - began).toBeLessThan(2_000)
  expect(await columnar('fresh', 'sum(c2)', [2])).toEqual(['["5050"]'])
})

test('unchanged TOAST, a changed key and TRUNCATE', async () => {
  await client.query('create table toasted (id int primary key, n int, big text)')
  await client.query('alter table toasted alter big set storage external')
  await bench.ready(await relid('toasted'))
  await client.query(`insert into toasted
    select g, 0, repeat('x' || g, 5000) from generate_series(1, 4) g`)
  await client.query('select slipway.flush()')
  await client.query('update toasted set n = 1 where id = 1')
  await client.query(`update toasted set n = 2 where id = 1;
    update toasted set id = 20 where id = 2`)
  await client.query(`begin; update toasted set n = 3 where id = 3;
    update toasted set id = 30 where id = 3; commit`)
  const query = `c1, c2, md5(c3)`
  const expected = (await client.query<{ v: string }>(
    `select array_to_json(array[id::text, n::text, md5(big)])::text v from toasted`)).rows
    .map(({ v }) => JSON.stringify(JSON.parse(v))).sort()
  expect(await columnar('toasted', query, [1, 2, 3])).toEqual(expected)
  await client.query('select slipway.flush()')
  expect(await columnar('toasted', query, [1, 2, 3])).toEqual(expected)
  await client.query('begin; truncate toasted; insert into toasted values (7, 7, null); commit')
  expect(await columnar('toasted', 'c1, c2, c3', [1, 2, 3])).toEqual(['["7","7","null"]'])
})

test('columns are added, renamed and dropped; a rewrite copies anew', async () => {
  await client.query(`create table shape (id int primary key, a int);
    insert into shape values (1, 10)`)
  await bench.ready(await relid('shape'))
  await client.query('select slipway.flush()')
  await client.query('alter table shape add column b text')
  await client.query("insert into shape values (2, 20, 'two')")
  expect(await columnar('shape', 'c1, c2, c3', [1, 2, 3]))
    .toEqual(['["1","10","null"]', '["2","20","two"]'])
  await client.query('alter table shape rename column a to z')
  await client.query("insert into shape values (3, 30, 'three')")
  await client.query('select slipway.flush()')
  expect(await bench.lakeRows('shape', 'id')).toEqual(['["1"]', '["2"]', '["3"]'])
  await client.query('alter table shape drop column z')
  await client.query("update shape set b = 'one' where id = 1")
  expect(await columnar('shape', 'c1, c3', [1, 3]))
    .toEqual(['["1","one"]', '["2","two"]', '["3","three"]'])
  await client.query('select slipway.flush()')
  expect(await columnar('shape', 'c1, c3', [1, 3]))
    .toEqual(['["1","one"]', '["2","two"]', '["3","three"]'])
  await client.query(`alter table shape add column k int not null default 7`)
  await becomes('shape', 'ready')
  expect(await columnar('shape', 'c1, c4', [1, 4])).toEqual(['["1","7"]', '["2","7"]', '["3","7"]'])
  await client.query('alter table shape alter column k type text using k::text')
  await client.query('select slipway.flush()')
  await becomes('shape', 'ready')
  expect(await columnar('shape', 'c1, c4', [1, 4])).toEqual(['["1","7"]', '["2","7"]', '["3","7"]'])
})

test('equal bytes and zeros of either sign are found in files, too', async () => {
  await client.query(`create table bytes (id int primary key, b bytea, f float8);
    insert into bytes select g, case g % 2 when 0 then '\\xaa00'::bytea else 'abc' end,
      case g % 3 when 0 then '-0'::float8 when 1 then 0 else 1.5 end
    from generate_series(1, 6000) g`)
  await bench.ready(await relid('bytes'))
  await client.query('select slipway.flush()')
  expect(await columnar('bytes', "count(*) FILTER (c2 = '\\xAA\\x00'::BLOB)", [2]))
    .toEqual(['["3000"]'])
  const from = async (where: string, columns: readonly number[]): Promise<string[]> =>
    await bench.query(['SELECT count(*) FROM ',
      { relid: await relid('bytes') as never, columns, prune: [] }, ` t WHERE ${where}`],
    parseLsn(await one('pg_current_wal_insert_lsn()')))
  expect(await from("c2 = '\\xAA\\x00'::BLOB", [2])).toEqual(['["3000"]'])
  expect(await from('c3 = 0::DOUBLE', [3])).toEqual(['["4000"]'])
  expect(await from('c3 = -0.0::DOUBLE', [3])).toEqual(['["4000"]'])
})

itWith(['python'], 'columns change before the table\'s first flush', async () => {
  await client.query(`create table early_shape (id int primary key, a text, b int);
    insert into early_shape values (1, 'one', 10)`)
  await bench.ready(await relid('early_shape'))
  await client.query('alter table early_shape rename column a to z')
  await becomes('early_shape', 'ready')
  await client.query('alter table early_shape drop column b')
  await client.query("insert into early_shape values (2, 'two')")
  await becomes('early_shape', 'ready')
  await client.query('alter table early_shape add column b text')
  await client.query("insert into early_shape values (3, 'three', 'b')")
  await becomes('early_shape', 'ready')
  await client.query('select slipway.flush()')
  const rows = [['1', 'one', null], ['2', 'two', null], ['3', 'three', 'b']]
  expect(await columnar('early_shape', 'c1, c2, c4', [1, 2, 4]))
    .toEqual(rows.map((row) => JSON.stringify(row.map(String))).sort())
  const lake = await queryDeltaRs(join(bench.directory, 'lake', 'public', 'early_shape'),
    'select id, z, b from t order by id')
  expect(lake.rows).toEqual(rows)
})

test('a value that cannot be held suspends its table alone', async () => {
  await client.query(`create table odd (id int primary key, n numeric);
    create table even (id int primary key)`)
  await bench.ready(await relid('odd'))
  await bench.ready(await relid('even'))
  await client.query("insert into odd values (1, 'NaN'); insert into even values (1)")
  expect(await columnar('even', 'c1', [1])).toEqual(['["1"]'])
  expect(await becomes('odd', 'errored')).toMatch(/column n/)
  await client.query('select slipway.flush()')
  await client.query("update odd set n = 1; select slipway.include('odd')")
  await becomes('odd', 'ready')
  expect(await columnar('odd', 'c1, c2', [1, 2])).toEqual(['["1","1.000000000000000000"]'])
  await client.query(`create table odder (id int primary key, d date);
    insert into odder values (1, 'infinity')`)
  expect(await becomes('odder', 'errored')).toMatch(/column d holds/)
})

test('tables are renamed and dropped', async () => {
  await client.query('create table before (id int primary key); insert into before values (1)')
  await bench.ready(await relid('before'))
  await client.query('select slipway.flush()')
  await client.query('alter table before rename to after; insert into after values (2)')
  await becomes('after', 'ready')
  expect(await columnar('after', 'c1', [1])).toEqual(['["1"]', '["2"]'])
  await client.query('select slipway.flush()')
  expect(await bench.lakeRows('after', 'id')).toEqual(['["1"]', '["2"]'])
  await expect(bench.lakeRows('before', 'id')).rejects.toThrow('no Delta table')
  const gone = await relid('after')
  await client.query('drop table after')
  await client.query('create table after (id int primary key, x int)')
  await bench.ready(await relid('after'))
  expect(bench.mirror.status().some((row) => row.relid === gone)).toBe(false)
  await client.query('select slipway.flush()')
  expect(await bench.lakeRows('after', 'id')).toEqual([])
})

test('after a restart everything is there, and one large transaction too', async () => {
  await client.query(`insert into early
    select g, 'bulk', null from generate_series(10001, 130000) g`)
  await client.query('update early set d = current_date where id > 100000')
  await bench.stop()
  await client.query('delete from early where id > 120000')
  bench = await MirrorBench.start(directory, source)
  await bench.ready(await relid('early'))
  expect(await columnar('early', 'count(*), sum(c1), count(c3)', [1, 3])).toEqual([
    JSON.stringify([await one('select count(*) from early'), await one('select sum(id) from early'),
      await one('select count(d) from early')])])
})
