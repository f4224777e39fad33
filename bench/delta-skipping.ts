/** Leaving out files: a point predicate over a snapshot of 300,000 files, first and later uses. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { AddFile } from '../src/delta/actions.ts'
import { CheckpointWriter } from '../src/delta/checkpoint-writer.ts'
import { writeCheckpoint } from '../src/delta/checkpoint.ts'
import { filesMatching } from '../src/delta/data-skipping.ts'
import { parsePredicate } from '../src/delta/predicate-parser.ts'
import { bindPredicate } from '../src/delta/predicate.ts'
import { column, type StructType } from '../src/delta/schema.ts'
import type { Snapshot } from '../src/delta/snapshot.ts'
import { DeltaTable } from '../src/delta/table.ts'
import { LocalStorage } from '../src/storage/local.ts'
import { temporaryFolder } from '../test/support/slipway.ts'
import type { BenchReport } from './support/report.ts'
import { median, quantile } from './support/statistics.ts'

const FILES = 300_000
const ROUNDS = 15
const LATER_MS_MAX = 50
const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'),
  column('name', 'string'), column('price', 'decimal(12,2)'), column('at', 'timestamp'),
  column('part', 'integer')] }

/** Each file holds 1,000 ids of its own, and is one of 100 parts. */
const PREDICATES: readonly string[] = ['id = 123456789', 'name = \'name 0123456\'',
  'price = 123456.50', 'at = \'2026-01-02T03:04:05.678901Z\'', 'part = 42 AND id = 123442789']

export async function bench(): Promise<BenchReport> {
  const folder = temporaryFolder('delta-skipping')
  try {
    const snapshot = await openTable(join(folder, 'table'))
    const lines: string[] = []
    const medians: number[] = []
    for (const text of PREDICATES) {
      const first = prune(snapshot, text)
      const times = Array.from({ length: ROUNDS }, () => prune(snapshot, text).ms)
      medians.push(median(times))
      lines.push(`${text.padEnd(44)} ${first.files} of ${FILES} files; first use `
        + `${first.ms.toFixed(0)} ms, then ${median(times).toFixed(1)} ms `
        + `(${quantile(times, 0).toFixed(1)} to ${quantile(times, 1).toFixed(1)})`)
    }
    return { lines, bars: [{ name: 'pruning by a point predicate, the slowest of them', unit: 'ms',
      value: Math.max(...medians), limit: { kind: 'most', value: LATER_MS_MAX } }] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function prune(snapshot: Snapshot, text: string): { readonly files: number; readonly ms: number } {
  const started = performance.now()
  const predicate = bindPredicate(snapshot.schema, parsePredicate(text))
  const files = [...filesMatching(snapshot, predicate)].length
  return { files, ms: performance.now() - started }
}

/** Opened from a checkpoint, as large tables are. */
async function openTable(root: string): Promise<Snapshot> {
  const storage = new LocalStorage({ root })
  const { snapshot } = await DeltaTable.create({ storage, schema: SCHEMA,
    partitionColumns: ['part'], adds: Array.from({ length: FILES }, (_, at) => addFile(at)) })
  await writeCheckpoint({ storage, snapshot, writer: new CheckpointWriter(), nowMs: Date.now() })
  return (await DeltaTable.open({ storage })).snapshot
}

function addFile(at: number): AddFile {
  const name = (id: number): string => `name ${String(id).padStart(7, '0')}`
  const day = (hour: number): string => new Date(1_767_225_600_000 + hour * 3_600_000).toISOString()
  return { path: `part-${String(at).padStart(8, '0')}-5c1f1b6e-1c59-4d4c-9f6e-0d7a3c0f8a11.parquet`,
    partitionValues: { part: String(at % 100) }, size: 1_000_000, modificationTime: 0,
    dataChange: true, stats: `{"numRecords":1000,"tightBounds":true,"minValues":{"id":${at * 1000},`
      + `"name":"${name(at)}","price":${at}.25,"at":"${day(at)}"},"maxValues":`
      + `{"id":${at * 1000 + 999},"name":"${name(at)}","price":${at}.75,"at":"${day(at + 1)}"},`
      + '"nullCount":{"id":0,"name":3,"price":0,"at":0}}' }
}
