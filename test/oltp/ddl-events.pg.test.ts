import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from 'pg'
import { oid } from '../../src/base/oid.ts'
import type { DdlMessage } from '../../src/mirror/replication.ts'
import { EMBEDDED_VERSIONS } from '../../src/oltp/postgres-binaries.ts'
import type { PostgresReplicationSource } from '../../src/oltp/replication-source.ts'
import { ADMIN, changesOf, ddlOf, PostgresFixture, Recorder } from './postgres-fixture.ts'

const never = new AbortController().signal

/** A message as one line: what a reader of the stream would act on. */
function brief(message: DdlMessage): string {
  if (message.op === 'drop') return 'drop'
  const { schema, name, refusal, columns, primaryKey } = message.table
  const shape = columns.map((column) =>
    `${column.name}#${column.attnum}${column.hasMissing ? '!' : ''}`).join(' ')
  return `${schema}.${name} (${shape}) key ${primaryKey.join(',')}`
    + (refusal === null ? '' : ` refused: ${refusal.reason}`)
    + (message.rewritten ? ' rewritten' : '')
}

describe.each(EMBEDDED_VERSIONS)('PostgreSQL %i', (version) => {
  let fixture: PostgresFixture
  let client: Client
  let source: PostgresReplicationSource
  let recorder: Recorder
  let notices: string[]

  beforeAll(async () => {
    fixture = await PostgresFixture.start(version)
    source = await fixture.source()
    recorder = new Recorder(source)
  })
  afterAll(async () => {
    await recorder.stop()
    await source.close()
    await fixture.stop()
  })
  beforeEach(async () => {
    client = await fixture.connect()
    notices = []
    client.on('notice', (notice) => notices.push(notice.message ?? ''))
    await recorder.upToNow(client)
  })
  afterEach(async () => {
    await client.query('rollback; reset role; drop schema if exists s, other cascade;'
      + ' drop type if exists mood; drop schema public cascade; create schema public;'
      + ' grant all on schema public to public')
    await client.end()
  })

  async function after(sql: string): Promise<string[]> {
    await client.query(sql)
    return ddlOf(await recorder.upToNow(client)).map(brief)
  }

  /** Makes tables and copies those named, so that they are members of the publication. */
  async function given(sql: string, ...members: string[]): Promise<void> {
    await client.query(sql)
    for (const member of members) {
      const { rows } = await client.query<{ relid: string }>(
        'select $1::regclass::oid::text as relid', [member])
      const copy = await source.copyTable(oid(Number(rows[0]?.relid)), never)
      copy.csv.resume()
      await new Promise((resolve) => copy.csv.once('end', resolve))
      await copy.close()
    }
    await recorder.upToNow(client)
  }

  async function members(): Promise<string[]> {
    const { rows } = await client.query<{ name: string }>(
      `select tablename as name from pg_publication_tables where pubname = 'slipway' order by 1`)
    return rows.map((row) => row.name)
  }

  test.each([
    ['CREATE TABLE', 'create table t (id int primary key, v text)',
      ['public.t (id#1 v#2) key 1']],
    ['two in one transaction', `begin; create table t (id int primary key);
      create table u (a int, b int, primary key (b, a)); commit`,
    ['public.t (id#1) key 1', 'public.u (a#1 b#2) key 2,1']],
    ['CREATE TABLE AS, then its key', `create table t as select 1 as id;
      alter table t add primary key (id)`,
    ['public.t (id#1) key  refused: it has no primary key', 'public.t (id#1) key 1']],
    ['SELECT INTO', 'select 1 as id into t',
      ['public.t (id#1) key  refused: it has no primary key']],
    ['CREATE SCHEMA with a table in it', 'create schema s create table t (id int primary key)',
      ['s.t (id#1) key 1']],
    ['odd names', 'create schema "S. x"; create table "S. x"."T""q" ("a b" int primary key);'
      + ' drop schema "S. x" cascade',
    ['S. x.T"q (a b#1) key 1', 'drop']],
    ['unlogged', 'create unlogged table t (id int primary key)',
      ['public.t (id#1) key 1 refused: an unlogged table\'s changes are not in the WAL']],
    ['temporary', 'create temp table t (id int primary key); alter table t add v int; drop table t',
      []],
    ['deferrable key', 'create table t (id int primary key deferrable)',
      ['public.t (id#1) key 1 refused: its primary key is deferrable']],
    ['generated column',
      'create table t (id int primary key, g int generated always as (id) stored)',
      ['public.t (id#1 g#2) key 1 refused: a generated column\'s values are not replicated']],
    ['partitions', `create table t (id int primary key) partition by range (id);
      create table t1 partition of t for values from (0) to (10)`,
    ['public.t (id#1) key 1 refused: a partitioned table holds no rows itself',
      'public.t (id#1) key 1 refused: a partitioned table holds no rows itself',
      'public.t1 (id#1) key 1']],
    ['INHERITS', `create table t (id int primary key);
      create table u (v int, primary key (id)) inherits (t)`,
    ['public.t (id#1) key 1',
      'public.t (id#1) key 1 refused: other tables inherit from it, and a query on it needs'
      + ' their rows too', 'public.u (id#1 v#2) key 1']],
    ['the last child goes', `create table t (id int primary key);
      create table u () inherits (t); drop table u`,
    ['public.t (id#1) key 1',
      'public.t (id#1) key 1 refused: other tables inherit from it, and a query on it needs'
      + ' their rows too', 'public.u (id#1) key  refused: it has no primary key',
      'drop', 'public.t (id#1) key 1']],
    ['our own schema', 'create table slipway.t (id int primary key); drop table slipway.t',
      ['slipway.t (id#1) key 1 refused: the schema slipway is Slipway\'s own', 'drop']],
    ['rolled back', 'begin; create table t (id int primary key); rollback', []],
    ['view, index, sequence, function', `create view w as select 1; create sequence q;
      create function f() returns int language sql as 'select 1'; drop function f(); drop view w`,
    []],
  ])('%s', async (_name, sql, expected) => {
    expect(await after(sql)).toEqual(expected)
    expect(notices.filter((notice) => !notice.includes('drop cascades'))).toEqual([])
  })

  test.each([
    ['ADD COLUMN', 'alter table t add w int', ['public.t (id#1 v#2 w#3) key 1']],
    ['ADD COLUMN with a constant default', 'alter table t add w int default 7',
      ['public.t (id#1 v#2 w#3!) key 1']],
    ['ADD COLUMN with a volatile default', 'alter table t add w float8 default random()',
      ['public.t (id#1 v#2 w#3) key 1 rewritten']],
    ['DROP COLUMN', 'alter table t drop v', ['public.t (id#1) key 1']],
    ['RENAME COLUMN', 'alter table t rename v to w', ['public.t (id#1 w#2) key 1']],
    ['RENAME', 'alter table t rename to u', ['public.u (id#1 v#2) key 1']],
    ['RENAME by ALTER INDEX', 'alter index t rename to u', ['public.u (id#1 v#2) key 1']],
    ['SET SCHEMA', 'create schema s; alter table t set schema s', ['s.t (id#1 v#2) key 1']],
    ['ALTER SCHEMA RENAME',
      'create schema s; alter table t set schema s; alter schema s rename to other',
      ['s.t (id#1 v#2) key 1', 'other.t (id#1 v#2) key 1']],
    ['ALTER TYPE that rewrites', 'alter table t alter v type int using length(v)',
      ['public.t (id#1 v#2) key 1 rewritten']],
    ['ALTER TYPE that does not', 'alter table t alter v type varchar',
      ['public.t (id#1 v#2) key 1']],
    ['DROP TABLE', 'drop table t', ['drop']],
    ['DROP SCHEMA CASCADE', 'create schema s; alter table t set schema s; drop schema s cascade',
      ['s.t (id#1 v#2) key 1', 'drop']],
    ['key dropped', 'alter table t drop constraint t_pkey',
      ['public.t (id#1 v#2) key  refused: it has no primary key']],
    ['key column dropped', 'alter table t drop id',
      ['public.t (v#2) key  refused: it has no primary key']],
    ['replica identity nothing', 'alter table t replica identity nothing',
      ['public.t (id#1 v#2) key 1 refused: its replica identity does not name the primary key']],
    ['replica identity full', 'alter table t replica identity full', ['public.t (id#1 v#2) key 1']],
    ['SET UNLOGGED', 'alter table t set unlogged',
      ['public.t (id#1 v#2) key 1 refused: an unlogged table\'s changes are not in the WAL'
        + ' rewritten']],
    ['exclude', `select slipway.exclude('t')`,
      ['public.t (id#1 v#2) key 1 refused: excluded by slipway.exclude']],
    ['exclude and include', `select slipway.exclude('t'); select slipway.include('t')`,
      ['public.t (id#1 v#2) key 1 refused: excluded by slipway.exclude',
        'public.t (id#1 v#2) key 1 rewritten']],
    ['moved to our schema', 'alter table t set schema slipway; drop table slipway.t',
      ['slipway.t (id#1 v#2) key 1 refused: the schema slipway is Slipway\'s own', 'drop']],
  ])('a member: %s', async (name, sql, expected) => {
    await given(`create table t (id int primary key, v text); insert into t values (1, 'x')`, 't')
    expect(await members()).toEqual(['t'])
    expect(await after(sql)).toEqual(expected)
    const last = expected.at(-1) ?? ''
    const stays = last !== 'drop' && !last.includes('refused') && name !== 'exclude and include'
    expect(await members()).toHaveLength(stays ? 1 : 0)
    expect(notices.filter((notice) => !notice.includes('drop cascades'))).toEqual([])
  })

  test('a key that goes and the UPDATE after it, in one transaction', async () => {
    await given(`create table t (id int primary key, v int); insert into t values (1, 1)`, 't')
    await client.query(`begin; alter table t drop constraint t_pkey; update t set v = 2;
      alter table t add primary key (id); update t set v = 3; commit`)
    const messages = await recorder.upToNow(client)
    expect(ddlOf(messages).map(brief)).toEqual([
      'public.t (id#1 v#2) key  refused: it has no primary key', 'public.t (id#1 v#2) key 1',
    ])
  })

  test('SET UNLOGGED of another table leaves the members that its text names', async () => {
    await given(`create table t (id int primary key); create table t2 (id int primary key)`,
      't', 't2')
    await client.query('alter table t2 set unlogged')
    expect(await members()).toEqual(['t'])
    await client.query('insert into t values (5)')
    expect(changesOf(await recorder.upToNow(client))).toContain('insert t (5)')
  })

  test('changes of an enum that alter stored text are rewrites, ADD VALUE is not', async () => {
    await client.query(`create type mood as enum ('sad')`)
    await given('create table t (id int primary key, m mood[])', 't')
    expect(await after(`alter type mood add value 'ok'`)).toEqual([])
    expect(await after(`alter type mood rename value 'sad' to 'blue'`))
      .toEqual(['public.t (id#1 m#2) key 1 rewritten'])
    expect(await after('drop type mood cascade')).toEqual(['public.t (id#1) key 1'])
  })

  test('types: domains to their base, arrays to their element', async () => {
    await client.query(`create domain money_like as numeric(10, 2);
      create domain nested as money_like;
      create table t (id int8 primary key, a nested, b int[], c varchar(5)[], d char(3))`)
    const [message] = ddlOf(await recorder.upToNow(client)).slice(-1)
    if (message?.op !== 'table') throw new Error('no table')
    const { columns } = message.table
    expect(columns.map((column) => [column.typeOid, column.typmod, column.elementOid]))
      .toEqual([[20, -1, 0], [1700, 655366, 0], [1007, -1, 23], [1015, 9, 1043], [1042, 7, 0]])
    expect(columns.map((column) => column.notNull)).toEqual([true, false, false, false, false])
  })

  test('an ordinary role\'s DDL is followed; it may exclude only its own tables', async () => {
    await client.query(`drop role if exists joe; create role joe;
      create table mine (id int primary key)`)
    expect(await after(`set role joe; create table t (id int primary key);
      alter table t add v int; select slipway.exclude('t'); drop table t`)).toEqual([
      'public.mine (id#1) key 1', 'public.t (id#1) key 1', 'public.t (id#1 v#2) key 1',
      'public.t (id#1 v#2) key 1 refused: excluded by slipway.exclude', 'drop',
    ])
    await expect(client.query(`select slipway.exclude('mine')`))
      .rejects.toMatchObject({ code: '42501' })
    await expect(client.query(`select slipway.set_published('mine'::regclass, false)`))
      .rejects.toMatchObject({ code: '42501' })
    expect((await client.query('select count(*)::int as n from slipway.tables')).rows)
      .toEqual([{ n: 1 }])
    await client.query('reset role; drop owned by joe; drop role joe')
  })

  test('an open CREATE TABLE does not stop other sessions\' DDL', async () => {
    const other = await fixture.connect()
    await client.query('begin; create table t (id int primary key)')
    await other.query(`set lock_timeout = '2s'; create table u (id int primary key)`)
    await other.query('drop table u')
    await other.end()
    await client.query('commit')
  })

  test('a failure inside never reaches the user: the table leaves the mirror', async () => {
    await given('create table t (id int primary key)', 't')
    const admin = await fixture.connect('slipway', ADMIN)
    await admin.query('alter function slipway.describe_relations(oid[]) rename to broken')
    try {
      expect(await after('alter table t add v int')).toEqual([
        'public.t () key  refused: a change of the table could not be followed (SQLSTATE 42883)'
        + ' rewritten'])
      expect(await members()).toEqual([])
      expect(notices).toEqual([])
    } finally {
      await admin.query('alter function slipway.broken(oid[]) rename to describe_relations')
      await admin.end()
    }
  })

  test('a schema message that a role wrote is not heard; its key is kept', async () => {
    await client.query('create role joe; grant usage on schema public to joe; set role joe')
    const forged = JSON.stringify({ op: 'drop', relid: 1 })
    for (const content of [forged, `00000000-0000-0000-0000-000000000000 ${forged}`]) {
      await client.query(`select pg_logical_emit_message(true, 'slipway.ddl', $1)`, [content])
    }
    await expect(client.query('select key from slipway.message_key'))
      .rejects.toMatchObject({ code: '42501' })
    await expect(client.query(`select slipway.emit_ddl('{}')`))
      .rejects.toMatchObject({ code: '42501' })
    await client.query('reset role; grant select on slipway.message_key to joe; set role joe')
    expect((await client.query('select key from slipway.message_key')).rows).toEqual([])
    await client.query('reset role; drop owned by joe; drop role joe')
    expect(await after('create table t (id int primary key)')).toEqual(['public.t (id#1) key 1'])
  })

  test('session_replication_role = replica does not blind the triggers', async () => {
    expect(await after(`set session_replication_role = replica;
      create table t (id int primary key)`))
      .toEqual(['public.t (id#1) key 1'])
  })

  test('bootstrap again changes nothing and mends what is gone', async () => {
    await client.query('drop event trigger slipway_drop')
    const again = await fixture.source()
    expect(again.slot).toMatchObject({ name: source.slot.name, created: false })
    await again.close()
    await client.query('create table t (id int primary key)')
    expect(await after('drop table t')).toEqual(['public.t (id#1) key 1', 'drop'])
  })

  test('a table that lost its membership is announced anew at the next start', async () => {
    await given('create table t (id int primary key)', 't')
    await client.query('alter publication slipway drop table t')
    const again = await fixture.source()
    await again.close()
    expect(await after('')).toEqual(['public.t (id#1) key 1 rewritten'])
    expect(await members()).toEqual(['t'])
  })
})
