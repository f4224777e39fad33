/** Files of writers that counted days by the old calendar: refused by name, or read as they are. */
import { statSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { jsonRows } from '../../src/delta/json-rows.ts'
import { optimize } from '../../src/delta/optimize.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { scanTable } from '../../src/delta/table-scan.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { DeltaRewriter } from '../../src/olap/delta-rewriter.ts'
import { DuckDbParquetReader } from '../../src/olap/duckdb-parquet-reader.ts'
import { DeltaLab } from '../support/delta-files.ts'

const NESTED: StructType = { type: 'struct', fields: [column('days',
  { type: 'array', elementType: 'date', containsNull: true }), column('by name',
  { type: 'map', keyType: 'string', valueType: 'timestamp', valueContainsNull: true })] }
const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'), column('day', 'date'),
  column('at', 'timestamp'), column('s', NESTED)] }

const SPARK_2 = { 'org.apache.spark.version': '2.4.8' }
const NEW = { day: '1582-10-15', at: '1900-01-01 00:00:00+00' }

let lab: DeltaLab
let tables = 0
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

interface Written {
  readonly day: string
  readonly at: string
  readonly nestedDay?: string
  readonly nestedAt?: string
}

/** A table of two files, the second one of a writer that calls itself by `keys`. */
async function tableOf(keys: Readonly<Record<string, string>>, written: Written) {
  const storage = lab.storage(`calendar ${tables++}`)
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  const { day, at, nestedDay = NEW.day, nestedAt = NEW.at } = written
  const own = await lab.writeFile(storage, SCHEMA, `SELECT 0, NULL::DATE, NULL::TIMESTAMPTZ,
    NULL::STRUCT(days DATE[], "by name" MAP(VARCHAR, TIMESTAMPTZ))`)
  const path = 'theirs.parquet'
  const local = storage.localPath(path)
  const metadata = Object.entries(keys).map(([key, value]) => `'${key}': '${value}'`).join(', ')
  const connection = await lab.duckdb.connect()
  await connection.run(`COPY (SELECT 1::BIGINT AS id, DATE '${day}' AS day,
    TIMESTAMPTZ '${at}' AS at, {'days': [NULL, DATE '${nestedDay}'],
    'by name': MAP {'x': TIMESTAMPTZ '${nestedAt}'}} AS s) TO '${local}'
    (FORMAT parquet${metadata === '' ? '' : `, KV_METADATA {${metadata}}`})`)
  connection.closeSync()
  await table.begin({ operation: 'WRITE' }).add(own).add({ ...own, path,
    size: statSync(local).size, stats: '{"numRecords":1}' }).commit()
  return { storage, table }
}

async function rowsOf({ storage, table }: Awaited<ReturnType<typeof tableOf>>,
  columns?: readonly string[]): Promise<readonly string[]> {
  const rows: string[] = []
  for await (const batch of scanTable(table.snapshot, { storage,
    reader: new DuckDbParquetReader(lab.duckdb), ...columns === undefined ? {} : { columns } })) {
    rows.push(...jsonRows(batch))
  }
  return rows
}

const refusal = { code: 'delta-unsupported',
  message: expect.stringMatching(/theirs\.parquet.* by the old calendar/) as string }

it.each<[string, Written]>([
  ['a date', { ...NEW, day: '1582-10-14' }],
  ['a time', { ...NEW, at: '1899-12-31 23:59:59.999999+00' }],
  ['a date in a list in a struct', { ...NEW, nestedDay: '0001-01-01' }],
  ['a time in a map in a struct', { ...NEW, nestedAt: '1850-01-01 00:00:00+00' }],
])('%s of the old calendar is refused, read or rewritten', async (_, written) => {
  const old = await tableOf(SPARK_2, written)
  await expect(rowsOf(old)).rejects.toMatchObject(refusal)
  await expect(optimize({ table: old.table, rewriter: new DeltaRewriter(lab.duckdb),
    fileBytes: 2 ** 30 })).rejects.toMatchObject(refusal)
  expect(await rowsOf(old, ['id'])).toHaveLength(2)
})

it.each<[string, Readonly<Record<string, string>>, boolean]>([
  ['Spark 2', SPARK_2, true],
  ['Spark 3.0, whose INT96 is old', { 'org.apache.spark.version': '3.0.3' }, true],
  ['Spark 3.5, told to', { 'org.apache.spark.version': '3.5.1',
    'org.apache.spark.legacyDateTime': '' }, true],
  ['Spark 4, INT96, told to', { 'org.apache.spark.version': '4.0.0',
    'org.apache.spark.legacyINT96': '' }, true],
  ['Spark 3.5', { 'org.apache.spark.version': '3.5.1' }, false],
  ['Spark 10', { 'org.apache.spark.version': '10.0.0' }, false],
  ['another writer', {}, false],
])('%s', async (_, keys, isOld) => {
  const old = rowsOf(await tableOf(keys, { day: '1500-01-01', at: '1600-01-01 00:00:00+00' }))
  if (isOld) await expect(old).rejects.toMatchObject(refusal)
  else expect((await old).join()).toContain('1500-01-01')
  expect(await rowsOf(await tableOf(keys, NEW))).toHaveLength(2)
})
