import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from 'pg'
import { oid, type Oid } from '../../src/base/oid.ts'
import type { ReplicationMessage, TableCopy } from '../../src/mirror/replication.ts'
import { EMBEDDED_VERSIONS } from '../../src/oltp/postgres-binaries.ts'
import type { PostgresReplicationSource } from '../../src/oltp/replication-source.ts'
import { changesOf, PostgresFixture, Recorder } from './postgres-fixture.ts'

const never = new AbortController().signal

async function relidOf(client: Client, name: string): Promise<Oid> {
  const { rows } = await client.query<{ relid: string }>(
    'select $1::regclass::oid::text as relid', [name])
  return oid(Number(rows[0]?.relid))
}

async function csvOf(copy: TableCopy): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of copy.csv) chunks.push(Buffer.from(chunk as Buffer))
  await copy.close()
  return Buffer.concat(chunks).toString('utf8')
}

describe.each(EMBEDDED_VERSIONS)('PostgreSQL %i', (version) => {
  let fixture: PostgresFixture
  let client: Client
  let source: PostgresReplicationSource
  let recorder: Recorder

  beforeAll(async () => {
    fixture = await PostgresFixture.start(version)
    source = await fixture.source()
  })
  afterAll(async () => {
    await source.close()
    await fixture.stop()
  })
  beforeEach(async () => {
    client = await fixture.connect()
    recorder = new Recorder(source)
    await recorder.upToNow(client)
  })
  afterEach(async () => {
    await client.query('drop schema public cascade; create schema public')
    await recorder.stop()
    await client.end()
  })

  /** A table that is a member of the publication, with nothing recorded. */
  async function published(ddl: string, ...names: string[]): Promise<void> {
    await client.query(ddl)
    for (const name of names) {
      const copy = await source.copyTable(await relidOf(client, name), never)
      await csvOf(copy)
    }
    await recorder.upToNow(client)
  }

  test('inserts, updates, deletes and truncates of several tables in one transaction', async () => {
    await published(`create table a (id int primary key, v text);
      create table b (id int primary key, n numeric)`, 'a', 'b')
    await client.query(`begin; insert into a values (1, 'one'), (2, null), (3, '');
      insert into b values (1, 1.50); update a set v = 'eins' where id = 1;
      delete from a where id = 2; commit`)
    await client.query('truncate a, b')
    await client.query('begin; insert into a values (9); rollback')
    expect(changesOf(await recorder.upToNow(client))).toEqual([
      'begin', 'insert a (1,one)', 'insert a (2,NULL)', 'insert a (3,)', 'insert b (1,1.50)',
      'update a - (1,eins)', 'delete a (2,NULL)', 'commit',
      'begin', 'truncate a b', 'commit',
    ])
  })

  test('an unchanged TOAST value is marked, a changed key carries the old one', async () => {
    await published(`create table t (id int primary key, big text, n int);
      alter table t alter big set storage external`, 't')
    await client.query(`insert into t values (1, repeat('x', 5000), 1)`)
    await client.query('update t set n = 2')
    await client.query('update t set id = 7')
    await client.query('alter table t replica identity full')
    await client.query('update t set n = 3')
    expect(changesOf(await recorder.upToNow(client)).filter((text) => text.startsWith('update')))
      .toEqual([
        'update t - (1,UNCHANGED,2)',
        'update t (1,NULL,NULL)key (7,UNCHANGED,2)',
        `update t (7,${'x'.repeat(5000)},2) (7,UNCHANGED,3)`,
      ])
  })

  test('values arrive in one text form whatever the database is set to', async () => {
    await client.query(`alter database slipway set datestyle = 'SQL, DMY'`)
    await client.query(`alter database slipway set timezone = 'Asia/Tokyo'`)
    await client.query(`alter database slipway set intervalstyle = 'iso_8601'`)
    await client.query(`alter database slipway set bytea_output = 'escape'`)
    await recorder.stop()
    recorder = new Recorder(source)
    await client.query(`create table v (id int primary key, d date, t timestamptz, i interval,
      f float8, b bytea, c char(5), a int[])`)
    const insert = `insert into v values ($1, '2024-02-01', '2024-02-01 00:00:00+00',
      '1 day 02:00', 0.1::float8 + 0.2, '\\x00ff', 'ab', '{1,null}')`
    await client.query(insert, [1])
    const copy = await source.copyTable(await relidOf(client, 'v'), never)
    expect(await csvOf(copy)).toBe('1,2024-02-01,2024-02-01 00:00:00+00,1 day 02:00:00,'
      + '0.30000000000000004,\\x00ff,ab,"{1,NULL}"\n')
    await client.query(insert, [2])
    const changes = changesOf(await recorder.upToNow(client))
    await client.query('alter database slipway reset all')
    expect(changes.at(-2)).toBe(
      'insert v (2,2024-02-01,2024-02-01 00:00:00+00,1 day 02:00:00,0.30000000000000004,'
      + '\\x00ff,ab   ,{1,NULL})')
  })

  test('a copy tells NULL from the empty string, and quotes what needs it', async () => {
    await client.query(`create table t (id int primary key, v text, "odd ""name" text);
      insert into t values (1, null, ''), (2, 'a,b', 'c"d'), (3, E'x\\ny', '\\.')`)
    const copy = await source.copyTable(await relidOf(client, 't'), never)
    expect(copy.description.columns.map((column) => column.name)).toEqual(['id', 'v', 'odd "name'])
    expect(await csvOf(copy)).toBe('1,,""\n2,"a,b","c""d"\n3,"x\ny",\\.\n')
  })

  test('each transaction is in the copy or in the stream, and never in both', async () => {
    await client.query('create table t (id bigint primary key)')
    const relid = await relidOf(client, 't')
    const writers = await Promise.all([0, 1, 2].map(async () => await fixture.connect()))
    let running = true
    let written = 0
    const busy = writers.map(async (writer, number) => {
      for (let i = 0; running; i++) {
        await writer.query('begin')
        await writer.query('insert into t values ($1)', [i * 3 + number])
        if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 15))
        await writer.query('commit')
        written++
      }
      await writer.end()
    })
    await new Promise((resolve) => setTimeout(resolve, 150))
    const copy = await source.copyTable(relid, never)
    const ids = (await csvOf(copy)).split('\n').filter((line) => line !== '')
    await new Promise((resolve) => setTimeout(resolve, 150))
    running = false
    await Promise.all(busy)
    const streamed = invisible(await recorder.upToNow(client), copy)
    expect(ids.length).toBeGreaterThan(10)
    expect(streamed.length).toBeGreaterThan(10)
    expect(new Set([...ids, ...streamed]).size).toBe(ids.length + streamed.length)
    expect(ids.length + streamed.length).toBe(written)
  })

  test('a transaction that wrote before the table was published is in the copy', async () => {
    await client.query('create table t (id int primary key, v int)')
    const old = await fixture.connect()
    await old.query('begin; insert into t values (1, 1)')
    const opening = source.copyTable(await relidOf(client, 't'), never)
    const early = await Promise.race([
      opening.then(() => 'opened'), new Promise((resolve) => setTimeout(resolve, 300, 'waits')),
    ])
    expect(early).toBe('waits')
    await old.query('insert into t values (2, 2); commit')
    await old.end()
    expect(await csvOf(await opening)).toBe('1,1\n2,2\n')
    await client.query('insert into t values (3, 3)')
    expect(changesOf(await recorder.upToNow(client))).toContain('insert t (3,3)')
  })

  test('a copy gives way to a command that needs the table', async () => {
    await client.query(`create table t (id int primary key, v text);
      insert into t select i, repeat('x', 200) from generate_series(1, 200000) i`)
    const copy = await source.copyTable(await relidOf(client, 't'), never)
    // Nobody reads: without giving way the TRUNCATE would wait for ever.
    await client.query('truncate t')
    await expect(csvOf(copy)).rejects.toMatchObject({ code: 'table-not-mirrored' })
    const again = await source.copyTable(await relidOf(client, 't'), never)
    expect(await csvOf(again)).toBe('')
  })

  test('a copy of a table that is gone or refused says so', async () => {
    await client.query('create table t (id int)')
    const relid = await relidOf(client, 't')
    await expect(source.copyTable(relid, never))
      .rejects.toMatchObject({ code: 'table-not-mirrored' })
    await client.query('drop table t')
    await expect(source.copyTable(relid, never)).rejects.toMatchObject({ code: 'not-found' })
  })

  test('a large copy keeps every row, whatever the pace of its reader', async () => {
    await client.query(`create table t (id int primary key, v text);
      insert into t select i, repeat(chr(65 + i % 26), i % 300) from generate_series(1, 100000) i;
      insert into t values (0, repeat('z', 300000))`)
    const copy = await source.copyTable(await relidOf(client, 't'), never)
    const { rows } = await client.query<{ sum: string }>(
      `select sum(length(id::text) + 2 + case when v = '' then 2 else length(v) end)::text as sum
       from t`)
    let bytes = 0
    let chunks = 0
    for await (const chunk of copy.csv) {
      bytes += (chunk as Buffer).length
      if (chunks++ % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await copy.close()
    expect(bytes).toBe(Number(rows[0]?.sum))
  })

  test('confirm reaches the slot, and slipway.flush waits for it', async () => {
    await client.query('create table t (id int primary key)')
    const flushed = client.query<{ flush: string }>('select slipway.flush()')
    let request: ReplicationMessage | undefined
    while (request === undefined) {
      request = recorder.messages.find((message) =>
        message.kind === 'message' && message.prefix === 'slipway.flush')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const early = await Promise.race([
      flushed.then(() => 'done'), new Promise((resolve) => setTimeout(resolve, 100, 'waits')),
    ])
    expect(early).toBe('waits')
    if (request.kind !== 'message') throw new Error('unreachable')
    expect(request.transactional).toBe(false)
    source.confirm(request.lsn)
    await flushed
    await expect.poll(() => source.confirmedLsn()).toBe(request.lsn)
  })

  test('a stream that ended can be opened again where it was confirmed', async () => {
    await published('create table t (id int primary key)', 't')
    await client.query('insert into t values (1)')
    const first = await recorder.upToNow(client)
    const commit = first.findLast((message) => message.kind === 'commit')
    if (commit?.kind !== 'commit') throw new Error('no commit')
    source.confirm(commit.endLsn)
    await recorder.stop()
    await expect.poll(() => source.confirmedLsn()).toBe(commit.endLsn)
    recorder = new Recorder(source)
    await client.query('insert into t values (2)')
    expect(changesOf(await recorder.upToNow(client)).filter((text) => text.startsWith('insert')))
      .toEqual(['insert t (2)'])
  })

  test('a slow consumer holds the server back and loses nothing', async () => {
    await published('create table t (id int primary key, v text)', 't')
    await recorder.stop()
    await client.query(
      `insert into t select i, repeat('x', 500) from generate_series(1, 60000) i`)
    let rows = 0
    const stop = new AbortController()
    for await (const batch of source.stream(await source.confirmedLsn(), stop.signal)) {
      for (const message of batch) {
        if (message.kind === 'insert') rows++
        if (message.kind === 'begin') rows = 0
        if (message.kind === 'commit' && rows > 1_000) stop.abort()
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(rows).toBe(60_000)
  })

  test('the status is shown in slipway.tables, refused tables with their cure', async () => {
    await client.query('create table a (id int primary key); create table b (id int)')
    const relid = await relidOf(client, 'a')
    const row = {
      relid, state: 'ready', reason: null, cure: null, deltaPath: '/lake/a', deltaVersion: 3,
      durableLsn: source.slot.confirmed, appliedLsn: source.slot.confirmed, rows: 5, files: 1,
      tailRows: 2,
    }
    await source.publishStatus([row])
    const { rows } = await client.query(`select schema_name, table_name, state, reason, cure,
      delta_path, delta_version, lag >= 0 as lag, rows, files, tail_rows from slipway.tables`)
    expect(rows).toEqual([
      { schema_name: 'public', table_name: 'a', state: 'ready', reason: null, cure: null,
        delta_path: '/lake/a', delta_version: '3', lag: true, rows: '5', files: '1',
        tail_rows: '2' },
      { schema_name: 'public', table_name: 'b', state: 'not mirrored',
        reason: 'it has no primary key', cure: 'ALTER TABLE public.b ADD PRIMARY KEY (…)',
        delta_path: null, delta_version: null, lag: null, rows: null, files: null,
        tail_rows: null },
    ])
    await source.publishStatus([])
    const after = await client.query<{ state: string }>(
      `select state from slipway.tables where table_name = 'a'`)
    expect(after.rows).toEqual([{ state: 'init' }])
  })
})

/** Ids inserted by transactions that the copy's snapshot does not show. */
function invisible(messages: readonly ReplicationMessage[], copy: TableCopy): string[] {
  const ids: string[] = []
  let visible = false
  for (const message of messages) {
    if (message.kind === 'begin') {
      const xid = BigInt(message.xid)
      visible = xid < copy.visibility.xmin
        || (xid < copy.visibility.xmax && !copy.visibility.inProgress.has(xid))
    }
    if (message.kind === 'insert' && !visible) ids.push(String(message.newTuple[0]))
  }
  return ids
}
