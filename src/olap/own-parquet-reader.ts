/**
 * OwnParquetReader: a ParquetReader with a DuckDB of its own, for programs that have none.
 *
 * OP1  It reads the folders that it was given and nothing else; what spills is deleted with it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RecordBatch } from 'apache-arrow'
import type { ParquetReader, ReadRequest } from '../delta/parquet-reader.ts'
import { DuckDb } from './duckdb.ts'
import { DuckDbParquetReader } from './duckdb-parquet-reader.ts'

export class OwnParquetReader implements ParquetReader, AsyncDisposable {
  readonly #duckdb: DuckDb
  readonly #reader: DuckDbParquetReader
  readonly #tempDirectory: string

  private constructor(duckdb: DuckDb, tempDirectory: string) {
    this.#duckdb = duckdb
    this.#reader = new DuckDbParquetReader(duckdb)
    this.#tempDirectory = tempDirectory
  }

  /** `folders`: absolute, of the tables. `memoryLimit`: as DuckDB reads it. */
  static async open(options: { readonly folders: readonly string[]
    readonly memoryLimit?: string; readonly threads?: number }): Promise<OwnParquetReader> {
    const tempDirectory = await mkdtemp(join(tmpdir(), 'slipway-rows-'))
    const duckdb = await DuckDb.open({ threads: options.threads ?? availableParallelism(),
      memoryLimit: options.memoryLimit ?? '2GB', tempDirectory, directories: options.folders,
      macros: [] })
    return new OwnParquetReader(duckdb, tempDirectory)
  }

  read(request: ReadRequest): AsyncGenerator<RecordBatch, void> {
    return this.#reader.read(request)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#duckdb[Symbol.asyncDispose]()
    await rm(this.#tempDirectory, { recursive: true, force: true })
  }
}
