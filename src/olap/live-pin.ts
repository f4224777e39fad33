/**
 * LivePin: a reader's transaction, held open at one LSN and epoch.
 *
 * LV1  What it reads and writes out does not change until it is disposed.
 */
import type { DuckDBConnection, DuckDBPreparedStatement } from '@duckdb/node-api'
import { lsnFromBigint, type Lsn } from '../base/lsn.ts'
import { SlipwayError } from '../base/errors.ts'
import { rowPosition, type Epoch } from '../mirror/epoch.ts'
import { columnAlias } from '../mirror/table-schema.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { EpochRegistry } from './epoch-registry.ts'
import { copyToParquet, type WrittenFile } from './parquet-writer.ts'
import { identifier, ownName } from './sql-text.ts'
import { STREAM_CHECK } from './whole-stream.ts'

/** What a reader's connection needs again and again, prepared once. */
export interface PinStatements {
  readonly begin: DuckDBPreparedStatement
  readonly state: DuckDBPreparedStatement
  readonly check: DuckDBPreparedStatement
  readonly end: DuckDBPreparedStatement
}

export async function preparePin(connection: DuckDBConnection): Promise<PinStatements> {
  return {
    begin: await connection.prepare('BEGIN TRANSACTION'),
    state: await connection.prepare('SELECT applied_lsn, epoch FROM live.state'),
    check: await connection.prepare(STREAM_CHECK),
    end: await connection.prepare('ROLLBACK'),
  }
}

/** Begins a read transaction; the first SELECT fixes its snapshot. */
export async function beginPinned(statements: PinStatements, registry: EpochRegistry)
  : Promise<{ readonly lsn: Lsn; readonly epoch: Epoch }> {
  await statements.begin.run()
  const state = (await statements.state.runAndReadAll()).getRows()[0]
  const epoch = registry.get(Number(state?.[1]))
  if (epoch === null) throw new SlipwayError('internal', 'the reader\'s epoch is not known')
  return { lsn: lsnFromBigint(state?.[0] as bigint), epoch }
}

export class LivePin implements AsyncDisposable {
  readonly lsn: Lsn
  readonly epoch: Epoch
  readonly #connection: DuckDBConnection

  private constructor(connection: DuckDBConnection, lsn: Lsn, epoch: Epoch) {
    this.#connection = connection
    this.lsn = lsn
    this.epoch = epoch
  }

  static async open(connection: DuckDBConnection, registry: EpochRegistry): Promise<LivePin> {
    try {
      const { lsn, epoch } = await beginPinned(await preparePin(connection), registry)
      return new LivePin(connection, lsn, epoch)
    } catch (error) {
      connection.closeSync()
      throw error
    }
  }

  async writeTail(options: {
    readonly liveName: string
    readonly columns: readonly { readonly attnum: number; readonly mirror: MirrorType
      readonly physicalName: string }[]
    readonly fromSeq: number
    readonly toSeq: number
    readonly path: string
  }): Promise<WrittenFile> {
    const list = options.columns.map((column) =>
      `${columnAlias(column.attnum)} AS ${identifier(column.physicalName)}`)
    const files = await copyToParquet(this.#connection, {
      select: `SELECT ${list.join(', ')} FROM live.${ownName(options.liveName)} `
        + `WHERE _seq BETWEEN ${options.fromSeq} AND ${options.toSeq} ORDER BY _seq`,
      columns: options.columns,
      target: { kind: 'file', path: options.path },
    })
    const written = files[0]
    if (written === undefined) throw new SlipwayError('internal', 'COPY named no file')
    return written
  }

  async deadRows(deadName: string, fileNo: number): Promise<readonly number[]> {
    const from = rowPosition(fileNo, 0)
    const result = await this.#connection.runAndReadAll(
      `SELECT k - ${from} FROM dead.${ownName(deadName)} `
      + `WHERE k >= ${from} AND k < ${rowPosition(fileNo + 1, 0)} ORDER BY k`)
    return (result.getColumns()[0] ?? []).map(Number)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try { await this.#connection.run('ROLLBACK') } finally { this.#connection.closeSync() }
  }
}
