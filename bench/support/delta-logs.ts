/** Delta logs of any size for benchmarks: no data files, which opening a table never reads. */
import { execFileSync } from 'node:child_process'
import { createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { PYTHON } from '../../test/support/cache.ts'

const COLUMNS: readonly (readonly [string, string])[] = [['id', 'long'], ['name', 'string'],
  ['price', 'double'], ['quantity', 'integer'], ['at', 'timestamp'], ['day', 'date']]

function logFile(folder: string, version: number): string {
  return join(folder, '_delta_log', `${String(version).padStart(20, '0')}.json`)
}

function line(action: unknown): string {
  return `${JSON.stringify(action)}\n`
}

function head(): string {
  const fields = COLUMNS.map(([name, type]) => ({ name, type, nullable: true, metadata: {} }))
  return line({ protocol: { minReaderVersion: 1, minWriterVersion: 2 } })
    + line({ metaData: { id: '3f1e8b6a-52d1-4c83-9f0e-6c1a7f0d2b11',
      format: { provider: 'parquet', options: {} },
      schemaString: JSON.stringify({ type: 'struct', fields }), partitionColumns: ['day'],
      configuration: {}, createdTime: 1_700_000_000_000 } })
}

/** A thousand rows whose ids follow those of the file before; statistics of five columns. */
function add(at: number): string {
  const day = `2024-${String(1 + at % 12).padStart(2, '0')}-${String(1 + at % 28).padStart(2, '0')}`
  const second = String(at % 60).padStart(2, '0')
  const name = (row: number): string => `name-${String(row).padStart(10, '0')}`
  const first = at * 1000
  const stats = { numRecords: 1000,
    minValues: { id: first, name: name(first), price: at * 0.5, quantity: at % 100,
      at: `2024-01-01T00:00:${second}.000Z` },
    maxValues: { id: first + 999, name: name(first + 999), price: at * 0.5 + 10,
      quantity: at % 100 + 50, at: `2024-06-01T00:00:${second}.000Z` },
    nullCount: { id: 0, name: at % 3, price: 0, quantity: 0, at: 0 } }
  return line({ add: { path: pathOf(at, day), partitionValues: { day }, size: 100_000 + at,
    modificationTime: 1_700_000_000_000 + at, dataChange: true, stats: JSON.stringify(stats) } })
}

function pathOf(at: number, day: string): string {
  const hex = Math.imul(at + 1, 0x9e3779b1) >>> 0
  return `day=${day}/part-${String(at).padStart(5, '0')}-${hex.toString(16).padStart(8, '0')}`
    + '-5c1d-4e5f-8a3b-0d9f6b7c8e21-c000.snappy.parquet'
}

/** One version that holds `files` files, as a checkpoint that delta-rs has written, alone. */
export async function writeCheckpointTable(folder: string, files: number): Promise<void> {
  mkdirSync(join(folder, '_delta_log'), { recursive: true })
  const out = createWriteStream(logFile(folder, 0))
  out.write(line({ commitInfo: { timestamp: 1_700_000_000_000, operation: 'WRITE' } }) + head())
  for (let at = 0; at < files; at++) {
    if (!out.write(add(at))) await once(out, 'drain')
  }
  out.end()
  await once(out, 'finish')
  execFileSync(PYTHON, ['-c',
    'import sys, deltalake; deltalake.DeltaTable(sys.argv[1]).create_checkpoint()', folder])
  rmSync(logFile(folder, 0))
}

/** Versions 0 to `count` - 1, a new file each. */
export function writeCommitTable(folder: string, count: number): void {
  mkdirSync(join(folder, '_delta_log'), { recursive: true })
  for (let version = 0; version < count; version++) appendCommit(folder, version)
}

export function appendCommit(folder: string, version: number): void {
  const commitInfo = { timestamp: 1_700_000_000_000 + version, operation: 'WRITE',
    operationParameters: { mode: 'Append' }, isBlindAppend: true }
  writeFileSync(logFile(folder, version),
    line({ commitInfo }) + (version === 0 ? head() : '') + add(version))
}
