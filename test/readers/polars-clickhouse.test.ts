/** Polars and ClickHouse (chdb) read what the Delta library writes, as far as they can. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { renameColumn } from '../../src/delta/column-mapping.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { optimize } from '../../src/delta/optimize.ts'
import { restore } from '../../src/delta/restore.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { version } from '../../src/delta/version.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { CACHE, SUPPORT } from '../support/cache.ts'
import { DeltaLab } from '../support/delta-files.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'), column('s', 'string')] }
type Rows = readonly (readonly (string | null)[])[]
type Request = readonly [engine: 'polars' | 'chdb', path: string, version: number | null,
  columns: readonly string[], order: string]

async function ask(requests: readonly Request[]): Promise<readonly unknown[]> {
  const { stdout } = await promisify(execFile)(join(CACHE, 'engines', 'bin', 'python'),
    [join(SUPPORT, 'engines.py'), JSON.stringify(requests)])
  return JSON.parse(stdout) as readonly unknown[]
}

let folder: string
let lab: DeltaLab
beforeAll(async () => {
  // Polars does not find the files of a table whose own folder has a space in its path.
  folder = mkdtempSync(join(tmpdir(), 'slipway-engines-'))
  lab = await DeltaLab.open([folder])
})
afterAll(async () => {
  await lab[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function tableWithRows(storage: LocalStorage, partitionColumns: readonly string[] = [])
  : Promise<DeltaTable> {
  const table = await DeltaTable.create({ storage, schema: SCHEMA, partitionColumns })
  for (const at of [0, 3]) {
    const { metadata } = table.snapshot
    const add = partitionColumns.length === 0
      ? await lab.writeFile(storage, SCHEMA, `SELECT i, nullif('s' || i, 's1') FROM `
        + `range(${at}, ${at + 3}) r(i)`)
      : await lab.writeFile(storage, { type: 'struct', fields: SCHEMA.fields.slice(0, 1) },
        `SELECT i FROM range(${at}, ${at + 3}) r(i)`,
        { metadata, values: { s: at === 0 ? 'a b/%é=' : null } })
    await table.begin({ operation: 'WRITE' }).add(add).commit()
  }
  return table
}

it('every version: appends, a vector, OPTIMIZE, RESTORE, a checkpoint', async () => {
  const storage = new LocalStorage({ root: join(folder, 'rows') })
  const table = await tableWithRows(storage)
  const row = (id: number): readonly (string | null)[] => [String(id), id === 1 ? null : `s${id}`]
  const versions: Rows[] = [[], [0, 1, 2].map(row), [0, 1, 2, 3, 4, 5].map(row)]
  const file = [...table.snapshot.files()][0]
  const [vector] = await writeDeletionVectors(storage, [RowBitmap.of([0])])
  if (file === undefined || vector === undefined) throw new Error('no file')
  await table.begin({ operation: 'DELETE' }).replaceDeletionVector(file, vector).commit()
  const dead = file.stats?.includes('"minValues":{"id":0') === true ? 0 : 3
  versions.push([0, 1, 2, 3, 4, 5].filter((id) => id !== dead).map(row))
  await optimize({ table, rewriter: lab.rewriter })
  versions.push(versions.at(-1) ?? [])
  await restore({ table, target: { version: version(1) } })
  versions.push(versions[1] ?? [])
  await writeCheckpoint({ storage, snapshot: table.snapshot, writer: lab.checkpoints,
    nowMs: Date.now() })
  const engines = ['polars', 'chdb'] as const
  expect(await ask(engines.flatMap((engine) => versions.map((_, at): Request =>
    [engine, storage.root, at, ['id', 's'], 'id'])))).toEqual([...versions, ...versions])
})

it('partitions of any name, and columns renamed, which Polars refuses', async () => {
  const storage = new LocalStorage({ root: join(folder, 'partitions') })
  const table = await tableWithRows(storage, ['s'])
  const expected = [0, 1, 2, 3, 4, 5].map((id) => [String(id), id < 3 ? 'a b/%é=' : null])
  const read = (engine: 'polars' | 'chdb', name: string): Request =>
    [engine, storage.root, null, [name, 's'], name]
  expect(await ask([read('polars', 'id'), read('chdb', 'id')])).toEqual([expected, expected])
  await table.begin({ operation: 'RENAME COLUMN' })
    .setMetadata(renameColumn(table.snapshot.metadata, 'id', 'the id')).commit()
  expect(await ask([read('polars', 'the id'), read('chdb', 'the id')])).toEqual([
    { error: expect.stringContaining('columnMapping') as unknown }, expected])
})
