/** `slipway delta rows` and `changes` as a user runs them, output captured. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { buildProgram } from '../../src/cli/program.ts'
import type { AddFile } from '../../src/delta/actions.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { DeltaLab } from '../support/delta-files.ts'

const START = 1_795_354_260_000
const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'),
  column('Name', 'string'), column('price', 'decimal(38,2)'), column('at', 'timestamp'),
  column('f', 'double'), column('s', { type: 'struct', fields: [column('x', 'integer')] }),
  column('tags', { type: 'array', elementType: 'string', containsNull: true }),
  column('m', { type: 'map', keyType: 'string', valueType: 'long', valueContainsNull: true }),
  column('bytes', 'binary'), column('day', 'date')] }

let lab: DeltaLab
let root: string
beforeAll(async () => {
  lab = await DeltaLab.open()
  const storage = lab.storage('a table [1]*')
  root = storage.root
  let now = START
  const table = await DeltaTable.create({ storage, schema: SCHEMA, clock: { now: () => now },
    configuration: { 'delta.enableChangeDataFeed': 'true' } })
  const file: AddFile = await lab.writeFile(storage, SCHEMA, 'SELECT 9007199254740993 + i, '
    + '\'na"me\' || i, 123456789012345678901234567890123456.78::DECIMAL(38,2), '
    + 'TIMESTAMPTZ \'1969-12-31 23:59:59.999999+00\', CASE WHEN i = 0 THEN \'nan\'::DOUBLE '
    + 'ELSE -0.0 END, {\'x\': i::INTEGER}, [\'a\', NULL], MAP {\'k\': i}, \'\\x00\\xFF\'::BLOB, '
    + 'DATE \'0001-01-01\' FROM range(5) r(i)')
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

async function rows(...words: string[]): Promise<readonly unknown[]> {
  return (await run(...words, '--json')).split('\n').filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown)
}

describe('rows', () => {
  it('prints every type exactly, deleted rows left out', async () => {
    const found = await rows('rows', root)
    expect(found).toHaveLength(3)
    expect(found[0]).toEqual({ id: '9007199254740993', Name: 'na"me0',
      price: '123456789012345678901234567890123456.78', at: '1969-12-31T23:59:59.999999Z',
      f: 'NaN', s: { x: 0 }, tags: ['a', null], m: { k: '0' }, bytes: 'AP8=',
      day: '0001-01-01' })
  })

  it('takes columns, conditions, versions and a limit', async () => {
    const ids = async (...words: string[]): Promise<readonly unknown[]> =>
      (await rows('rows', root, '--columns', 'ID', ...words))
        .map((row) => Number(BigInt((row as { id: string }).id) - 9007199254740993n))
    expect(await ids('--version', '1')).toEqual([0, 1, 2, 3, 4])
    expect(await ids('--version', '0')).toEqual([])
    expect(await ids('--timestamp', new Date(START + 61_000).toISOString())).toHaveLength(5)
    expect(await ids('--limit', '2')).toEqual([0, 3])
    expect(await ids('--where', 'id > 9007199254740993.5')).toEqual([3, 4])
    expect(await ids('--where', 'f = \'NaN\'')).toEqual([0])
    expect(await ids('--where', 's.x IN (3, 7) OR NOT name LIKE \'na"me_\'')).toEqual([3])
    expect(await ids('--where', '"Name" = \'na"me4\' AND bytes = X\'00ff\' AND day IS NOT NULL'))
      .toEqual([4])
    expect(await ids('--where', 'at < \'1970-01-01\' AND 3 <= s.x')).toEqual([3, 4])
    expect(await ids('--where', 'price BETWEEN 1e30 AND 1e35')).toEqual([])
    expect(await ids('--where', 'Name = \'\'\' OR 1=1 --\'')).toEqual([])
  })

  it('says what is wrong, and where', async () => {
    const refusal = (...words: string[]): Promise<unknown> =>
      run('rows', root, ...words).then(() => null, (error: unknown) => error)
    expect(await refusal('--where', 'nme = \'a\'')).toMatchObject({ code: 'usage',
      message: 'there is no column nme; did you mean Name?' })
    expect(await refusal('--columns', 'id,prices')).toMatchObject({ code: 'usage',
      message: 'there is no column prices; did you mean price?' })
    expect(await refusal('--where', 'id = 5 AND (id < 3')).toMatchObject({ code: 'usage',
      message: expect.stringContaining('character 19: expected )') as string })
    expect(await refusal('--where', 'id = ;')).toMatchObject({ code: 'usage',
      message: expect.stringContaining('character 6') as string })
    expect(await refusal('--where', 'id = \'five\'')).toMatchObject({ code: 'usage' })
    expect(await refusal('--where', 'tags = \'a\'')).toMatchObject({ code: 'usage' })
    expect(await refusal('--columns', 'id,,f')).toMatchObject({ code: 'usage' })
    expect(await refusal('--columns', 'id,ID')).toMatchObject({ code: 'usage' })
    expect(await refusal('--limit', 'x')).toMatchObject({ code: 'usage' })
  })

  it('prints a table for people', async () => {
    expect(await run('rows', root, '--columns', 'Name,s', '--limit', '1'))
      .toMatch(/^Name +\| s\n-+\+-+\nna"me0 \| \{"x":0\}\n$/)
    expect(await run('rows', root, '--version', '0')).toBe('no rows\n')
  })
})

describe('changes', () => {
  it('derives inserts and deletes, with version and time', async () => {
    const found = await rows('changes', root, '--from', '0', '--columns',
      'Name,_change_type,_commit_version,_commit_timestamp')
    expect(found).toHaveLength(7)
    expect(found[5]).toEqual({ Name: 'na"me1', _change_type: 'delete', _commit_version: '2',
      _commit_timestamp: new Date(START + 120_000).toISOString().replace('Z', '000Z') })
    expect(await rows('changes', root, '--from', '2', '--where', '_change_type = \'insert\''))
      .toEqual([])
  })

  it('takes moments for versions', async () => {
    const moment = (ms: number): string => new Date(START + ms).toISOString()
    expect(await rows('changes', root, '--from', moment(1), '--to', moment(119_999)))
      .toHaveLength(5)
    expect(await rows('changes', root, '--from', moment(60_001))).toHaveLength(2)
    await expect(run('changes', root, '--from', moment(120_001)))
      .rejects.toMatchObject({ code: 'not-found' })
    await expect(run('changes', root, '--from', '2', '--to', '1'))
      .rejects.toMatchObject({ code: 'usage' })
    await expect(run('changes', root, '--from', '0', '--to', '9'))
      .rejects.toMatchObject({ code: 'usage' })
  })

  it('refuses versions that recorded none', async () => {
    const storage = lab.storage('without feed')
    await DeltaTable.create({ storage, schema: SCHEMA })
    await expect(run('changes', storage.root, '--from', '0')).rejects.toMatchObject({
      code: 'delta-unsupported', message: expect.stringContaining('at version 0') as string })
  })
})
