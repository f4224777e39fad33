/**
 * DuckDbParquetReader: the Delta library's ParquetReader over DuckDB.
 *
 * DR1  PR1 to PR5 of delta/parquet-reader.ts.
 * DR2  Files that keep their columns alike are read by one statement, FILES_PER_SCAN at most;
 *      its result is streamed, so that DuckDB waits for the consumer.
 * DR3  Deleted positions never stand in SQL: rows are dropped by the bitmap as batches are made.
 * DR4  Days of the old calendar are refused (old-calendar.ts).
 */
import type { DuckDBConnection, DuckDBDataChunk } from '@duckdb/node-api'
import type { RecordBatch, Schema } from 'apache-arrow'
import { SlipwayError } from '../base/errors.ts'
import type { ParquetReader, ReadFile, ReadRequest } from '../delta/parquet-reader.ts'
import { pathsOf } from '../delta/predicate.ts'
import type { RowBitmap } from '../delta/row-bitmap.ts'
import type { StructField } from '../delta/schema.ts'
import type { Value } from '../delta/value.ts'
import { arrowBatch, arrowSchema } from './arrow-batch.ts'
import type { DuckDb } from './duckdb.ts'
import { requireNewCalendar } from './old-calendar.ts'
import { columnReading, typeText, type ColumnReading } from './parquet-columns.ts'
import { parquetTree, SCHEMA_COLUMNS, type SchemaRow } from './parquet-tree.ts'
import { predicateSql, valueText } from './predicate-sql.ts'
import { identifier, listOf } from './sql-text.ts'
import { STREAM_CHECK, wholeStream } from './whole-stream.ts'

const FILES_PER_SCAN = 64

/** Files of one form, in their order. */
interface Scan {
  readonly files: readonly ReadFile[]
  readonly reading: ColumnReading
}

export class DuckDbParquetReader implements ParquetReader {
  readonly #duckdb: DuckDb

  /** Its DuckDB must be allowed to read the tables' folders. */
  constructor(duckdb: DuckDb) {
    this.#duckdb = duckdb
  }

  async * read(request: ReadRequest): AsyncGenerator<RecordBatch, void> {
    const { signal } = request
    signal?.throwIfAborted()
    const connection = await this.#duckdb.connect()
    const abort = (): void => connection.interrupt()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const columns = columnsRead(request)
      const schema = arrowSchema(request.columns)
      for await (const files of inGroups(request.files)) {
        for (const scan of await scansOf(connection, files, columns, request)) {
          await checkCalendar(connection, scan, columns)
          yield * scanBatches(connection, scan, columns, request, schema)
        }
      }
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', abort)
      connection.closeSync()
    }
  }
}

/** The request's columns first, then those that only the predicate asks for. */
function columnsRead(request: ReadRequest): readonly StructField[] {
  const columns = [...request.columns]
  for (const [column] of request.predicate === null ? [] : pathsOf(request.predicate)) {
    if (!columns.some((other) => other.name === column.name)) columns.push(column)
  }
  return columns
}

async function * inGroups(files: ReadRequest['files']): AsyncGenerator<readonly ReadFile[]> {
  let group: ReadFile[] = []
  for await (const file of files) {
    group.push(file)
    if (group.length < FILES_PER_SCAN) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

/** DR2. Columns that a file has as constants are not looked for in it. */
async function scansOf(connection: DuckDBConnection, files: readonly ReadFile[],
  columns: readonly StructField[], request: ReadRequest): Promise<readonly Scan[]> {
  const schemas = await schemasOf(connection, files.map(({ path }) => path))
  const scans: { form: string; files: ReadFile[]; reading: ColumnReading }[] = []
  for (const file of files) {
    const rows = schemas.get(file.path) ?? []
    const stored = columns.map((column) => file.constants.has(column.name))
    const form = JSON.stringify([stored, rows])
    const last = scans.at(-1)
    if (last?.form === form) {
      last.files.push(file)
      continue
    }
    const reading = naming(file.path, () => columnReading(
      columns.filter((column) => !file.constants.has(column.name)), request.mapping,
      parquetTree(rows)))
    scans.push({ form, files: [file], reading })
  }
  return scans
}

async function schemasOf(connection: DuckDBConnection, paths: readonly string[])
  : Promise<ReadonlyMap<string, readonly SchemaRow[]>> {
  const result = await asDamage(paths, () => connection.runAndReadAll(
    `SELECT file_name, ${SCHEMA_COLUMNS} FROM parquet_schema(${listOf(paths)})`))
  const schemas = new Map<string, SchemaRow[]>()
  for (const [path, ...row] of result.getRows()) {
    const rows = schemas.get(path as string)
    if (rows === undefined) schemas.set(path as string, [row as unknown as SchemaRow])
    else rows.push(row as unknown as SchemaRow)
  }
  return schemas
}

async function * scanBatches(connection: DuckDBConnection, scan: Scan,
  columns: readonly StructField[], request: ReadRequest, schema: Schema)
  : AsyncGenerator<RecordBatch, void> {
  const paths = scan.files.map(({ path }) => path)
  const selects = scan.files.some(({ rows }) => rows.kind !== 'all')
  const rows = new RowPicker(scan.files, selects ? request.columns.length : null)
  const sql = scanSql(scan, columns, request, selects)
  const check = await connection.prepare(STREAM_CHECK)
  await connection.run('BEGIN TRANSACTION')
  const result = await asDamage(paths, () => connection.stream(sql))
  const types = result.columnTypes()
  const chunks = wholeStream(result, check)
  try {
    for (;;) {
      const next = await asDamage(paths, () => chunks.next())
      if (next.done === true) break
      const picked = await rows.of(next.value)
      if (picked.length > 0) yield arrowBatch(schema, next.value, types, picked)
    }
  } finally {
    // Abandoned or failed: whatever still runs must end before the connection is used again.
    connection.interrupt()
    await connection.run('ROLLBACK')
  }
}

async function checkCalendar(connection: DuckDBConnection, scan: Scan,
  columns: readonly StructField[]): Promise<void> {
  const stored = storedIn(scan, columns)
  const paths = scan.files.map(({ path }) => path)
  await asDamage(paths, () => requireNewCalendar(connection, {
    paths, nameOf: scan.reading.nameOf,
    columns: stored.map(({ type }, at) => ({ sql: `c${at}`, type })),
    from: (some) => sourceSql({ ...scan, files: scan.files.filter(({ path }) =>
      some.includes(path)) }, stored),
  }))
}

/** The columns that the files do not have as constants. */
function storedIn({ files }: Scan, columns: readonly StructField[]): readonly StructField[] {
  return columns.filter((column) => files[0]?.constants.has(column.name) !== true)
}

function scanSql(scan: Scan, columns: readonly StructField[], request: ReadRequest,
  selects: boolean): string {
  const { files, reading } = scan
  const stored = storedIn(scan, columns)
  const expressionOf = (column: StructField): string => {
    const at = stored.indexOf(column)
    return at === -1 ? constantSql(column, files) : `c${at}`
  }
  const byName = new Map(columns.map((column) => [column.name, expressionOf(column)]))
  const list = request.columns.map((column) => byName.get(column.name) ?? '')
  if (selects) list.push('CAST(file_index AS INTEGER)', 'file_row_number')
  if (list.length === 0) list.push('0')
  const condition = request.predicate === null ? ''
    : ` WHERE ${predicateSql(request.predicate, ([column, ...rest]) =>
      rest.reduce((sql, field) => `${sql}.${identifier(reading.nameOf(field))}`,
        `(${byName.get(column.name) ?? ''})`))}`
  return `SELECT ${list.join(', ')} FROM ${sourceSql(scan, stored)}${condition}`
}

function sourceSql({ files, reading }: Scan, stored: readonly StructField[]): string {
  const options = stored.length === 0 ? '' : `, schema = ${reading.schema}`
  const binary = reading.binaryAsString ? ', binary_as_string = true' : ''
  return `read_parquet(${listOf(files.map(({ path }) => path))}${options}${binary})`
}

function constantSql(column: StructField, files: readonly ReadFile[]): string {
  const texts = files.map(({ constants }) => constantText(constants.get(column.name) ?? null))
  const type = typeText(column.type, (field) => field.name)
  const [first = 'NULL'] = texts
  if (texts.every((text) => text === first)) return `CAST(${first} AS ${type})`
  return `list_extract(CAST([${texts.join(', ')}] AS ${type}[]), CAST(file_index AS BIGINT) + 1)`
}

function constantText(value: Value | null): string {
  return value === null ? 'NULL' : valueText(value)
}

/** DR3: which rows of a chunk stay. */
class RowPicker {
  readonly #files: readonly ReadFile[]
  readonly #column: number | null
  /** Of the file that rows come from now; files come one after the other. */
  #at = -1
  #positions: RowBitmap | null = null

  /** `column`: where file index and row number stand; null: every row stays. */
  constructor(files: readonly ReadFile[], column: number | null) {
    this.#files = files
    this.#column = column
  }

  async of(chunk: DuckDBDataChunk): Promise<Int32Array> {
    const all = Int32Array.from({ length: chunk.rowCount }, (_, row) => row)
    if (this.#column === null) return all
    const files = chunk.getColumnValues(this.#column) as readonly number[]
    const numbers = chunk.getColumnValues(this.#column + 1) as readonly bigint[]
    const picked = new Int32Array(chunk.rowCount)
    let count = 0
    for (let row = 0; row < chunk.rowCount; row++) {
      const file = files[row] ?? 0
      if (file !== this.#at) await this.#enter(file)
      const kind = this.#files[file]?.rows.kind
      const has = this.#positions?.has(Number(numbers[row])) === true
      if (kind === 'all' || has === (kind === 'only')) picked[count++] = row
    }
    return picked.subarray(0, count)
  }

  async #enter(file: number): Promise<void> {
    const rows = this.#files[file]?.rows
    this.#at = file
    this.#positions = rows === undefined || rows.kind === 'all' ? null : await rows.positions()
  }
}

/** PR5. DuckDB's own words may show values, so only the file is named. */
async function asDamage<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SlipwayError || !(error instanceof Error)) throw error
    if (/^INTERRUPT/i.test(error.message)) throw error
    const named = paths.find((path) => error.message.includes(path)) ?? paths[0] ?? ''
    const which = paths.length === 1 || error.message.includes(named) ? named
      : `one of ${paths.length} data files from ${named} on`
    const what = /^(?:Conversion|Out of Range) Error/.test(error.message)
      ? 'holds a value that its column cannot hold' : 'cannot be read as Parquet'
    throw new SlipwayError('delta-corrupt', `${which} ${what}`, { cause: error })
  }
}

function naming<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    throw new SlipwayError(error.code, `${path}: ${error.message}`, { cause: error })
  }
}
