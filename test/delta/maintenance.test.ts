/** OPTIMIZE, VACUUM and RESTORE: the rows that they keep, the files that they touch. */
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AddFile } from '../../src/delta/actions.ts'
import { writeChangeFiles } from '../../src/delta/change-feed-writer.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { addColumn, renameColumn } from '../../src/delta/column-mapping.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { optimize } from '../../src/delta/optimize.ts'
import { partitionFolder } from '../../src/delta/partitioning.ts'
import { restore } from '../../src/delta/restore.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import type { CommitOutcome, Transaction } from '../../src/delta/transaction.ts'
import { widenColumn } from '../../src/delta/type-widening.ts'
import { vacuum } from '../../src/delta/vacuum.ts'
import { version } from '../../src/delta/version.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'integer'),
  column('name', 'string'),
  column('at', { type: 'struct', fields: [column('x', 'long'), column('y', 'decimal(38,2)')] })] }
const DAY = 86_400_000

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

async function committed(transaction: Transaction)
  : Promise<Extract<CommitOutcome, { kind: 'committed' }>> {
  const outcome = await transaction.commit()
  if (outcome.kind === 'conflict') throw new Error(outcome.reason)
  return outcome
}

function rowsFrom(first: number, count: number): string {
  return `SELECT i, 'n' || i, {'x': i * 2, 'y': (i || '.25')::DECIMAL(38,2)} `
    + `FROM range(${first}, ${first + count}) r(i)`
}

async function smallFiles(storage: LocalStorage, files: number, rows: number)
  : Promise<DeltaTable> {
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  const transaction = table.begin({ operation: 'WRITE' })
  for (let at = 0; at < files; at++) {
    transaction.add(await lab.writeFile(storage, SCHEMA, rowsFrom(at * rows, rows)))
  }
  await committed(transaction)
  return table
}

async function deleteRows(table: DeltaTable, file: AddFile, rows: readonly number[])
  : Promise<void> {
  const [vector] = await writeDeletionVectors(table.storage, [RowBitmap.of(rows)])
  if (vector === undefined) throw new Error('no vector')
  await committed(table.begin({ operation: 'DELETE' }).replaceDeletionVector(file, vector))
}

function firstFile(table: DeltaTable): AddFile {
  for (const file of table.snapshot.files()) return file
  throw new Error('no file')
}

describe('optimize', () => {
  it('packs small files, leaves deleted rows out, and is done after once', async () => {
    const storage = lab.storage('pack')
    const table = await smallFiles(storage, 8, 50)
    await deleteRows(table, firstFile(table), [0, 1, 49])
    const before = await lab.rows(storage, table.snapshot)
    expect(before).toHaveLength(397)
    const other = await DeltaTable.open({ storage })
    const dry = await optimize({ table, rewriter: lab.rewriter, dryRun: true })
    expect(dry).toMatchObject({ version: null, filesRemoved: 8, filesAdded: 0 })
    const report = await optimize({ table, rewriter: lab.rewriter })
    expect(report).toMatchObject({ filesRemoved: 8, filesAdded: 1, deletionVectorsRemoved: 1 })
    expect(table.snapshot.fileCount).toBe(1)
    expect(JSON.parse(firstFile(table).stats ?? '')).toMatchObject({ numRecords: 397,
      tightBounds: true, minValues: { id: expect.anything() as unknown, at: { x: expect
        .anything() as unknown } }, nullCount: { at: { y: 0 } } })
    expect(await lab.rows(storage, table.snapshot)).toEqual(before)
    expect(await optimize({ table, rewriter: lab.rewriter }))
      .toMatchObject({ version: null, filesRemoved: 0 })
    // An append that knew nothing of it stands beside it.
    await committed(other.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, SCHEMA, rowsFrom(1000, 1))))
    expect(await lab.rows(storage, await table.latest())).toHaveLength(398)
    expect((await readdir(join(storage.root, '_staging')))).toEqual([])
  })

  it('OZ2: gives up only what another writer changed meanwhile', async () => {
    const storage = lab.storage('lost bin')
    const table = await smallFiles(storage, 4, 400)
    const other = await DeltaTable.open({ storage })
    const size = Math.max(...[...table.snapshot.files()].map((file) => file.size)) * 2.2
    let deleted = false
    const report = await optimize({ table, fileBytes: Math.ceil(size), rewriter: {
      rewrite: async (request) => {
        if (!deleted) {
          await deleteRows(other, firstFile(other), [3])
          await committed(other.begin({ operation: 'WRITE' })
            .add(await lab.writeFile(storage, SCHEMA, rowsFrom(5000, 1))))
        }
        deleted = true
        return lab.rewriter.rewrite(request)
      } } })
    expect(report).toMatchObject({ filesRemoved: 2, filesAdded: 1, binsSkipped: 1 })
    const rows = await lab.rows(storage, await other.latest())
    expect(rows).toHaveLength(1600)
    const found = await vacuum({ table: other, nowMs: Date.now() + 1000, retentionMs: 0,
      force: true, dryRun: true })
    expect(found.files.filter((path) => path.endsWith('.parquet')).length).toBe(2)
  })

  it('reads old files as the columns are now: renamed, added, widened', async () => {
    const storage = lab.storage('evolved')
    const table = await smallFiles(storage, 2, 10)
    await committed(table.begin({ operation: 'CHANGE COLUMN' })
      .setMetadata(widenColumn(table.snapshot.metadata, 'id', 'long')))
    await committed(table.begin({ operation: 'RENAME COLUMN' })
      .setMetadata(renameColumn(table.snapshot.metadata, ['at', 'x'], 'from')))
    await committed(table.begin({ operation: 'ADD COLUMNS' })
      .setMetadata(addColumn(table.snapshot.metadata, column('z', 'date'), { into: 'at' })))
    await committed(table.begin({ operation: 'WRITE' }).add(await lab.writeFile(storage,
      table.snapshot.schema, 'SELECT 9007199254740993, \'n\', '
      + '{\'x\': 1, \'y\': 2.00::DECIMAL(38,2), \'z\': DATE \'2024-02-29\'}')))
    const before = await lab.rows(storage, table.snapshot)
    await optimize({ table, rewriter: lab.rewriter })
    expect(table.snapshot.fileCount).toBe(1)
    expect(await lab.rows(storage, table.snapshot)).toEqual(before)
    expect(before.filter((row) => row.includes('9007199254740993'))).toHaveLength(1)
    const ids = await lab.query('SELECT name, field_id FROM parquet_schema('
      + `'${storage.localPath(firstFile(table).path)}') WHERE field_id IS NOT NULL`)
    expect(ids.map(([name]) => name).slice(0, 3)).toEqual(['id', 'name', 'at'])
  })

  it('clusters by one column and by several, within a partition', async () => {
    const storage = lab.storage('cluster')
    const schema: StructType = { type: 'struct',
      fields: [column('p', 'string'), column('a', 'long'), column('b', 'string')] }
    const table = await DeltaTable.create({ storage, schema, partitionColumns: ['p'] })
    const transaction = table.begin({ operation: 'WRITE' })
    for (const [p, value] of [['x y', 'x y'], ['null', null], ['%ü', '%ü']] as const) {
      for (let at = 0; at < 2; at++) {
        transaction.add(await lab.writeFile(storage, { type: 'struct',
          fields: schema.fields.slice(1) }, `SELECT hash(i + ${at} * 20000) % 100000, `
          + `(hash(i * 7 + ${at}) % 1000)::VARCHAR || '${p}' FROM range(20000) r(i)`,
        { metadata: table.snapshot.metadata, values: { p: value } }))
      }
    }
    await committed(transaction)
    const before = await lab.rows(storage, table.snapshot)
    const report = await optimize({ table, rewriter: lab.rewriter, clusterBy: ['a', 'b'],
      fileBytes: 50_000 })
    expect(report.filesRemoved).toBe(6)
    expect(report.filesAdded).toBeGreaterThan(6)
    expect(await lab.rows(storage, table.snapshot)).toEqual(before)
    const files = [...table.snapshot.files()]
    expect(new Set(files.map((file) => file.partitionValues.p)).size).toBe(3)
    expect(files.every((file) => file.path.startsWith('p='))).toBe(true)
    expect(await optimize({ table, rewriter: lab.rewriter, clusterBy: ['a', 'b'],
      fileBytes: 50_000 })).toMatchObject({ version: null })
    await optimize({ table, rewriter: lab.rewriter, clusterBy: ['a'], fileBytes: 50_000 })
    const spans = [...table.snapshot.files()].map((file) =>
      JSON.parse(file.stats ?? '') as { minValues: { a: number }; maxValues: { a: number } })
      .map(({ minValues, maxValues }) => maxValues.a - minValues.a)
    expect(Math.max(...spans)).toBeLessThan(60_000)
    await expect(optimize({ table, rewriter: lab.rewriter, clusterBy: ['p'] }))
      .rejects.toMatchObject({ code: 'usage' })
    await expect(optimize({ table, rewriter: lab.rewriter, clusterBy: ['nope'] }))
      .rejects.toMatchObject({ code: 'not-found' })
  })
})

describe('vacuum', () => {
  async function old(storage: LocalStorage, path: string, days = 30): Promise<string> {
    const file = join(storage.root, path)
    await mkdir(dirname(file), { recursive: true })
    if (await storage.stat(path) === null) await writeFile(file, 'x')
    const seconds = (Date.now() - days * DAY) / 1000
    await utimes(file, seconds, seconds)
    return path
  }

  it('deletes what nothing names, and keeps what a version of the retention names', async () => {
    const storage = lab.storage('vacuum')
    const table = await smallFiles(storage, 2, 10)
    const first = firstFile(table)
    await deleteRows(table, first, [1])
    await deleteRows(table, table.snapshot.file(first.path) ?? first, [1, 2])
    await optimize({ table, rewriter: lab.rewriter })
    for (const { path } of await storage.listTree('')) {
      if (!path.startsWith('_')) await old(storage, path)
    }
    const litter = [await old(storage, 'part-lost.parquet'), await old(storage, 'a/b/lost.bin'),
      await old(storage, '_staging/lost.tmp', 2), await old(storage, '_change_data/lost.parquet')]
    await old(storage, 'young.parquet', 1)
    for (const kept of ['_mine/x', '.hidden', '_x.parquet', 'a/.crc', '_staging/new.tmp']) {
      await old(storage, kept, kept === '_staging/new.tmp' ? 0.5 : 30)
    }
    const options = { table, nowMs: Date.now() }
    const dry = await vacuum({ ...options, dryRun: true })
    expect([...dry.files].sort()).toEqual([...litter].sort())
    expect((await storage.listTree('')).length).toBeGreaterThan(10)
    expect((await vacuum(options)).files).toEqual(dry.files)
    expect((await vacuum(options)).files).toEqual([])
    for (const at of [1, 2, 3, 4]) {
      expect(await lab.rows(storage, await table.at(version(at)))).toHaveLength(20
        - [0, 0, 1, 2, 2][at]!)
    }
    await expect(vacuum({ ...options, retentionMs: DAY })).rejects.toMatchObject({ code: 'usage' })
    const forced = await vacuum({ ...options, nowMs: Date.now() + 1000, retentionMs: 0,
      force: true })
    expect(forced.files).toContain('young.parquet')
    expect(await lab.rows(storage, table.snapshot)).toHaveLength(18)
    expect((await storage.listTree('')).map(({ path }) => path).filter((path) =>
      !path.startsWith('_') && !path.includes('.crc') && !path.startsWith('.'))).toHaveLength(1)
  })

  it('a longer retention than the table\'s keeps what its checkpoints have forgotten', async () => {
    const storage = lab.storage('long')
    let now = Date.now() - 40 * DAY
    const table = await DeltaTable.create({ storage, schema: SCHEMA, clock: { now: () => now } })
    const file = await lab.writeFile(storage, SCHEMA, rowsFrom(0, 5))
    await committed(table.begin({ operation: 'WRITE' }).add(file))
    now += 20 * DAY
    await committed(table.begin({ operation: 'DELETE' }).remove(file))
    await committed(table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, SCHEMA, rowsFrom(9, 1))))
    await old(storage, file.path, 40)
    await writeCheckpoint({ storage, snapshot: table.snapshot, writer: lab.checkpoints,
      nowMs: Date.now() })
    const again = await DeltaTable.open({ storage })
    const options = { table: again, nowMs: Date.now(), dryRun: true }
    expect((await vacuum({ ...options, retentionMs: 25 * DAY })).files).toEqual([])
    expect((await vacuum(options)).files).toEqual([file.path])
  })

  it('keeps change files of the retention', async () => {
    const storage = lab.storage('feed')
    const table = await DeltaTable.create({ storage, schema: SCHEMA,
      configuration: { 'delta.enableChangeDataFeed': 'true' } })
    const file = await lab.writeFile(storage, SCHEMA, rowsFrom(0, 5))
    await committed(table.begin({ operation: 'WRITE' }).add(file))
    const updated = await lab.writeFile(storage, SCHEMA, 'SELECT 3, \'new\', NULL')
    const [vector] = await writeDeletionVectors(storage, [RowBitmap.of([3])])
    if (vector === undefined) throw new Error('no vector')
    const transaction = table.begin({ operation: 'UPDATE' })
      .replaceDeletionVector(file, vector).add(updated)
    const changes = await writeChangeFiles({ storage, rewriter: lab.rewriter,
      metadata: table.snapshot.metadata, changes: [
        { file, rows: { kind: 'only', positions: () => Promise.resolve(RowBitmap.of([3])) },
          changeType: 'update_preimage' },
        { file: updated, rows: { kind: 'all' }, changeType: 'update_postimage' }] })
    for (const change of changes) transaction.addChangeFile(change)
    await committed(transaction)
    const [path = ''] = changes.map((change) => change.path)
    expect(await lab.query(`SELECT id, name, _change_type FROM '${storage.localPath(path)}' `
      + 'ORDER BY 3')).toEqual([['3', 'new', 'update_postimage'], ['3', 'n3', 'update_preimage']])
    await old(storage, path)
    expect((await vacuum({ table, nowMs: Date.now(), dryRun: true })).files).toEqual([])
  })
})

describe('restore', () => {
  it('makes an older state the newest: files, vectors, columns', async () => {
    const storage = lab.storage('restore')
    const table = await smallFiles(storage, 3, 10)
    const wanted = await lab.rows(storage, table.snapshot)
    await deleteRows(table, firstFile(table), [1, 2])
    await committed(table.begin({ operation: 'RENAME COLUMN' })
      .setMetadata(renameColumn(table.snapshot.metadata, 'name', 'title')))
    await committed(table.begin({ operation: 'ADD COLUMNS' })
      .setMetadata(addColumn(table.snapshot.metadata, column('more', 'long'))))
    await optimize({ table, rewriter: lab.rewriter })
    const dry = await restore({ table, target: { version: version(1) }, dryRun: true })
    expect(dry).toMatchObject({ version: null, filesRestored: 3, filesRemoved: 1,
      metadataChanged: true })
    const report = await restore({ table, target: { version: version(1) } })
    expect(report).toMatchObject({ version: 6, restoredVersion: 1 })
    expect(await lab.rows(storage, table.snapshot)).toEqual(wanted)
    expect(table.snapshot.schema.fields.map(({ name }) => name)).toEqual(['id', 'name', 'at'])
    // A name that comes back must not find the values of another column.
    const again = addColumn(table.snapshot.metadata, column('more', 'string'))
    expect(again.configuration['delta.columnMapping.maxColumnId']).toBe('7')
    expect(await restore({ table, target: { version: version(6) } }))
      .toMatchObject({ version: null })
    const time = (await table.at(version(2))).timestampMs
    expect(await restore({ table, target: { timestampMs: time } }))
      .toMatchObject({ restoredVersion: 2 })
    expect(await lab.rows(storage, table.snapshot)).toHaveLength(28)
  })

  it('RS1: refuses a version whose files are gone, and writes nothing', async () => {
    const storage = lab.storage('gone')
    const table = await smallFiles(storage, 2, 10)
    await optimize({ table, rewriter: lab.rewriter })
    const [lost] = [...(await table.at(version(1))).files()]
    await rm(storage.localPath(lost?.path ?? ''))
    await expect(restore({ table, target: { version: version(1) } }))
      .rejects.toMatchObject({ code: 'not-found' })
    await expect(restore({ table, target: { version: version(99) } }))
      .rejects.toMatchObject({ code: 'not-found' })
    expect((await table.latest()).version).toBe(2)
  })
})

/** The folder of a partition is what the path of its files begins with. */
it('partition folders are Hive\'s, and their names are escaped twice in the log', () => {
  const metadata = { id: '', format: { provider: 'parquet', options: {} }, configuration: {},
    partitionColumns: ['p'], schemaString: JSON.stringify({ type: 'struct',
      fields: [column('p', 'string'), column('x', 'long')] }) }
  expect(partitionFolder(metadata, { p: 'a/b=c%' })).toBe('p=a%2Fb%3Dc%25/')
  expect(partitionFolder(metadata, { p: null })).toBe('p=__HIVE_DEFAULT_PARTITION__/')
})
