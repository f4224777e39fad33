import { rm } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { describeTable, ScriptedPostgres, type Values } from './scripted-postgres.ts'
import { MirrorBench } from './mirror-bench.ts'

const T = 7000
const TABLE = describeTable(T, 'orders', [
  { name: 'id', typeOid: 23 }, { name: 'note', typeOid: 25 },
  { name: 'amount', typeOid: 1700, typmod: ((12 << 16) | 2) + 4 }])

function model(server: ScriptedPostgres, relid = T): string[] {
  return [...server.tables.get(relid)?.rows.values() ?? []]
    .map((row) => JSON.stringify(row.map(String))).sort()
}

const row = (id: number, note: string | null, amount: string): Values => [String(id), note, amount]

test('a table is copied, followed, flushed and found again', async () => {
  const server = new ScriptedPostgres()
  const table = server.create(TABLE, { announce: false })
  for (let id = 0; id < 5; id++) table.rows.set(`["${id}"]`, row(id, `n"${id}`, '1.50'))
  const directory = await MirrorBench.folder()
  const bench = await MirrorBench.start(directory, server)
  await bench.ready(T)
  expect(await bench.rows(T, [1, 2, 3], server.lsn)).toEqual(model(server))

  const lsn = server.commit((t) => {
    t.insert(T, row(10, '', '-3.00'))
    t.insert(T, row(11, null, '0.00'))
    t.update(T, row(1, 'n"1', '1.50'), row(1, 'n"1', '2.50'), [1])
    t.delete(T, row(2, 'n"2', '1.50'))
    t.update(T, row(10, '', '-3.00'), row(12, '', '9.00'), [1])
  })
  expect(await bench.rows(T, [1, 2, 3], lsn)).toEqual(model(server))

  await bench.mirror.flush()
  expect(server.confirmed).toBe(lsn)
  expect(await bench.rows(T, [1, 2, 3], lsn)).toEqual(model(server))
  expect(await bench.lakeRows('orders', 'id, note, amount')).toEqual(model(server))

  const after = server.commit((t) => {
    t.update(T, row(11, null, '0.00'), row(11, 'set', '0.00'))
    t.delete(T, row(0, 'n"0', '1.50'))
    t.update(T, row(3, 'n"3', '1.50'), row(3, 'n"3', '7.00'), [1])
  })
  expect(await bench.rows(T, [1, 2, 3], after)).toEqual(model(server))
  await bench.stop()

  const again = await MirrorBench.start(directory, server)
  await again.ready(T)
  expect(await again.rows(T, [1, 2, 3], after)).toEqual(model(server))
  await again.mirror.flush()
  expect(await again.lakeRows('orders', 'id, note, amount')).toEqual(model(server))
  server.commit((t) => { t.truncate(T); t.insert(T, row(1, 'new', '1.00')) })
  expect(await again.rows(T, [1, 2, 3], server.lsn)).toEqual(model(server))
  await again.mirror.flush()
  expect(await again.lakeRows('orders', 'id, note, amount')).toEqual(model(server))
  await again.stop()
  await rm(directory, { recursive: true })
})

test('a transaction too large for memory is copied, not applied; the others go on', async () => {
  const server = new ScriptedPostgres()
  const small = describeTable(7100, 'small', [{ name: 'id', typeOid: 23 }])
  server.create(TABLE, { announce: false })
  server.create(small, { announce: false })
  await using bench = await MirrorBench.start(await MirrorBench.folder(), server,
    { layerRowsMax: 10 })
  await bench.ready(T)
  await bench.ready(7100)
  const lsn = server.commit((t) => {
    t.insert(7100, ['1'])
    for (let id = 0; id < 40; id++) t.insert(T, row(id, `n${id}`, '1.00'))
    for (let id = 0; id < 5; id++) t.delete(T, row(id, `n${id}`, '1.00'))
    t.insert(7100, ['2'])
  })
  expect(await bench.rows(7100, [1], lsn)).toEqual(['["1"]', '["2"]'])
  await bench.ready(T)
  const after = server.commit((t) => { t.insert(T, row(100, 'after', '2.00')) })
  expect(await bench.rows(T, [1, 2, 3], after)).toEqual(model(server))
  await bench.mirror.flush()
  expect(server.confirmed).toBe(after)
  expect(await bench.lakeRows('orders', 'id, note, amount')).toEqual(model(server))
  expect(await bench.lakeRows('small', 'id')).toEqual(['["1"]', '["2"]'])
})
