/**
 * DuckDb: the engine's one in-memory DuckDB instance, set up to answer as PostgreSQL does.
 *
 * D1  Settings are those of facts/pg-duckdb-semantics.md, section 1.
 * D2  No file outside `directories` is ever read or written by SQL.
 * D3  What does not fit into `memoryLimit` spills to `tempDirectory`, which is emptied first.
 */
import { mkdir, rm } from 'node:fs/promises'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { literal } from './sql-text.ts'

export interface DuckDbOptions {
  readonly threads: number
  /** As DuckDB reads it: `4GB`. */
  readonly memoryLimit: string
  readonly tempDirectory: string
  /** Absolute; the lake and whatever else SQL of ours may touch. */
  readonly directories: readonly string[]
  /** Statements to run once at the start: the translator's macros. */
  readonly macros: readonly string[]
}

export class DuckDb implements AsyncDisposable {
  readonly #instance: DuckDBInstance
  /** Keeps the in-memory database alive; runs nothing. */
  readonly #keeper: DuckDBConnection

  private constructor(instance: DuckDBInstance, keeper: DuckDBConnection) {
    this.#instance = instance
    this.#keeper = keeper
  }

  static async open(options: DuckDbOptions): Promise<DuckDb> {
    await rm(options.tempDirectory, { recursive: true, force: true })
    await mkdir(options.tempDirectory, { recursive: true })
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(options.threads),
      memory_limit: options.memoryLimit,
      temp_directory: options.tempDirectory,
      default_null_order: 'NULLS_LAST_ON_ASC_FIRST_ON_DESC',
      preserve_insertion_order: 'true',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    const keeper = await instance.connect()
    const directories = [...options.directories, options.tempDirectory].map(literal).join(', ')
    await keeper.run(`SET GLOBAL allowed_directories = [${directories}]`)
    await keeper.run('SET GLOBAL enable_external_access = false')
    // Every query names its files; footers of immutable files need not be read again.
    await keeper.run('SET GLOBAL parquet_metadata_cache = true')
    // Statistics of timestamptz are printed in it; queries set their own.
    await keeper.run('SET GLOBAL TimeZone = \'UTC\'')
    for (const statement of options.macros) await keeper.run(statement)
    return new DuckDb(instance, keeper)
  }

  async connect(): Promise<DuckDBConnection> {
    return await this.#instance.connect()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#keeper.closeSync()
    this.#instance.closeSync()
    return Promise.resolve()
  }
}
