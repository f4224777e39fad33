/** `fsck --deep`: statistics and vectors that do not say what the files hold are found. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AddFile } from '../../src/delta/actions.ts'
import { dataCheck } from '../../src/delta/data-check.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { checkTable } from '../../src/delta/fsck.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { DuckDbParquetReader } from '../../src/olap/duckdb-parquet-reader.ts'
import { DeltaLab } from '../support/delta-files.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'),
  column('price', 'decimal(12,2)'), column('name', 'string'), column('day', 'date'),
  column('at', 'timestamp_ntz'), column('share', 'double'), column('ok', 'boolean')] }
const ROWS = `SELECT i, (i / 4.0)::DECIMAL(12,2), repeat('name ', 20) || i,
  DATE '2024-01-01' + i::INT, TIMESTAMP '2024-01-01 00:00:00.000123' + i * INTERVAL '1' SECOND,
  CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN 'NaN'::DOUBLE ELSE -0.0 END, i % 2 = 0
  FROM range(1000) r(i)`

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

/** What is found in a table whose one file has other statistics, or another vector. */
async function problemsOf(name: string, change: {
  readonly stats?: (text: string) => string; readonly dead?: readonly number[]
}): Promise<readonly string[]> {
  const storage = lab.storage(name)
  const table = await DeltaTable.create({ storage, schema: SCHEMA,
    txn: { appId: 'slipway:1:2', version: 1n } })
  const file = await lab.writeFile(storage, SCHEMA, ROWS)
  const [vector] = change.dead === undefined ? []
    : await writeDeletionVectors(storage, [RowBitmap.of(change.dead)])
  const add: AddFile = { ...file, stats: change.stats?.(file.stats ?? '') ?? file.stats ?? '',
    ...vector === undefined ? {} : { deletionVector: vector } }
  const outcome = await table.begin({ operation: 'WRITE' }).add(add).commit()
  expect(outcome.kind).toBe('committed')
  const report = await checkTable(storage,
    { dataCheck: dataCheck(storage, new DuckDbParquetReader(lab.duckdb)) })
  return report.findings.map(({ problem }) => problem)
}

it('nothing is found in a sound table, cut texts, milliseconds and NaN included', async () => {
  expect(await problemsOf('sound', {})).toEqual([])
  expect(await problemsOf('sound with a vector', { dead: [0, 999] })).toEqual([])
})

it.each<[string, (text: string) => string, RegExp]>([
  ['rows', (text) => text.replace('"numRecords":1000', '"numRecords":1001'), /has 1000 rows, 1001/],
  ['a min', (text) => text.replace('"id":0', '"id":5'), /^5 rows .* of column id$/],
  ['a max', (text) => text.replace('"price":249.75', '"price":249.00'), /^3 rows .* price$/],
  ['a date', (text) => text.replace('"day":"2024-01-01"', '"day":"2024-01-03"'), /^2 rows .* day$/],
  ['a time', (text) => text.replace('"at":"2024-01-01T00:00:00.', '"at":"2024-01-01T00:00:05.'),
    /^5 rows .* at$/],
  ['a text', (text) => text.replace('"name":"name', '"name":"nbme'), /^1000 rows .* name$/],
  ['NULLs', (text) => text.replace('"share":334', '"share":333'),
    /share is NULL in 334 rows, in 333/],
])('%s that the statistics get wrong', async (name, stats, problem) => {
  const found = await problemsOf(`wrong ${name}`, { stats: (text) => {
    const changed = stats(text)
    expect(changed).not.toBe(text)
    return changed
  } })
  expect(found).toHaveLength(1)
  expect(found[0]).toMatch(problem)
})

it('a vector that deletes rows which are not there', async () => {
  const stats = (text: string): string => text.replace('"numRecords":1000', '"numRecords":2000')
  const found = await problemsOf('beyond', { dead: [1500], stats })
  expect(found).toContain('its deletion vector deletes row 1500 of 1000')
})
