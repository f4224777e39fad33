/**
 * ParquetFiles: whole files in and out: the initial copy's CSV and keys.
 *
 * PF1  A CSV becomes files whose rows are PostgreSQL's, exactly, or an error and no promise
 *      about what lies in the directory.
 * PF2  Each call has a connection of its own: aborting one disturbs no other.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { SlipwayError } from '../base/errors.ts'
import { columnAlias } from '../mirror/table-schema.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { MirrorRow } from '../mirror/mirror-value.ts'
import { csvExpression, csvType, UNMIRRORABLE } from './csv-column.ts'
import type { DuckDb } from './duckdb.ts'
import { parquetSource } from './parquet-source.ts'
import { copyToParquet, type FileColumn, type WrittenFile }
  from './parquet-writer.ts'
import { mirrorValueOf } from './row-chunk.ts'
import { identifier, literal } from './sql-text.ts'
import { STREAM_CHECK, wholeStream } from './whole-stream.ts'

/** A line of CSV may be this long; the reader holds several buffers of that size. */
const LINE_BYTES_MAX = 32 * 1024 * 1024
/** Positions that a merge leaves out: temporary, so of its connection alone. */
const DROPPED = 'dropped_positions'
/** About two million rows a file. */
const ROW_GROUPS_PER_FILE = 16

export class ParquetFiles {
  readonly #duckdb: DuckDb

  constructor(duckdb: DuckDb) {
    this.#duckdb = duckdb
  }

  async importCsv(options: {
    readonly csvPath: string
    readonly columns: readonly FileColumn[]
    readonly directory: string
    readonly signal: AbortSignal
  }): Promise<readonly WrittenFile[]> {
    const types = options.columns.map((column) =>
      `${literal(columnAlias(column.attnum))}: ${literal(csvType(column.mirror))}`)
    const source = `read_csv(${literal(options.csvPath)}, columns = {${types.join(', ')}}, `
      + 'auto_detect = false, header = false, delim = \',\', quote = \'"\', escape = \'"\', '
      + 'nullstr = \'\', allow_quoted_nulls = false, parallel = true, compression = \'none\', '
      + `max_line_size = ${LINE_BYTES_MAX}, buffer_size = ${LINE_BYTES_MAX})`
    const list = options.columns.map((column) => {
      const value = csvExpression(columnAlias(column.attnum), column.mirror, column.attnum)
      return `${value} AS ${identifier(column.physicalName)}`
    })
    return await this.#with(options.signal, options.columns, async (connection) => {
      // Text with an explicit offset does not need it; nothing here depends on the host's zone.
      await connection.run('SET TimeZone = \'UTC\'')
      return await copyToParquet(connection, {
        select: `SELECT ${list.join(', ')} FROM ${source}`,
        columns: options.columns,
        target: { kind: 'directory', path: options.directory,
          rowGroupsPerFile: ROW_GROUPS_PER_FILE },
      })
    })
  }

  async merge(options: {
    readonly sources: readonly { readonly path: string; readonly dropped: readonly number[] }[]
    readonly columns: readonly FileColumn[]
    readonly path: string
    readonly signal: AbortSignal
  }): Promise<WrittenFile> {
    const { sources, columns } = options
    return await this.#with(options.signal, columns, async (connection) => {
      await connection.run(`CREATE TEMP TABLE ${DROPPED} (source BIGINT, position BIGINT)`)
      const appender = await connection.createAppender(DROPPED)
      for (const [source, { dropped }] of sources.entries()) {
        for (const position of dropped) {
          appender.appendBigInt(BigInt(source))
          appender.appendBigInt(BigInt(position))
          appender.endRow()
        }
      }
      appender.closeSync()
      const list = columns.map((column) =>
        `${columnAlias(column.attnum)} AS ${identifier(column.physicalName)}`)
      const files = await copyToParquet(connection, {
        select: `SELECT ${list.join(', ')} FROM `
          + `${parquetSource(sources.map(({ path }) => path), columns)} AS source `
          + `WHERE NOT EXISTS (SELECT 1 FROM ${DROPPED} p WHERE p.source = source.file_index `
          + 'AND p.position = source.file_row_number) '
          + 'ORDER BY source.file_index, source.file_row_number',
        columns, target: { kind: 'file', path: options.path },
      })
      const written = files[0]
      if (written === undefined) throw new SlipwayError('internal', 'COPY named no file')
      return written
    })
  }

  /** Every row or an error: a file that cannot be read to its end throws. */
  async * scan(path: string,
    columns: readonly { readonly attnum: number; readonly mirror: MirrorType }[])
    : AsyncIterable<{ readonly firstRow: number; readonly rows: readonly MirrorRow[] }> {
    const connection = await this.#duckdb.connect()
    try {
      const list = columns.map((column) => columnAlias(column.attnum))
      const check = await connection.prepare(STREAM_CHECK)
      await connection.run('BEGIN TRANSACTION')
      const result = await connection.stream(
        `SELECT ${list.join(', ')} FROM ${parquetSource([path], columns)}`)
      let firstRow = 0
      for await (const chunk of wholeStream(result, check)) {
        const values = columns.map((column, at) => chunk.getColumnValues(at)
          .map((value) => mirrorValueOf(column.mirror, value)))
        const rows = Array.from({ length: chunk.rowCount },
          (_, row) => values.map((column) => column[row] ?? null))
        yield { firstRow, rows }
        firstRow += chunk.rowCount
      }
    } finally {
      connection.closeSync()
    }
  }

  async #with<T>(signal: AbortSignal | null, columns: readonly FileColumn[],
    work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    const connection = await this.#duckdb.connect()
    const abort = (): void => connection.interrupt()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await work(connection)
    } catch (error) {
      signal?.throwIfAborted()
      throw refusal(error, columns)
    } finally {
      signal?.removeEventListener('abort', abort)
      connection.closeSync()
    }
  }
}

/** A value that a mirror cannot hold, in our own words: DuckDB's would show the value (E2). */
function refusal(error: unknown, columns: readonly FileColumn[]): unknown {
  if (!(error instanceof Error) || error instanceof SlipwayError) return error
  const at = error.message.indexOf(UNMIRRORABLE)
  const ours = at < 0 ? undefined
    : /^\d+/.exec(error.message.slice(at + UNMIRRORABLE.length))?.[0]
  // The CSV reader's: `Error when converting column "c3"`, among much that shows the value.
  const theirs = /^(?:Conversion|Invalid Input|Out of Range) Error/.test(error.message)
    ? /column "c(\d+)"/.exec(error.message)?.[1] ?? '' : undefined
  const attnum = ours ?? theirs
  if (attnum === undefined) return error
  const column = columns.find((each) => String(each.attnum) === attnum)
  return new SlipwayError('value-unmirrorable', `${column === undefined ? 'a column'
    : `column ${column.physicalName}`} holds a value that the lake cannot hold exactly`)
}
