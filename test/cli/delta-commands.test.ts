/** `slipway delta …` as a user runs it: the program's own tree of commands, output captured. */
import { rm } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { buildProgram } from '../../src/cli/program.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { DeltaLab } from '../support/delta-files.ts'

const START = 1_795_354_260_000

let lab: DeltaLab
let root: string
let dataFile: string
beforeAll(async () => {
  lab = await DeltaLab.open()
  const storage = lab.storage('a table')
  root = storage.root
  let now = START
  const schema = { type: 'struct' as const, fields: [column('id', 'long'),
    column('tags', { type: 'array', elementType: 'string', containsNull: true })] }
  const table = await DeltaTable.create({ storage, schema, clock: { now: () => now },
    txn: { appId: 'slipway:1:2', version: 2n ** 62n } })
  const file = await lab.writeFile(storage, schema, 'SELECT i, [\'x\'] FROM range(10) r(i)')
  dataFile = file.path
  now += 60_000
  await table.begin({ operation: 'WRITE' }).add(file).commit()
  const [vector] = await writeDeletionVectors(storage, [RowBitmap.of([1, 2])])
  const live = table.snapshot.file(file.path)
  if (vector === undefined || live === null) throw new Error('nothing there')
  now += 60_000
  await table.begin({ operation: 'DELETE' }).replaceDeletionVector(live, vector).commit()
})
afterAll(async () => { await lab[Symbol.asyncDispose]() })
afterEach(() => { vi.restoreAllMocks() })

async function run(...words: string[]): Promise<string> {
  let output = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  await buildProgram().parseAsync(['node', 'slipway', 'delta', ...words])
  return output
}

it('detail says what the table is', async () => {
  expect(JSON.parse(await run('detail', root, '--json'))).toMatchObject({ version: 2, files: 1,
    rows: 8, deletedRows: 2, features: ['deletionVectors', 'inCommitTimestamp'],
    transactions: { 'slipway:1:2': String(2n ** 62n) },
    schema: [{ name: 'id', type: 'long' }, { name: 'tags', type: 'array<string>' }] })
  expect(await run('detail', root)).toMatch(/^rows +\| 8$/m)
})

it('--version and --timestamp travel', async () => {
  const rows = async (...words: string[]): Promise<unknown> =>
    (JSON.parse(await run('detail', root, '--json', ...words)) as { rows: unknown }).rows
  expect(await rows('--version', '0')).toBe(0)
  expect(await rows('--version', '1')).toBe(10)
  expect(await rows('--timestamp', new Date(START + 61_000).toISOString())).toBe(10)
  await expect(run('detail', root, '--version', '7')).rejects.toMatchObject({ code: 'not-found' })
  await expect(run('detail', root, '--version', 'x')).rejects.toMatchObject({ code: 'usage' })
  await expect(run('files', root, '--timestamp', 'soon')).rejects.toMatchObject({ code: 'usage' })
  await expect(run('files', root, '--version', '1', '--timestamp', '2026-01-01'))
    .rejects.toMatchObject({ code: 'usage' })
  await expect(run('detail', `${root}/none`)).rejects.toMatchObject({ code: 'not-found' })
})

it('history is newest first', async () => {
  const lines = (await run('history', root, '--json')).trim().split('\n')
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { version: 2, operation: 'DELETE' }, { version: 1, operation: 'WRITE' },
    { version: 0, timestamp: new Date(START).toISOString(), operation: 'CREATE TABLE' }])
  expect((await run('history', root, '--limit', '1')).trim().split('\n')).toHaveLength(3)
})

it('files lists live files', async () => {
  expect(JSON.parse(await run('files', root, '--json'))).toMatchObject({ path: dataFile, rows: 10,
    deletedRows: 2 })
  expect(await run('files', root)).toContain(dataFile)
})

it('fsck passes a sound table and fails a broken one', async () => {
  expect(await run('fsck', root)).toMatch(/^version 2: 3 commits, .* 0 problems$/m)
  await rm(`${root}/${dataFile}`)
  await expect(run('fsck', root, '--json')).rejects.toMatchObject({ code: 'delta-corrupt' })
})
