/**
 * LiveStore: the native tables beside the lake, written by one connection.
 *
 * LS1  A batch is one DuckDB transaction over all tables; `state` moves in it.
 * LS2  An epoch is in the registry before the transaction that names it commits.
 * LS3  A pin sees the tables, `state` and the epoch of one commit, however long it lives.
 */
import type { DuckDBAppender, DuckDBConnection, DuckDBPreparedStatement }
  from '@duckdb/node-api'
import { assert } from '../base/assert.ts'
import type { Lsn } from '../base/lsn.ts'
import { columnAlias } from '../mirror/table-schema.ts'
import { rowPosition, type Epoch } from '../mirror/epoch.ts'
import { duckdbTypeOf, type MirrorType } from '../mirror/mirror-type.ts'
import type { MirrorRow, MirrorValue } from '../mirror/mirror-value.ts'
import type { DuckDb } from './duckdb.ts'
import type { EpochRegistry } from './epoch-registry.ts'
import { LivePin } from './live-pin.ts'
import { parquetSource } from './parquet-source.ts'
import { CHUNK_ROWS, mirrorValueOf, RowChunkBuilder } from './row-chunk.ts'
import { ownName } from './sql-text.ts'

interface Column { readonly attnum: number; readonly mirror: MirrorType }

interface OpenAppender { readonly appender: DuckDBAppender; readonly builder: RowChunkBuilder }

/** A prepared statement is one turn of libuv's pool, a text is three. */
interface Prepared {
  readonly begin: DuckDBPreparedStatement
  readonly setState: DuckDBPreparedStatement
  readonly commit: DuckDBPreparedStatement
}

/** Numbers in one IN list; longer lists take several statements. */
const LIST_MAX = 20_000

export class LiveStore implements AsyncDisposable {
  readonly #duckdb: DuckDb
  readonly #registry: EpochRegistry
  readonly #writer: DuckDBConnection
  readonly #appenders = new Map<string, OpenAppender>()
  readonly #prepared: Prepared
  #open = false
  #epoch = 0

  private constructor(duckdb: DuckDb, registry: EpochRegistry, writer: DuckDBConnection,
    prepared: Prepared) {
    this.#duckdb = duckdb
    this.#registry = registry
    this.#writer = writer
    this.#prepared = prepared
  }

  /** Makes the schemas and an empty state: epoch 0 has no tables. */
  static async open(duckdb: DuckDb, registry: EpochRegistry): Promise<LiveStore> {
    const writer = await duckdb.connect()
    await writer.run('CREATE SCHEMA live')
    await writer.run('CREATE SCHEMA dead')
    await writer.run('CREATE TABLE live.state (applied_lsn UBIGINT, epoch BIGINT)')
    await writer.run('INSERT INTO live.state VALUES (0, 0)')
    registry.add({ id: 0, tables: new Map() })
    return new LiveStore(duckdb, registry, writer, {
      begin: await writer.prepare('BEGIN TRANSACTION'),
      setState: await writer.prepare('UPDATE live.state SET applied_lsn = $1, epoch = $2'),
      commit: await writer.prepare('COMMIT'),
    })
  }

  async begin(): Promise<void> {
    assert(!this.#open, 'one writer transaction at a time')
    await this.#prepared.begin.run()
    this.#open = true
  }

  async commit(lsn: Lsn, epoch: Epoch | null): Promise<void> {
    assert(this.#open, 'commit ends a transaction')
    if (epoch !== null) this.#registry.add(epoch)
    this.#epoch = epoch?.id ?? this.#epoch
    this.#prepared.setState.bindUBigInt(1, lsn)
    this.#prepared.setState.bindBigInt(2, BigInt(this.#epoch))
    await this.#prepared.setState.run()
    await this.#prepared.commit.run()
    this.#open = false
    if (epoch !== null) this.#registry.committed(epoch)
  }

  async rollback(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    this.#closeAppenders()
    await this.#writer.run('ROLLBACK')
  }

  async createLive(name: string, columns: readonly Column[]): Promise<void> {
    const definitions = columns.map((column) =>
      `${columnAlias(column.attnum)} ${duckdbTypeOf(column.mirror)}`)
    await this.#writer.run(
      `CREATE TABLE live.${ownName(name)} (${[...definitions, '_seq BIGINT'].join(', ')})`)
  }

  async createDead(name: string): Promise<void> {
    await this.#writer.run(`CREATE TABLE dead.${ownName(name)} (k BIGINT)`)
  }

  async drop(names: { readonly live: string | null; readonly dead: string | null })
    : Promise<void> {
    if (names.live !== null) {
      this.#closeAppender(names.live)
      await this.#writer.run(`DROP TABLE live.${ownName(names.live)}`)
    }
    if (names.dead !== null) await this.#writer.run(`DROP TABLE dead.${ownName(names.dead)}`)
  }

  async moveTail(options: {
    readonly from: string
    readonly fromColumns: readonly Column[]
    readonly to: string
    readonly columns: readonly Column[]
    readonly afterSeq: number
  }): Promise<void> {
    const present = new Set(options.fromColumns.map((column) => column.attnum))
    const list = options.columns.map((column) => {
      const source = present.has(column.attnum) ? columnAlias(column.attnum) : 'NULL'
      return `CAST(${source} AS ${duckdbTypeOf(column.mirror)}) AS ${columnAlias(column.attnum)}`
    })
    await this.#writer.run(`CREATE TABLE live.${ownName(options.to)} AS SELECT `
      + `${[...list, '_seq'].join(', ')} FROM live.${ownName(options.from)} `
      + `WHERE _seq > ${options.afterSeq} ORDER BY _seq`)
  }

  async append(name: string, columns: readonly Column[], rows: readonly MirrorRow[],
    seqs: readonly number[]): Promise<void> {
    let open = this.#appenders.get(name)
    if (open === undefined) {
      open = {
        appender: await this.#writer.createAppender(name, 'live'),
        builder: new RowChunkBuilder(columns.map((column) => column.mirror)),
      }
      this.#appenders.set(name, open)
    }
    for (let at = 0; at < rows.length; at += CHUNK_ROWS) {
      open.appender.appendDataChunk(open.builder.build(
        rows.slice(at, at + CHUNK_ROWS), seqs.slice(at, at + CHUNK_ROWS)))
    }
    open.appender.flushSync()
  }

  async deleteRows(name: string, seqs: readonly number[]): Promise<void> {
    for (let at = 0; at < seqs.length; at += LIST_MAX) {
      const list = seqs.slice(at, at + LIST_MAX).join(', ')
      await this.#writer.run(`DELETE FROM live.${ownName(name)} WHERE _seq IN (${list})`)
    }
  }

  async addDead(name: string, positions: readonly number[]): Promise<void> {
    for (let at = 0; at < positions.length; at += LIST_MAX) {
      const list = positions.slice(at, at + LIST_MAX).join(', ')
      await this.#writer.run(`INSERT INTO dead.${ownName(name)} SELECT unnest([${list}]::BIGINT[])`)
    }
  }

  async removeDead(name: string, fileNos: readonly number[]): Promise<void> {
    const ranges = fileNos.map((fileNo) =>
      `k >= ${rowPosition(fileNo, 0)} AND k < ${rowPosition(fileNo + 1, 0)}`)
    await this.#writer.run(`DELETE FROM dead.${ownName(name)} WHERE ${ranges.join(' OR ')}`)
  }

  async readRows(name: string, columns: readonly Column[], seqs: readonly number[])
    : Promise<ReadonlyMap<number, MirrorRow>> {
    const list = columns.map((column) => columnAlias(column.attnum))
    return await this.#rowsBy(seqs, columns, (wanted) =>
      `SELECT ${[...list, '_seq'].join(', ')} FROM live.${ownName(name)} `
      + `WHERE _seq IN (${wanted})`)
  }

  async readFileRows(path: string, columns: readonly Column[], rows: readonly number[])
    : Promise<ReadonlyMap<number, MirrorRow>> {
    const list = columns.map((column) => columnAlias(column.attnum))
    return await this.#rowsBy(rows, columns, (wanted) =>
      `SELECT ${[...list, 'file_row_number'].join(', ')} FROM ${parquetSource([path], columns)} `
      + `WHERE file_row_number IN (${wanted})`)
  }

  async pin(): Promise<LivePin> {
    return await LivePin.open(await this.#duckdb.connect(), this.#registry)
  }

  async #rowsBy(keys: readonly number[], columns: readonly Column[],
    query: (wanted: string) => string): Promise<ReadonlyMap<number, MirrorRow>> {
    const found = new Map<number, MirrorRow>()
    for (let at = 0; at < keys.length; at += LIST_MAX) {
      const result = await this.#writer.runAndReadAll(
        query(keys.slice(at, at + LIST_MAX).join(', ')))
      for (const row of result.getRows()) {
        const values: MirrorValue[] = columns.map((column, index) =>
          mirrorValueOf(column.mirror, row[index] ?? null))
        found.set(Number(row[columns.length]), values)
      }
    }
    return found
  }

  #closeAppender(name: string): void {
    const open = this.#appenders.get(name)
    this.#appenders.delete(name)
    open?.appender.closeSync()
  }

  #closeAppenders(): void {
    for (const name of [...this.#appenders.keys()]) this.#closeAppender(name)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closeAppenders()
    this.#writer.closeSync()
    return Promise.resolve()
  }
}
