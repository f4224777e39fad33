/** A crash between any two steps of a flush loses nothing and doubles nothing. */
import { rm, writeFile } from 'node:fs/promises'
import { open } from 'lmdb'
import { expect, test } from 'vitest'
import { armFailpoint } from '../../src/base/failpoint.ts'
import { describeTable, ScriptedPostgres, type Values } from './scripted-postgres.ts'
import { MirrorBench } from './mirror-bench.ts'

const ONE = describeTable(8001, 'one', [{ name: 'id', typeOid: 23 }, { name: 't', typeOid: 25 }])
const TWO = describeTable(8002, 'two', [{ name: 'id', typeOid: 23 }, { name: 't', typeOid: 25 }])

function model(server: ScriptedPostgres, relid: number): string[] {
  return [...server.tables.get(relid)?.rows.values() ?? []]
    .map((row) => JSON.stringify(row.map(String))).sort()
}

const row = (id: number, text: string): Values => [String(id), text]

function change(server: ScriptedPostgres, round: number): void {
  for (const relid of [8001, 8002]) {
    server.commit((t) => {
      t.insert(relid, row(100 + round, 'new'))
      t.update(relid, row(round, 'old'), row(round, `changed ${round}`))
      t.delete(relid, row(10 + round, 'old'))
    })
  }
  // One transaction over both tables.
  server.commit((t) => {
    t.update(8001, row(100 + round, 'new'), row(200 + round, 'moved'))
    t.update(8002, row(100 + round, 'new'), row(200 + round, 'moved'))
  })
}

async function check(bench: MirrorBench, server: ScriptedPostgres): Promise<void> {
  for (const relid of [8001, 8002]) {
    await bench.ready(relid)
    expect(await bench.rows(relid, [1, 2], server.lsn)).toEqual(model(server, relid))
  }
}

for (const [name, passing] of [['flush.after-parquet', 1], ['flush.after-parquet', 2],
  ['flush.after-commit', 1], ['flush.after-commit', 2], ['flush.after-index', 1],
  ['flush.after-index', 2], ['flush.after-publish', 1], ['flush.before-confirm', 1]] as const) {
  test(`a crash at ${name}, passing ${passing}`, async () => {
    const server = new ScriptedPostgres()
    for (const description of [ONE, TWO]) {
      const table = server.create(description, { announce: false })
      for (let id = 0; id < 20; id++) table.rows.set(`["${id}"]`, row(id, 'old'))
    }
    const directory = await MirrorBench.folder()
    for (let round = 0; round < 3; round++) {
      const bench = await MirrorBench.start(directory, server)
      await check(bench, server)
      // A first flush that succeeds in all rounds but the first, which crashes in the first.
      if (round > 0) await bench.mirror.flush()
      change(server, round)
      await check(bench, server)
      let crashed = false
      armFailpoint(name, passing, () => { crashed = true; throw new Error('crash') })
      await expect(bench.mirror.flush()).rejects.toThrow('crash')
      expect(crashed).toBe(true)
      await bench.stop()
    }
    const bench = await MirrorBench.start(directory, server)
    await check(bench, server)
    await bench.mirror.flush()
    expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server, 8001))
    expect(await bench.lakeRows('two', 'id, t')).toEqual(model(server, 8002))
    await bench.stop()
    // The index is a cache: without it everything is still found.
    await rm(`${directory}/index`, { recursive: true, force: true })
    const again = await MirrorBench.start(directory, server)
    change(server, 3)
    await check(again, server)
    await again.mirror.flush()
    expect(await again.lakeRows('one', 'id, t')).toEqual(model(server, 8001))
    await again.stop()
    await rm(directory, { recursive: true, force: true })
  })
}

test('a key index of another format is made anew from the lake', async () => {
  const server = new ScriptedPostgres()
  for (const description of [ONE, TWO]) {
    const table = server.create(description, { announce: false })
    for (let id = 0; id < 20; id++) table.rows.set(`["${id}"]`, row(id, 'old'))
  }
  const directory = await MirrorBench.folder()
  const bench = await MirrorBench.start(directory, server)
  await check(bench, server)
  await bench.mirror.flush()
  await bench.stop()
  // As an older Slipway left it: no format is named, and positions count otherwise.
  const index = open<Buffer, Buffer>({ path: `${directory}/index`, encoding: 'binary',
    keyEncoding: 'binary', compression: false, maxDbs: 1 })
  let entries = 0
  for (const { key, value } of [...index.getRange()]) {
    if (key[0] === 5) index.removeSync(key)
    if (key[0] !== 4) continue
    value.writeDoubleBE(value.readDoubleBE(0) * 256)
    index.putSync(key, value)
    entries++
  }
  await index.close()
  expect(entries).toBe(40)
  const again = await MirrorBench.start(directory, server)
  await check(again, server)
  change(server, 1)
  await check(again, server)
  await again.mirror.flush()
  expect(await again.lakeRows('one', 'id, t')).toEqual(model(server, 8001))
  await again[Symbol.asyncDispose]()
})

test('a lake that cannot be written confirms nothing, and is written when it can be', async () => {
  const server = new ScriptedPostgres()
  for (const description of [ONE, TWO]) server.create(description, { announce: false })
  const directory = await MirrorBench.folder()
  const bench = await MirrorBench.start(directory, server, { flushIntervalMs: 20 })
  for (const relid of [8001, 8002]) await bench.ready(relid)
  await bench.mirror.flush()
  const before = server.confirmed
  const staging = `${directory}/lake/public/one/_staging`
  await rm(staging, { recursive: true, force: true })
  await writeFile(staging, 'in the way')
  server.commit((t) => { t.insert(8001, row(1, 'a')); t.insert(8002, row(1, 'a')) })
  await check(bench, server)
  await expect(bench.mirror.flush()).rejects.toThrow()
  expect(server.confirmed).toBe(before)
  server.commit((t) => { t.update(8001, row(1, 'a'), row(1, 'b')); t.delete(8002, row(1, 'a')) })
  await check(bench, server)
  await rm(staging)
  await expect.poll(() => server.confirmed, { timeout: 60_000 }).toBe(server.lsn)
  expect(await bench.lakeRows('one', 'id, t')).toEqual(model(server, 8001))
  expect(await bench.lakeRows('two', 'id, t')).toEqual(model(server, 8002))
  await check(bench, server)
  await bench[Symbol.asyncDispose]()
})
