/** MirrorBench: a mirror over real DuckDB, lmdb and Delta files in a folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { createLogger, silentLogger, type Logger } from '../../src/base/logger.ts'
import type { Lsn } from '../../src/base/lsn.ts'
import { oid } from '../../src/base/oid.ts'
import type { ReplicationSource } from '../../src/mirror/replication.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { readDeletionVector } from '../../src/delta/deletion-vector.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import type { CompactionPolicy } from '../../src/delta-sync/compaction-plan.ts'
import { Mirror } from '../../src/delta-sync/mirror.ts'
import { ColumnarExecutor } from '../../src/olap/columnar-executor.ts'
import { DuckDb } from '../../src/olap/duckdb.ts'
import { EpochRegistry } from '../../src/olap/epoch-registry.ts'
import { LiveStore } from '../../src/olap/live-store.ts'
import { ParquetFiles } from '../../src/olap/parquet-files.ts'

export interface BenchOptions {
  readonly flushIntervalMs?: number
  readonly flushBytes?: number
  readonly layerRowsMax?: number
  readonly compaction?: CompactionPolicy
  readonly logger?: Logger
}

/** What a test does in the middle of a compaction, once each. */
export interface Amid {
  /** The new file is written; nothing is committed. */
  merged?: () => Promise<void>
  /** Readers have the new file; the key index has the old ones. */
  indexing?: () => Promise<void>
}

class AmidFiles extends ParquetFiles {
  readonly amid: Amid = {}
  #isCompacting = false

  override async merge(options: Parameters<ParquetFiles['merge']>[0])
    : ReturnType<ParquetFiles['merge']> {
    const written = await super.merge(options)
    this.#isCompacting = true
    await this.#once('merged')
    return written
  }

  override async * scan(...args: Parameters<ParquetFiles['scan']>)
    : ReturnType<ParquetFiles['scan']> {
    if (this.#isCompacting) await this.#once('indexing')
    this.#isCompacting = false
    yield * super.scan(...args)
  }

  async #once(place: keyof Amid): Promise<void> {
    const work = this.amid[place]
    delete this.amid[place]
    await work?.()
  }
}

export class MirrorBench implements AsyncDisposable {
  readonly directory: string
  readonly mirror: Mirror
  readonly executor: ColumnarExecutor
  readonly duckdb: DuckDb
  readonly amid: Amid
  readonly #store: LiveStore

  private constructor(directory: string, mirror: Mirror, executor: ColumnarExecutor,
    duckdb: DuckDb, store: LiveStore, amid: Amid) {
    this.amid = amid
    this.directory = directory
    this.mirror = mirror
    this.executor = executor
    this.duckdb = duckdb
    this.#store = store
  }

  static async folder(): Promise<string> {
    return await mkdtemp(join(tmpdir(), 'slipway-mirror-'))
  }

  static async start(directory: string, source: ReplicationSource, options: BenchOptions = {})
    : Promise<MirrorBench> {
    const duckdb = await DuckDb.open({ threads: 2, memoryLimit: '1GB', macros: [],
      tempDirectory: join(directory, 'duckdb'), directories: [directory] })
    const registry = new EpochRegistry({ clock: systemClock })
    const store = await LiveStore.open(duckdb, registry)
    const logger = options.logger ?? (process.env.BENCH_LOG === undefined ? silentLogger
      : createLogger({ part: 'mirror', level: 'debug', file: null }))
    const files = new AmidFiles(duckdb)
    const mirror = new Mirror({ source, store, files,
      lakeDirectory: join(directory, 'lake'), indexDirectory: join(directory, 'index'),
      workDirectory: join(directory, 'work'), flushIntervalMs: options.flushIntervalMs ?? 3_600_000,
      flushBytes: options.flushBytes ?? 128e6, clock: systemClock, logger,
      ...options.compaction === undefined ? {} : { compaction: options.compaction },
      ...options.layerRowsMax === undefined ? {} : { layerRowsMax: options.layerRowsMax } })
    const executor = new ColumnarExecutor({ duckdb, registry, progress: mirror.progress,
      tables: mirror.tables, clock: systemClock, concurrency: 4, queueMax: 100 })
    await mirror.start()
    return new MirrorBench(directory, mirror, executor, duckdb, store, files.amid)
  }

  /** Every row as text, sorted; columns by attnum. */
  async rows(relid: number, attnums: readonly number[], readLsn: Lsn): Promise<string[]> {
    const list = attnums.map((attnum) => `c${attnum}::VARCHAR`).join(', ')
    return await this.query([`SELECT ${list} FROM `,
      { relid: oid(relid), columns: attnums, prune: [] }, ' t'], readLsn)
  }

  async query(parts: Parameters<ColumnarExecutor['execute']>[0]['parts'], readLsn: Lsn)
    : Promise<string[]> {
    await using answer = await this.executor.execute({ parts, timeZone: 'UTC', readLsn,
      maxStalenessMs: null, timeoutMs: 10_000, signal: new AbortController().signal })
    const rows: string[] = []
    for await (const chunk of answer.chunks) {
      for (const row of chunk.getRows()) rows.push(JSON.stringify(row.map(String)))
    }
    return rows.sort()
  }

  async ready(relid: number): Promise<void> {
    for (let turn = 0; this.executor.schema(oid(relid)) === null; turn++) {
      if (turn > 1000) throw new Error(this.executor.refusal(oid(relid)))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** The Delta table's rows, read with nothing of the mirror's. */
  async lakeRows(name: string, list: string): Promise<string[]> {
    const storage = new LocalStorage({ root: join(this.directory, 'lake', 'public', name) })
    const table = await DeltaTable.open({ storage })
    const connection = await this.duckdb.connect()
    const rows: string[] = []
    for (const file of table.snapshot.files()) {
      const dead = file.deletionVector === undefined ? null
        : await readDeletionVector(storage, file.deletionVector)
      const result = await connection.runAndReadAll(`SELECT ${list}, file_row_number FROM `
        + `read_parquet('${join(storage.root, file.path)}', file_row_number = true)`)
      for (const row of result.getRows()) {
        const values = row.slice(0, -1)
        if (dead?.has(Number(row.at(-1))) === true) continue
        rows.push(JSON.stringify(values.map(String)))
      }
    }
    connection.closeSync()
    return rows.sort()
  }

  async stop(): Promise<void> {
    await this.mirror.stop()
    await this.executor[Symbol.asyncDispose]()
    await this.#store[Symbol.asyncDispose]()
    await this.duckdb[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.directory, { recursive: true, force: true })
  }
}
