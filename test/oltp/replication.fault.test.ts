/** What is lost and what is not when PostgreSQL dies, or the slot does. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LSN_ZERO } from '../../src/base/lsn.ts'
import { ADMIN, changesOf, ddlOf, PostgresFixture, Recorder } from './postgres-fixture.ts'

let fixture: PostgresFixture
beforeAll(async () => { fixture = await PostgresFixture.start() })
afterAll(async () => { await fixture.stop() })

async function copyAll(source: Awaited<ReturnType<PostgresFixture['source']>>): Promise<void> {
  for (const { relid, refusal } of await source.describeTables()) {
    if (refusal !== null) continue
    const copy = await source.copyTable(relid as never, new AbortController().signal)
    copy.csv.resume()
    await new Promise((resolve) => copy.csv.once('end', resolve))
    await copy.close()
  }
}

test('kill -9 of PostgreSQL: the stream throws, and goes on where the reader was', async () => {
  const first = await fixture.source()
  const client = await fixture.connect()
  await client.query('create table t (id int primary key)')
  await copyAll(first)
  await client.query('insert into t values (1)')
  const recorder = new Recorder(first)
  const commit = (await recorder.upToNow(client)).findLast((message) => message.kind === 'commit')
  if (commit?.kind !== 'commit') throw new Error('no commit')
  first.confirm(commit.endLsn)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await client.query('insert into t values (2)')
  process.kill(fixture.postgres.pid, 'SIGKILL')
  await expect(recorder.ended()).rejects.toMatchObject({ code: 'postgres-unreachable' })
  await first.close()
  await fixture.restart()
  const second = await fixture.source()
  // PostgreSQL writes the position down now and then only: a crash may set it back.
  expect(second.slot.created).toBe(false)
  expect(second.slot.confirmed <= commit.endLsn).toBe(true)
  const again = new Recorder(second, commit.endLsn)
  const after = await fixture.connect()
  expect(changesOf(await again.upToNow(after)).filter((text) => text.startsWith('insert')))
    .toEqual(['insert t (2)'])
  // The unlogged status table is empty after a crash, and takes the next status.
  await second.publishStatus([])
  await again.stop()
  await second.close()
  await after.query('drop table t')
  await after.end()
})

test('a lost slot is made anew, and every table announced as to be copied', async () => {
  const first = await fixture.source()
  const client = await fixture.connect()
  await client.query('create table a (id int primary key); create table b (id int)')
  await copyAll(first)
  await first.close()
  const admin = await fixture.connect('slipway', ADMIN)
  await admin.query(`alter system set max_slot_wal_keep_size = '1MB'`)
  await admin.query(`alter system set max_wal_size = '32MB'`)
  await admin.query('select pg_reload_conf()')
  let status = ''
  for (let i = 0; i < 20 && status !== 'lost'; i++) {
    await admin.query('create table if not exists filler (v text)')
    await admin.query(`insert into filler select repeat('x', 1000) from generate_series(1, 20000)`)
    await admin.query('select pg_switch_wal()')
    await admin.query('checkpoint')
    const { rows } = await admin.query<{ status: string }>(
      'select wal_status as status from pg_replication_slots')
    status = rows[0]?.status ?? ''
  }
  expect(status).toBe('lost')
  await admin.query('drop table filler')
  await admin.query('alter system reset max_slot_wal_keep_size')
  await admin.query('select pg_reload_conf()')
  const second = await fixture.source()
  expect(second.slot.created).toBe(true)
  const recorder = new Recorder(second)
  const announced = ddlOf(await recorder.upToNow(client))
    .filter((message) => message.op === 'table' && message.rewritten)
    .map((message) => message.op === 'table' ? message.table.name : '')
  expect(announced).toEqual(['a'])
  await recorder.stop()
  await second.close()
  await client.query('drop table a, b')
  await client.end()
  await admin.end()
})

test('a dropped publication: the slot is made anew with it', async () => {
  const first = await fixture.source()
  await first.close()
  const admin = await fixture.connect('slipway', ADMIN)
  await admin.query('drop publication slipway')
  await admin.query('create table t (id int primary key)')
  const second = await fixture.source()
  expect(second.slot.created).toBe(true)
  const recorder = new Recorder(second)
  await copyAll(second)
  await admin.query('insert into t values (1)')
  expect(changesOf(await recorder.upToNow(admin))).toContain('insert t (1)')
  await recorder.stop()
  await second.close()
  await admin.query('drop table t')
  await admin.end()
})

test('death between new slot and announcements: the next start makes up for it', async () => {
  const first = await fixture.source()
  await first.close()
  const admin = await fixture.connect('slipway', ADMIN)
  await admin.query('create table marked (id int primary key)')
  await admin.query('insert into slipway.recopy_pending values (true)')
  const second = await fixture.source()
  expect(second.slot.created).toBe(false)
  const recorder = new Recorder(second)
  const rewritten = ddlOf(await recorder.upToNow(admin))
    .filter((message) => message.op === 'table' && message.rewritten
      && message.table.name === 'marked')
  // Once for the mark, once for the membership.
  expect(rewritten).toHaveLength(2)
  expect((await admin.query('select from slipway.recopy_pending')).rowCount).toBe(0)
  await recorder.stop()
  await second.close()
  await admin.query('drop table marked')
  await admin.end()
})

test('a walsender left over by a dead engine is waited for', async () => {
  const first = await fixture.source()
  const client = await fixture.connect()
  const left = first.stream(LSN_ZERO, new AbortController().signal)[Symbol.asyncIterator]()
  await client.query(`select pg_logical_emit_message(true, 'x', '')`)
  await left.next()
  const second = await fixture.source()
  const recorder = new Recorder(second)
  setTimeout(() => { void first.close() }, 300)
  await client.query('create table late (id int primary key)')
  expect(ddlOf(await recorder.upToNow(client)).at(-1)).toMatchObject({ table: { name: 'late' } })
  await recorder.stop()
  await second.close()
  await client.end()
})
