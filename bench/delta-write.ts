/** The Delta library's writing half, against the same work done barely or by DuckDB. */
import { mkdirSync, rmSync } from 'node:fs'
import { link, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { availableParallelism } from 'node:os'
import { encodeActions } from '../src/delta/action-codec.ts'
import type { AddFile } from '../src/delta/actions.ts'
import { CheckpointWriter } from '../src/delta/checkpoint-writer.ts'
import { writeCheckpoint } from '../src/delta/checkpoint.ts'
import { optimize } from '../src/delta/optimize.ts'
import { column, type StructType } from '../src/delta/schema.ts'
import { DeltaTable } from '../src/delta/table.ts'
import { commitPath } from '../src/delta/version.ts'
import { DeltaRewriter } from '../src/olap/delta-rewriter.ts'
import { DuckDb } from '../src/olap/duckdb.ts'
import { LocalStorage } from '../src/storage/local.ts'
import { temporaryFolder } from '../test/support/slipway.ts'
import type { Bar, BenchReport } from './support/report.ts'
import { median, quantile, timed } from './support/statistics.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long'), column('k', 'integer'),
  column('name', 'string'), column('price', 'double')] }

interface Part { readonly lines: readonly string[]; readonly bars: readonly Bar[] }
const PARTS: Readonly<Record<string, (folder: string) => Promise<Part>>> = {
  commit: benchCommit, appends: benchAppends, checkpoint: benchCheckpoint, optimize: benchOptimize,
}

/** `args`: names of parts; none: all. */
export async function bench(args: readonly string[]): Promise<BenchReport> {
  const lines: string[] = []
  const bars: Bar[] = []
  for (const [name, part] of Object.entries(PARTS)) {
    if (args.length > 0 && !args.includes(name)) continue
    const folder = temporaryFolder(`delta-write-${name}`)
    try {
      const found = await part(folder)
      lines.push(...found.lines)
      bars.push(...found.bars)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { lines, bars }
}

function addFile(at: number): AddFile {
  return { path: `part-${String(at).padStart(8, '0')}-5c1f1b6e-1c59-4d4c-9f6e-0d7a3c0f8a11.parquet`,
    partitionValues: {}, size: 1_000_000 + at, modificationTime: 1_795_354_260_000 + at,
    dataChange: true, stats: `{"numRecords":1000,"tightBounds":true,"minValues":{"id":${at},`
      + `"k":${at % 977},"name":"name ${at}","price":${at / 7}},"maxValues":{"id":${at + 999},`
      + `"k":${at % 977 + 20},"name":"name ${at + 999}","price":${at / 7 + 9}},`
      + '"nullCount":{"id":0,"k":0,"name":3,"price":0}}' }
}

const COMMITS = 300

async function benchCommit(folder: string): Promise<Part> {
  const storage = new LocalStorage({ root: join(folder, 'table') })
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  const bare = join(folder, 'bare')
  mkdirSync(bare)
  const ours: number[] = []
  const theirs: number[] = []
  for (let at = 0; at < COMMITS; at++) {
    const adds = Array.from({ length: 10 }, (_, index) => addFile(at * 10 + index))
    const transaction = table.begin({ operation: 'WRITE' })
    for (const add of adds) transaction.add(add)
    ours.push(await timed(() => transaction.commit()))
    const body = await storage.get(commitPath(table.snapshot.version))
      ?? encodeActions(adds.map((add) => ({ add })))
    theirs.push(await timed(() => bareCommit(bare, at, body)))
  }
  const ratio = median(ours) / median(theirs)
  return {
    lines: [`commit of 10 actions: ${figures(ours)}; write+fsync+link+fsync: ${figures(theirs)}`],
    bars: [{ name: 'commit of 10 actions against the bare file', value: ratio, unit: 'times',
      limit: { kind: 'most', value: 2 } }],
  }
}

async function bareCommit(folder: string, at: number, body: Uint8Array | string): Promise<void> {
  const staged = join(folder, `${at}.tmp`)
  const file = await open(staged, 'wx')
  await file.writeFile(body)
  await file.sync()
  await file.close()
  await link(staged, join(folder, `${at}.json`))
  rmSync(staged)
  const directory = await open(folder, 'r')
  await directory.sync()
  await directory.close()
}

const APPENDS = 20_000
const CHECKPOINT_EVERY = 100

async function benchAppends(folder: string): Promise<Part> {
  const storage = new LocalStorage({ root: folder })
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  const writer = new CheckpointWriter()
  const tenths: number[] = []
  for (let tenth = 0; tenth < 10; tenth++) {
    tenths.push(await timed(async () => {
      for (let at = 0; at < APPENDS / 10; at++) {
        await table.begin({ operation: 'WRITE' }).add(addFile(table.snapshot.version)).commit()
        if (table.snapshot.version % CHECKPOINT_EVERY !== 0) continue
        await writeCheckpoint({ storage, snapshot: table.snapshot, writer, nowMs: Date.now() })
      }
    }) / (APPENDS / 10))
  }
  const ratio = (tenths.at(-1) ?? 0) / (tenths[0] ?? 1)
  return {
    lines: [`20,000 appends, ms each by tenth: ${tenths.map((ms) => ms.toFixed(2)).join(' ')}`],
    bars: [{ name: 'the last tenth of 20,000 appends against the first', value: ratio,
      unit: 'times', limit: { kind: 'most', value: 1.5 } }],
  }
}

const FILES = 300_000
const ROUNDS = 5

async function benchCheckpoint(folder: string): Promise<Part> {
  await using duckdb = await openDuckDb(folder)
  const connection = await duckdb.connect()
  const storage = new LocalStorage({ root: join(folder, 'table') })
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  const transaction = table.begin({ operation: 'WRITE' })
  for (let at = 0; at < FILES; at++) transaction.add(addFile(at))
  await transaction.commit()
  const ndjson = join(folder, 'adds.ndjson')
  await writeFile(ndjson, encodeActions([...table.snapshot.files()].map((add) => ({ add }))))
  await connection.run('CREATE TABLE adds AS SELECT * FROM read_json('
    + `'${ndjson}', format = 'newline_delimited', columns = {add: 'STRUCT(path VARCHAR, `
    + 'partitionValues MAP(VARCHAR, VARCHAR), size BIGINT, modificationTime BIGINT, '
    + 'dataChange BOOLEAN, stats VARCHAR)\'})')
  const ours: number[] = []
  const theirs: number[] = []
  const held: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    // A new version and a new writer each time: nothing is remembered.
    await table.begin({ operation: 'WRITE' }).setTxn('bench', BigInt(round)).commit()
    const { snapshot } = table
    // Of its own: between two uses of one, everything would count as delay.
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    ours.push(await timed(() => writeCheckpoint({ storage, snapshot,
      writer: new CheckpointWriter(), nowMs: Date.now() })))
    delay.disable()
    held.push(delay.max / 1e6)
    theirs.push(await timed(() => connection.run(
      `COPY adds TO '${join(folder, `${round}.parquet`)}' (FORMAT parquet, COMPRESSION zstd)`)))
  }
  connection.closeSync()
  return {
    lines: [`checkpoint of 300,000 files: ${figures(ours)}; DuckDB's COPY: ${figures(theirs)}`,
      `event loop held, longest of each round: ${held.map((ms) => ms.toFixed(1)).join(' ')} ms`],
    bars: [{ name: 'checkpoint of 300,000 files against COPY', unit: 'times',
      value: median(ours) / median(theirs), limit: { kind: 'most', value: 3 } },
    { name: 'event loop held while a checkpoint is written', value: median(held), unit: 'ms',
      limit: { kind: 'most', value: 20 } }],
  }
}

const SMALL_FILES = 1_000
const SMALL_ROWS = 10_000
const OPTIMIZE_ROUNDS = 3

async function benchOptimize(folder: string): Promise<Part> {
  await using duckdb = await openDuckDb(folder)
  const connection = await duckdb.connect()
  const ours: number[] = []
  const theirs: number[] = []
  const storage = new LocalStorage({ root: join(folder, 'table') })
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  const transaction = table.begin({ operation: 'WRITE' })
  const paths: string[] = []
  for (let at = 0; at < SMALL_FILES; at++) {
    const path = storage.localPath(addFile(at).path)
    await connection.run(`COPY (SELECT ${at * SMALL_ROWS} + i AS id, `
      + `(hash(i) % 1000)::INTEGER AS k, 'name ' || hash(i + ${at}) AS name, `
      + `i / 7.0::DOUBLE AS price FROM range(${SMALL_ROWS}) r(i)) TO '${path}' (FORMAT parquet)`)
    paths.push(path)
    transaction.add({ ...addFile(at), size: (await storage.stat(addFile(at).path))?.size ?? 0 })
  }
  await transaction.commit()
  const files = [...table.snapshot.files()]
  for (let round = 0; round < OPTIMIZE_ROUNDS; round++) {
    theirs.push(await timed(() => connection.run('COPY (SELECT * FROM read_parquet(['
      + `${paths.map((path) => `'${path}'`).join(', ')}])) TO `
      + `'${join(folder, `${round}.parquet`)}' (FORMAT parquet)`)))
    ours.push(await timed(() => optimize({ table, rewriter: new DeltaRewriter(duckdb),
      fileBytes: 1024 ** 3 })))
    const back = table.begin({ operation: 'RESTORE' }).removeAll()
    for (const file of files) back.add(file)
    await back.commit()
  }
  connection.closeSync()
  return {
    lines: [`OPTIMIZE of 1,000 files: ${figures(ours)}; DuckDB reads and writes: `
      + figures(theirs)],
    bars: [{ name: 'OPTIMIZE of 1,000 files of 10,000 rows against DuckDB', unit: 'times',
      value: median(ours) / median(theirs), limit: { kind: 'most', value: 1.5 } }],
  }
}

async function openDuckDb(folder: string): Promise<DuckDb> {
  return await DuckDb.open({ threads: availableParallelism(), memoryLimit: '2GB',
    tempDirectory: join(folder, 'spill'), directories: [folder], macros: [] })
}

/** Median and spread. */
function figures(ms: readonly number[]): string {
  return `${median(ms).toFixed(2)} ms (${quantile(ms, 0.1).toFixed(2)} to `
    + `${quantile(ms, 0.9).toFixed(2)})`
}
