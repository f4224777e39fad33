/**
 * OwnParquet: the Delta library's ParquetReader and ParquetRewriter with a DuckDB of their own,
 * for programs that have none: `slipway/delta/duckdb`.
 *
 * OP1  They touch the folders that they were given and nothing else; what spills is deleted with
 *      them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { RecordBatch } from 'apache-arrow'
import type { ParquetReader, ReadRequest } from '../delta/parquet-reader.ts'
import type { ParquetRewriter, RewriteRequest, RewrittenFile } from '../delta/parquet-rewriter.ts'
import { DeltaRewriter } from './delta-rewriter.ts'
import { DuckDb } from './duckdb.ts'
import { DuckDbParquetReader } from './duckdb-parquet-reader.ts'

export interface OwnParquetOptions {
  /** Of the tables. */
  readonly folders: readonly string[]
  /** As DuckDB reads it; absent: 2GB. */
  readonly memoryLimit?: string
  /** Absent: one a processor. */
  readonly threads?: number
}

export class OwnParquetReader implements ParquetReader, AsyncDisposable {
  readonly #own: OwnDuckDb
  readonly #reader: DuckDbParquetReader

  private constructor(own: OwnDuckDb) {
    this.#own = own
    this.#reader = new DuckDbParquetReader(own.duckdb)
  }

  static async open(options: OwnParquetOptions): Promise<OwnParquetReader> {
    return new OwnParquetReader(await OwnDuckDb.open(options))
  }

  read(request: ReadRequest): AsyncGenerator<RecordBatch, void> {
    return this.#reader.read(request)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own[Symbol.asyncDispose]()
  }
}

export class OwnParquetRewriter implements ParquetRewriter, AsyncDisposable {
  readonly #own: OwnDuckDb
  readonly #rewriter: DeltaRewriter

  private constructor(own: OwnDuckDb) {
    this.#own = own
    this.#rewriter = new DeltaRewriter(own.duckdb)
  }

  static async open(options: OwnParquetOptions): Promise<OwnParquetRewriter> {
    return new OwnParquetRewriter(await OwnDuckDb.open(options))
  }

  rewrite(request: RewriteRequest): Promise<readonly RewrittenFile[]> {
    return this.#rewriter.rewrite(request)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own[Symbol.asyncDispose]()
  }
}

/** OP1. */
class OwnDuckDb implements AsyncDisposable {
  readonly duckdb: DuckDb
  readonly #tempDirectory: string

  private constructor(duckdb: DuckDb, tempDirectory: string) {
    this.duckdb = duckdb
    this.#tempDirectory = tempDirectory
  }

  static async open(options: OwnParquetOptions): Promise<OwnDuckDb> {
    const tempDirectory = await mkdtemp(join(tmpdir(), 'slipway-delta-'))
    const duckdb = await DuckDb.open({ threads: options.threads ?? availableParallelism(),
      memoryLimit: options.memoryLimit ?? '2GB', tempDirectory,
      directories: options.folders.map((folder) => resolve(folder)), macros: [] })
    return new OwnDuckDb(duckdb, tempDirectory)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.duckdb[Symbol.asyncDispose]()
    await rm(this.#tempDirectory, { recursive: true, force: true })
  }
}
