/**
 * A process of its own that does one thing to a Delta table, for tests that kill it or start
 * many: node delta-child.js OPERATION TABLE [ARGUMENT]. SLIPWAY_FAILPOINTS says where it dies.
 */
import { join } from 'node:path'

const [operation, root, argument] = process.argv.slice(2)
const from = (path) => import(join(process.cwd(), 'dist', `${path}.js`))
const { LocalStorage } = await from('storage/local')
const { DeltaTable } = await from('delta/table')
const storage = new LocalStorage({ root })
const table = await DeltaTable.open({ storage })

async function withRewriter(work) {
  const { DuckDb } = await from('olap/duckdb')
  const { DeltaRewriter } = await from('olap/delta-rewriter')
  const duckdb = await DuckDb.open({ threads: 1, memoryLimit: '500MB',
    tempDirectory: join(storage.stagingDirectory, `spill-${process.pid}`), directories: [root],
    macros: [] })
  await work(new DeltaRewriter(duckdb))
  await duckdb[Symbol.asyncDispose]()
}

function addFile(path) {
  return { path, partitionValues: {}, size: 1, modificationTime: 0, dataChange: true }
}

const OPERATIONS = {
  appends: async () => {
    for (let at = 0; at < Number(argument); at++) {
      const outcome = await table.begin({ operation: 'WRITE' })
        .add(addFile(`part-${process.pid}-${at}.parquet`)).commit()
      if (outcome.kind !== 'committed') throw new Error(outcome.reason)
    }
  },
  remove: async () => {
    const [file] = table.snapshot.files()
    await table.begin({ operation: 'DELETE' }).remove(file).commit()
  },
  checkpoint: async () => {
    const { writeCheckpoint } = await from('delta/checkpoint')
    const { CheckpointWriter } = await from('delta/checkpoint-writer')
    await writeCheckpoint({ storage, snapshot: table.snapshot, writer: new CheckpointWriter(),
      nowMs: Date.now() })
  },
  optimize: async () => {
    const { optimize } = await from('delta/optimize')
    await withRewriter((rewriter) => optimize({ table, rewriter }))
  },
  restore: async () => {
    const { restore } = await from('delta/restore')
    await restore({ table, target: { version: Number(argument) } })
  },
  vacuum: async () => {
    const { vacuum } = await from('delta/vacuum')
    await vacuum({ table, nowMs: Date.now() + 1000, retentionMs: 0, force: true })
  },
  'clean-up': async () => {
    const { cleanUpLog } = await from('delta/log-cleanup')
    await cleanUpLog({ storage, retentionMs: 0, nowMs: Date.now() + 60_000 })
  },
}
await OPERATIONS[operation]()
