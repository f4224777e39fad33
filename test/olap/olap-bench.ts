/** OlapBench: a real DuckDB with live tables and Parquet files, epochs published by hand. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { lsnFromBigint, type Lsn } from '../../src/base/lsn.ts'
import { oid } from '../../src/base/oid.ts'
import { fileColumns } from '../../src/delta-sync/file-columns.ts'
import type { LakeRecord } from '../../src/delta-sync/lake-schema.ts'
import { LakeTable } from '../../src/delta-sync/lake-table.ts'
import { Progress } from '../../src/delta-sync/progress.ts'
import type { EpochTable, LakeFile } from '../../src/mirror/epoch.ts'
import type { MirrorType } from '../../src/mirror/mirror-type.ts'
import type { MirrorRow } from '../../src/mirror/mirror-value.ts'
import type { ColumnSchema, TableSchema } from '../../src/mirror/table-schema.ts'
import { ColumnarExecutor } from '../../src/olap/columnar-executor.ts'
import { DuckDb } from '../../src/olap/duckdb.ts'
import { EpochRegistry } from '../../src/olap/epoch-registry.ts'
import { LiveStore } from '../../src/olap/live-store.ts'

export function column(attnum: number, mirror: MirrorType, name = `n${attnum}`,
  type = { oid: 23, typmod: -1 }): ColumnSchema {
  return { attnum, name, typeOid: oid(type.oid), typmod: type.typmod, notNull: false, mirror }
}

export function tableSchema(relid: number, columns: readonly ColumnSchema[]): TableSchema {
  return { relid: oid(relid), schema: 'public', name: `t${relid}`, columns, primaryKey: [1] }
}

export class OlapBench implements AsyncDisposable {
  readonly directory: string
  readonly duckdb: DuckDb
  readonly store: LiveStore
  readonly progress: Progress
  readonly executor: ColumnarExecutor
  #lsn = 0n
  #serial = 0

  private constructor(directory: string, duckdb: DuckDb, registry: EpochRegistry,
    store: LiveStore, turns: { readonly concurrency: number; readonly queueMax: number }) {
    this.directory = directory
    this.duckdb = duckdb
    this.store = store
    // No server: whoever waits for an LSN gets it from `publish`, or not at all.
    this.progress = new Progress({ clock: systemClock,
      source: { requestKeepalive: () => {}, forceFlush: () => Promise.resolve() } })
    this.executor = new ColumnarExecutor({ duckdb, registry, progress: this.progress,
      tables: { get: () => null }, clock: systemClock, ...turns })
  }

  static async open(turns = { concurrency: 2, queueMax: 0 }): Promise<OlapBench> {
    const directory = await mkdtemp(join(tmpdir(), 'slipway-olap-'))
    const duckdb = await DuckDb.open({ threads: 2, memoryLimit: '1GB', macros: [],
      tempDirectory: join(directory, 'duckdb'), directories: [directory] })
    const registry = new EpochRegistry({ clock: systemClock })
    return new OlapBench(directory, duckdb, registry, await LiveStore.open(duckdb, registry),
      turns)
  }

  get lsn(): Lsn { return lsnFromBigint(this.#lsn) }

  /** A live table with the rows, `_seq` from 0; returns its name. */
  async live(columns: readonly ColumnSchema[], rows: readonly MirrorRow[]): Promise<string> {
    const name = `l${++this.#serial}`
    await this.#batch(async () => {
      await this.store.createLive(name, columns)
      await this.store.append(name, columns, rows, rows.map((_, at) => at))
    })
    return name
  }

  async dead(positions: readonly number[]): Promise<string> {
    const name = `d${++this.#serial}`
    await this.#batch(async () => {
      await this.store.createDead(name)
      if (positions.length > 0) await this.store.addDead(name, positions)
    })
    return name
  }

  /** A file as a flush writes it, with the bounds that its statistics give. */
  async file(schema: TableSchema, rows: readonly MirrorRow[],
    options: { readonly fileNo?: number; readonly hasDead?: boolean } = {}): Promise<LakeFile> {
    const liveName = await this.live(schema.columns, rows)
    const record: LakeRecord = { incarnation: 'i', table: schema, suspended: null,
      names: schema.columns.map(({ name }) => ({ logical: name, physical: name })) }
    const path = join(this.directory, `${++this.#serial}.parquet`)
    await using pin = await this.store.pin()
    const written = await pin.writeTail({ liveName, path, fromSeq: 0, toSeq: rows.length,
      columns: LakeTable.parquetColumns(record) })
    return { fileNo: options.fileNo ?? this.#serial, path, rows: written.rows,
      sizeBytes: written.sizeBytes, hasDead: options.hasDead ?? false,
      ...fileColumns(LakeTable.statsOf(written, record, true), schema, record.names) }
  }

  /** Makes the next epoch, of this one table, what readers see. */
  async publish(schema: TableSchema, files: readonly LakeFile[], tail: readonly MirrorRow[] = [],
    dead: readonly number[] = []): Promise<EpochTable> {
    const table: EpochTable = { schema, files, liveName: await this.live(schema.columns, tail),
      deadName: await this.dead(dead) }
    await this.store.begin()
    this.#lsn += 10n
    await this.store.commit(this.lsn,
      { id: ++this.#serial, tables: new Map([[schema.relid, table]]) })
    this.progress.advance(this.lsn, true)
    return table
  }

  async #batch(work: () => Promise<void>): Promise<void> {
    await this.store.begin()
    await work()
    await this.store.commit(this.lsn, null)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.executor[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    await this.duckdb[Symbol.asyncDispose]()
    await rm(this.directory, { recursive: true, force: true })
  }
}
