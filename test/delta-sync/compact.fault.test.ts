/** A crash between any two steps of a compaction loses nothing and doubles nothing. */
import { readdir, rm } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { armFailpoint } from '../../src/base/failpoint.ts'
import { describeTable, ScriptedPostgres, type Values } from './scripted-postgres.ts'
import { MirrorBench } from './mirror-bench.ts'

const ONE = describeTable(8001, 'one', [{ name: 'id', typeOid: 23 }, { name: 't', typeOid: 25 }])
const COMPACTION = { filesMin: 3, fileBytes: 1_000_000, fileRows: 10_000 }
const ROWS = 60

const row = (id: number, text: string): Values => [String(id), text]

function model(server: ScriptedPostgres): string[] {
  return [...server.tables.get(8001)?.rows.values() ?? []]
    .map((values) => JSON.stringify(values.map(String))).sort()
}

function current(server: ScriptedPostgres, id: number): Values {
  return server.tables.get(8001)?.rows.get(`["${id}"]`) ?? row(id, 'missing')
}

/** Changes rows of every file that there is. */
function change(server: ScriptedPostgres, round: number): void {
  server.commit((t) => {
    t.insert(8001, row(1000 + round, `new ${round}`))
    for (let id = round % 5; id < ROWS; id += 5) {
      if (server.tables.get(8001)?.rows.has(`["${id}"]`) !== true) continue
      t.update(8001, current(server, id), row(id, `round ${round}`))
    }
  })
}

async function start(directory: string, server: ScriptedPostgres): Promise<MirrorBench> {
  const bench = await MirrorBench.start(directory, server, { compaction: COMPACTION })
  await bench.ready(8001)
  return bench
}

async function check(bench: MirrorBench, server: ScriptedPostgres): Promise<void> {
  expect(await bench.rows(8001, [1, 2], server.lsn)).toEqual(model(server))
}

/** The copy's file and three more, each but the last with dead rows. */
async function threeFlushes(bench: MirrorBench, server: ScriptedPostgres): Promise<void> {
  for (let round = 0; round < 3; round++) {
    change(server, round)
    await check(bench, server)
    await bench.mirror.flush()
  }
}

async function parquetFiles(directory: string): Promise<readonly string[]> {
  return (await readdir(`${directory}/lake/public/one`)).filter((name) => name.endsWith('.parquet'))
}

async function filledServer(): Promise<{ server: ScriptedPostgres; directory: string }> {
  const server = new ScriptedPostgres()
  const table = server.create(ONE, { announce: false })
  for (let id = 0; id < ROWS; id++) table.rows.set(`["${id}"]`, row(id, 'old'))
  return { server, directory: await MirrorBench.folder() }
}

/** Of all native tables. */
async function deadRows(bench: MirrorBench): Promise<number> {
  const connection = await bench.duckdb.connect()
  let rows = 0
  const names = await connection.runAndReadAll(
    'SELECT table_name FROM duckdb_tables() WHERE schema_name = \'dead\'')
  for (const [name] of names.getRows()) {
    const count = await connection.runAndReadAll(`SELECT count(*) FROM dead."${String(name)}"`)
    rows += Number(count.getRows()[0]?.[0])
  }
  connection.closeSync()
  return rows
}

for (const name of ['compact.after-parquet', 'compact.after-commit', 'compact.after-publish',
  'compact.after-index']) {
  test(`a crash at ${name}`, async () => {
    const { server, directory } = await filledServer()
    for (let crash = 0; crash < 2; crash++) {
      const bench = await start(directory, server)
      for (let round = 0; round < 4; round++) {
        change(server, 10 * crash + round)
        await check(bench, server)
        await bench.mirror.flush()
      }
      // Changes that the lake does not have when its files are rewritten.
      change(server, 10 * crash + 5)
      await check(bench, server)
      let crashed = false
      armFailpoint(name, 1, () => { crashed = true; throw new Error('crash') })
      // Before the commit nothing has happened: the compactor tries again later.
      const pass = bench.mirror.compact()
      if (name === 'compact.after-parquet') await pass
      else await expect(pass).rejects.toThrow('crash')
      expect(crashed).toBe(true)
      await bench.stop()
    }
    const bench = await start(directory, server)
    await check(bench, server)
    change(server, 30)
    await check(bench, server)
    await bench.mirror.flush()
    expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
    await bench.mirror.compact()
    await check(bench, server)
    expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
    await bench.stop()
    // The index is a cache: without it everything is still found.
    await rm(`${directory}/index`, { recursive: true, force: true })
    const again = await start(directory, server)
    change(server, 31)
    await check(again, server)
    await again.mirror.flush()
    expect(await again.lakeRows('one', 'id, t')).toEqual(model(server))
    await again.stop()
    await rm(directory, { recursive: true, force: true })
  })
}

test('many flushes leave few files, and rows that change meanwhile change once', async () => {
  const { server, directory } = await filledServer()
  await using bench = await start(directory, server)
  for (let round = 0; round < 30; round++) {
    change(server, round)
    await check(bench, server)
    await bench.mirror.flush()
    const pass = bench.mirror.compact()
    change(server, 100 + round)
    await check(bench, server)
    if (round % 3 === 0) await bench.mirror.flush()
    await pass
    await check(bench, server)
  }
  await bench.mirror.flush()
  await bench.mirror.compact()
  expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
  expect(bench.mirror.status()[0]).toMatchObject({ state: 'ready', rows: model(server).length })
  expect([...bench.mirror.tables.all()][0]?.files.size).toBeLessThan(6)
  // What readers of older versions need stays.
  expect((await parquetFiles(directory)).length).toBeGreaterThan(30)
})

for (const place of ['merged', 'indexing'] as const) {
  for (const isFlushed of [false, true]) {
    test(`changes while files are ${place}${isFlushed ? ', flushed' : ''}`, async () => {
      const { server, directory } = await filledServer()
      await using bench = await start(directory, server)
      await threeFlushes(bench, server)
      let times = 0
      bench.amid[place] = async () => {
        times++
        change(server, 10)
        server.commit((t) => {
          t.delete(8001, current(server, 4))
          t.update(8001, current(server, 9), row(2000, 'another key'))
        })
        await check(bench, server)
        if (isFlushed) await bench.mirror.flush()
      }
      const before = model(server)
      await bench.mirror.compact()
      expect(times).toBe(1)
      await check(bench, server)
      // As of the last flush, whatever has changed since.
      expect(await bench.lakeRows('one', 'id, t')).toEqual(isFlushed ? model(server) : before)
      // Every row of every file.
      for (const round of [20, 21, 22, 23, 24]) change(server, round)
      await check(bench, server)
      await bench.mirror.flush()
      expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
      await bench.mirror.compact()
      await check(bench, server)
      expect(await deadRows(bench)).toBe([...bench.mirror.tables.all()][0]?.deadRows)
    })
  }
}

test('a new file that is lost before the commit costs nothing', async () => {
  const { server, directory } = await filledServer()
  await using bench = await start(directory, server)
  await threeFlushes(bench, server)
  const files = [...bench.mirror.tables.all()][0]?.files.size
  bench.amid.merged = () => rm(`${directory}/lake/public/one/_staging`, { recursive: true })
  await bench.mirror.compact()
  expect([...bench.mirror.tables.all()][0]?.files.size).toBe(files)
  change(server, 4)
  await check(bench, server)
  await bench.mirror.flush()
  expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
})

test('a compaction leaves the lake at its LSN', async () => {
  const { server, directory } = await filledServer()
  await using bench = await start(directory, server)
  await threeFlushes(bench, server)
  const flushed = model(server)
  change(server, 3)
  await check(bench, server)
  bench.amid.merged = async () => {
    change(server, 4)
    await check(bench, server)
  }
  await bench.mirror.compact()
  expect([...bench.mirror.tables.all()][0]?.files.size).toBeLessThan(3)
  expect(await bench.lakeRows('one', 'id, t')).toEqual(flushed)
  await bench.mirror.flush()
  expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
})

test('a table truncated, or copied anew, while its files are rewritten', async () => {
  for (const [place, isRewritten] of [['merged', false], ['indexing', false], ['merged', true],
    ['indexing', true]] as const) {
    const { server, directory } = await filledServer()
    await using bench = await start(directory, server)
    await threeFlushes(bench, server)
    bench.amid[place] = async () => {
      if (isRewritten) {
        server.commit((t) => { t.ddl({ op: 'table', table: ONE, rewritten: true }) })
        server.commit((t) => { t.update(8001, current(server, 1), row(1, 'after')) })
      } else {
        server.commit((t) => {
          t.truncate(8001)
          t.insert(8001, row(1, 'after'))
        })
      }
      await bench.mirror.progress.waitFor(server.lsn, { timeoutMs: null,
        signal: new AbortController().signal })
    }
    await bench.mirror.compact()
    await bench.ready(8001)
    await check(bench, server)
    server.commit((t) => { t.update(8001, row(1, 'after'), row(1, 'changed')) })
    await check(bench, server)
    await bench.mirror.flush()
    expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
  }
})

test('a table emptied, and one whose rows all changed: nothing is left to rewrite', async () => {
  const { server, directory } = await filledServer()
  await using bench = await start(directory, server)
  for (let round = 0; round < 3; round++) {
    server.commit((t) => {
      for (let id = 0; id < ROWS; id++) {
        t.update(8001, current(server, id), row(id, `round ${round}`))
      }
    })
    await check(bench, server)
    await bench.mirror.flush()
  }
  await bench.mirror.compact()
  expect([...bench.mirror.tables.all()][0]?.files.size).toBe(1)
  server.commit((t) => { for (let id = 0; id < ROWS; id++) t.delete(8001, current(server, id)) })
  await check(bench, server)
  await bench.mirror.flush()
  server.commit((t) => { t.insert(8001, row(1, 'again')) })
  await check(bench, server)
  await bench.mirror.flush()
  await bench.mirror.compact()
  await check(bench, server)
  expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server))
})
