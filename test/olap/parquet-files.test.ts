/** Reading whole files: every row, or an error. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ParquetFiles } from '../../src/olap/parquet-files.ts'
import { copyToParquet } from '../../src/olap/parquet-writer.ts'
import { OlapBench } from './olap-bench.ts'

const ROWS = 500_000
const COLUMNS = [{ attnum: 1, mirror: { kind: 'text' }, physicalName: 'a' }] as const

let bench: OlapBench
beforeAll(async () => { bench = await OlapBench.open() })
afterAll(async () => { await bench[Symbol.asyncDispose]() })

async function write(name: string): Promise<{ readonly path: string; readonly bytes: number }> {
  const connection = await bench.duckdb.connect()
  const path = join(bench.directory, name)
  const [written] = await copyToParquet(connection, { columns: COLUMNS,
    select: `SELECT md5(i::VARCHAR) AS a FROM range(${ROWS}) t(i)`,
    target: { kind: 'file', path } })
  connection.closeSync()
  return { path, bytes: written?.sizeBytes ?? 0 }
}

async function count(path: string): Promise<number> {
  let rows = 0
  for await (const part of new ParquetFiles(bench.duckdb).scan(path, COLUMNS)) {
    expect(part.firstRow).toBe(rows)
    rows += part.rows.length
  }
  return rows
}

it('scans every row of a file, in order', async () => {
  expect(await count((await write('whole.parquet')).path)).toBe(ROWS)
})

it('throws when a file is damaged in a late row group', async () => {
  const { path, bytes } = await write('damaged.parquet')
  const file = await open(path, 'r+')
  // The fourth of five row groups, all of its pages.
  const length = Math.floor(bytes / 5)
  await file.write(Buffer.alloc(length, 0xff), 0, length, Math.floor(bytes * 0.65))
  await file.close()
  await expect(count(path)).rejects.toThrow()
})
