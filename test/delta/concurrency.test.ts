/** C1 on a real file system: twenty writers at once, contiguous versions, nothing lost. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { column } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { LocalStorage } from '../../src/storage/local.ts'

const WRITERS = 20
const COMMITS = 5

let root = ''
beforeAll(async () => { root = await mkdtemp(join(tmpdir(), 'slipway writers ')) })
afterAll(async () => { await rm(root, { recursive: true }) })

it('every append of twenty writers is there once, in contiguous versions', async () => {
  await DeltaTable.create({ storage: new LocalStorage({ root }),
    schema: { type: 'struct', fields: [column('id', 'long')] } })
  await Promise.all(Array.from({ length: WRITERS }, async (_, writer) => {
    const table = await DeltaTable.open({ storage: new LocalStorage({ root }) })
    for (let at = 0; at < COMMITS; at++) {
      const outcome = await table.begin({ operation: 'WRITE' }).add({
        path: `part-${writer}-${at}.parquet`, partitionValues: {}, size: 1, modificationTime: 0,
        dataChange: true }).commit()
      expect(outcome.kind).toBe('committed')
    }
  }))
  const { snapshot } = await DeltaTable.open({ storage: new LocalStorage({ root }) })
  expect(snapshot.version).toBe(WRITERS * COMMITS)
  expect([...snapshot.files()].map(({ path }) => path).sort()).toEqual(
    Array.from({ length: WRITERS * COMMITS }, (_, at) =>
      `part-${Math.floor(at / COMMITS)}-${at % COMMITS}.parquet`).sort())
  expect(await readdir(join(root, '_staging'))).toEqual([])
  const log = await readdir(join(root, '_delta_log'))
  for (const kind of ['.json', '.crc']) {
    expect(log.filter((name) => name.endsWith(kind))).toHaveLength(WRITERS * COMMITS + 1)
  }
})
