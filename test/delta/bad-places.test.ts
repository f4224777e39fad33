/** Full disks, read-only places, damaged and empty files, very wide tables: right, or an error. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckpointWriter } from '../../src/delta/checkpoint-writer.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { optimize } from '../../src/delta/optimize.ts'
import { restore } from '../../src/delta/restore.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { vacuum } from '../../src/delta/vacuum.ts'
import { version } from '../../src/delta/version.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { describeWith } from '../support/requires.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'), column('s', 'string')] }

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

async function append(table: DeltaTable, storage: LocalStorage, select: string): Promise<void> {
  const file = await lab.writeFile(storage, table.snapshot.schema, select)
  expect((await table.begin({ operation: 'WRITE' }).add(file).commit()).kind).toBe('committed')
}

async function checkpoint(table: DeltaTable): Promise<void> {
  await writeCheckpoint({ storage: table.storage, snapshot: table.snapshot,
    writer: new CheckpointWriter(), nowMs: Date.now() })
}

describe('a table', () => {
  it('without files takes everything', async () => {
    const storage = lab.storage('empty')
    const table = await DeltaTable.create({ storage, schema: SCHEMA })
    await checkpoint(table)
    expect(await optimize({ table, rewriter: lab.rewriter })).toMatchObject({ version: null })
    expect((await vacuum({ table, nowMs: Date.now() })).files).toEqual([])
    expect(await restore({ table, target: { version: version(0) } }))
      .toMatchObject({ version: null })
    expect((await DeltaTable.open({ storage })).snapshot.fileCount).toBe(0)
  })

  it('of 2,000 columns is packed, checkpointed and read again', async () => {
    const storage = lab.storage('wide')
    const fields = Array.from({ length: 2_000 }, (_, at) => column(`column ${at}`, 'long'))
    const table = await DeltaTable.create({ storage, schema: { type: 'struct', fields } })
    const values = fields.map((_, at) => `${at}::BIGINT`).join(', ')
    for (let at = 0; at < 2; at++) await append(table, storage, `SELECT ${values}`)
    await checkpoint(table)
    expect(await optimize({ table, rewriter: lab.rewriter }))
      .toMatchObject({ filesRemoved: 2, filesAdded: 1 })
    const { snapshot } = await DeltaTable.open({ storage })
    const [row = '[]'] = await lab.rows(storage, snapshot)
    expect((JSON.parse(row) as string[])[1999]).toBe('1999')
    const [file] = snapshot.files()
    expect(Object.keys((JSON.parse(file?.stats ?? '{}') as { maxValues: object }).maxValues))
      .toHaveLength(32)
  })

  it('with a file of no rows loses it; with one of no bytes it is damaged, and stays', async () => {
    const storage = lab.storage('no rows')
    const table = await DeltaTable.create({ storage, schema: SCHEMA })
    await append(table, storage, 'SELECT 1, \'x\' WHERE false')
    await append(table, storage, 'SELECT 1, \'x\' WHERE false')
    expect(await optimize({ table, rewriter: lab.rewriter }))
      .toMatchObject({ filesRemoved: 2, filesAdded: 0 })
    await append(table, storage, 'SELECT 1, \'x\'')
    await append(table, storage, 'SELECT 2, \'y\'')
    const [file] = table.snapshot.files()
    await writeFile(storage.localPath(file?.path ?? ''), '')
    await expect(optimize({ table, rewriter: lab.rewriter }))
      .rejects.toMatchObject({ code: 'delta-corrupt' })
    expect((await table.latest()).version).toBe(5)
    expect((await storage.listTree('_staging')).length).toBe(0)
  })
})

describeWith(['root'], 'a place of its own', () => {
  function mounted(name: string): LocalStorage & Disposable {
    const storage = lab.storage(name)
    mkdirSync(storage.root)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', storage.root])
    return Object.assign(storage, {
      [Symbol.dispose]: () => { execFileSync('umount', [storage.root]) } })
  }

  function remount(storage: LocalStorage, how: string): void {
    execFileSync('mount', ['-o', `remount,${how}`, storage.root])
  }

  it('that is full: the table is as it was, and goes on when there is room', async () => {
    using storage = mounted('full')
    const table = await DeltaTable.create({ storage, schema: SCHEMA })
    for (let at = 0; at < 2; at++) {
      await append(table, storage,
        'SELECT i, (hash(i) || \'\' || hash(i * 7)) FROM range(15000) r(i)')
    }
    const before = await lab.rows(storage, table.snapshot)
    await writeFile(join(storage.root, 'filler'), Buffer.alloc(1_500_000))
    remount(storage, 'size=2800k')
    await expect(optimize({ table, rewriter: lab.rewriter }))
      .rejects.toMatchObject({ code: 'lake-write-failed' })
    expect(await lab.rows(storage, (await DeltaTable.open({ storage })).snapshot)).toEqual(before)
    remount(storage, 'size=12m')
    expect(await optimize({ table, rewriter: lab.rewriter })).toMatchObject({ filesAdded: 1 })
    expect(await lab.rows(storage, table.snapshot)).toEqual(before)
    await vacuum({ table, nowMs: Date.now() + 1000, retentionMs: 0, force: true })
    expect((await storage.listTree('')).map(({ path }) => path)
      .filter((path) => !path.startsWith('_delta_log'))).toHaveLength(1)
  })

  it('that cannot be written: typed errors, and reading goes on', async () => {
    using storage = mounted('read only')
    const table = await DeltaTable.create({ storage, schema: SCHEMA })
    await append(table, storage, 'SELECT 1, \'x\'')
    await append(table, storage, 'SELECT 2, \'y\'')
    remount(storage, 'ro')
    const failure = { code: 'lake-write-failed' }
    await expect(table.begin({ operation: 'WRITE' }).setTxn('a', 1n).commit())
      .rejects.toMatchObject(failure)
    await expect(checkpoint(table)).rejects.toMatchObject(failure)
    await expect(optimize({ table, rewriter: lab.rewriter })).rejects.toMatchObject(failure)
    expect(await lab.rows(storage, (await DeltaTable.open({ storage })).snapshot)).toHaveLength(2)
    expect((await vacuum({ table, nowMs: Date.now(), dryRun: true })).files).toEqual([])
    remount(storage, 'rw')
  })
})
