/**
 * DeltaRewriter: Delta's ParquetRewriter port over DuckDB.
 *
 * RW1  A source is read to its end or the call throws: nothing is left out silently.
 * RW2  Sorting and writing spill to DuckDB's temporary directory beyond its memory limit.
 * RW3  Without column mapping a column keeps the Parquet field id that the sources gave it.
 * RW4  Days of the old calendar are refused (old-calendar.ts): what is written anew no longer
 *      tells how they count.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { SlipwayError } from '../base/errors.ts'
import { physicalName } from '../delta/column-mapping.ts'
import type { ParquetRewriter, RewriteRequest, RewriteSource, RewrittenFile }
  from '../delta/parquet-rewriter.ts'
import { column, containsPrimitive } from '../delta/schema.ts'
import type { RowIdColumns } from '../delta/row-tracking.ts'
import { buildStats, statValueOf, type ColumnStats } from '../delta/stats.ts'
import type { StatsColumn } from '../delta/stats-columns.ts'
import { clusterOrder } from './cluster-order.ts'
import { deltaRelation, fieldIds } from './delta-relation.ts'
import type { DuckDb } from './duckdb.ts'
import { requireNewCalendar } from './old-calendar.ts'
import { copyWithStats, withUnit, type CopiedFile } from './parquet-writer.ts'
import { identifier, listOf, literal } from './sql-text.ts'

/** Row positions of sources: temporary, so of this connection alone. */
const POSITIONS = 'rewrite_positions'

export class DeltaRewriter implements ParquetRewriter {
  readonly #duckdb: DuckDb

  constructor(duckdb: DuckDb) {
    this.#duckdb = duckdb
  }

  async rewrite(request: RewriteRequest): Promise<readonly RewrittenFile[]> {
    const { signal, fields } = request
    signal?.throwIfAborted()
    const connection = await this.#duckdb.connect()
    const abort = (): void => connection.interrupt()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await connection.run(`CREATE TEMP TABLE ${POSITIONS} `
        + '(part BIGINT, source BIGINT, position BIGINT)')
      await checkCalendar(connection, request)
      const parts = partsOf(request.sources)
      for (const [at, part] of parts.entries()) await fillPositions(connection, at, part)
      const rows = parts.map((part, at) => selectOf(part, at, request)).join(' UNION ALL ')
      const select = request.clusterBy.length === 0 ? rows
        : await clusterOrder(connection, rows, request.clusterBy)
      const files = await copyWithStats(connection, {
        select, fieldIds: request.mapping === 'none'
          ? await sourceFieldIds(connection, request.sources) : fieldIds(fields),
        hasFloats: fields.some((field) => containsPrimitive(field.type, 'float')
          || containsPrimitive(field.type, 'double')),
        target: { kind: 'files', path: request.directory, fileBytes: request.fileBytes,
          rowGroupRows: request.rowGroupRows },
      })
      return files.filter((file) => file.rows > 0).map((file) => rewritten(file, request.stats))
    } catch (error) {
      signal?.throwIfAborted()
      throw readFailure(error)
    } finally {
      signal?.removeEventListener('abort', abort)
      connection.closeSync()
    }
  }
}

/** RW4. */
async function checkCalendar(connection: DuckDBConnection, { sources, fields, mapping }:
  RewriteRequest): Promise<void> {
  await requireNewCalendar(connection, {
    paths: sources.map(({ path }) => path), nameOf: physicalName,
    columns: fields.map((field) => ({ sql: identifier(physicalName(field)), type: field.type })),
    from: (paths) => deltaRelation(paths, fields, mapping),
  })
}

/**
 * RW3. Without mapping the ids that the sources have: the mirror finds its columns by them.
 * Of one name the files of a table have one id, or none.
 */
async function sourceFieldIds(connection: DuckDBConnection, sources: readonly RewriteSource[])
  : Promise<string> {
  const paths = sources.map((source) => source.path)
  // Most tables' files have no ids: the first one tells.
  const first = await readFieldIds(connection, paths.slice(0, 1))
  const ids = first.size === 0 ? first : await readFieldIds(connection, paths)
  return `{${[...ids].map(([name, id]) => `${identifier(name)}: ${id}`).join(', ')}}`
}

async function readFieldIds(connection: DuckDBConnection, paths: readonly string[])
  : Promise<ReadonlyMap<string, string>> {
  const result = await connection.runAndReadAll('SELECT name, field_id, num_children, '
    + `repetition_type FROM parquet_schema(${listOf(paths)})`)
  const ids = new Map<string, string>()
  const rows = result.getRows().map((row) => row.map((value) => value === null ? null
    : String(value)))
  for (const [at, [name, id, children]] of rows.entries()) {
    if (name === null || name === undefined || id === null || id === undefined) continue
    // The mirror's arrays: a group of a column's name, `list`, and `element` with its own id.
    const element = rows[at + 2]
    const ofElement = Number(children) === 1 && element?.[0] === 'element' ? element[1] : null
    if (name === 'element') continue
    ids.set(name, ofElement === null || ofElement === undefined ? id
      : `{__duckdb_field_id: ${id}, element: ${ofElement}}`)
  }
  return ids
}

type Part = readonly [RewriteSource, ...RewriteSource[]]

/** Sources that are read by one statement: of one kind of selection. */
function partsOf(sources: readonly RewriteSource[]): readonly Part[] {
  const parts = new Map<string, RewriteSource[]>()
  for (const source of sources) {
    const { kind } = source.rows
    parts.set(kind, [...parts.get(kind) ?? [], source])
  }
  return [...parts.values()].filter((part): part is [RewriteSource, ...RewriteSource[]] =>
    part.length > 0)
}

async function fillPositions(connection: DuckDBConnection, at: number, part: Part)
  : Promise<void> {
  const appender = await connection.createAppender(POSITIONS)
  for (const [index, { rows }] of part.entries()) {
    if (rows.kind === 'all') continue
    for (const position of (await rows.positions()).positions()) {
      appender.appendBigInt(BigInt(at))
      appender.appendBigInt(BigInt(index))
      appender.appendBigInt(BigInt(position))
      appender.endRow()
    }
  }
  appender.closeSync()
}

function selectOf(part: Part, at: number, request: RewriteRequest): string {
  const names = request.fields.map((field) => identifier(physicalName(field)))
  const changes = part.map((source) => source.changeType)
  if (changes.some((change) => change !== undefined)) {
    const list = changes.map((change) => literal(change ?? '')).join(', ')
    names.push(`[${list}][file_index::BIGINT + 1] AS "_change_type"`)
  }
  const { rowIds } = request
  const held = rowIds === null ? []
    : [column(rowIds.id, 'long'), column(rowIds.commitVersion, 'long')]
  if (rowIds !== null) names.push(...rowIdExpressions(rowIds, part))
  const from = deltaRelation(part.map((source) => source.path), [...request.fields, ...held],
    request.mapping)
  const select = `SELECT ${names.join(', ')} FROM ${from} AS source`
  const { kind } = part[0].rows
  if (kind === 'all') return select
  return `${select} WHERE ${kind === 'only' ? '' : 'NOT '}EXISTS (SELECT 1 FROM ${POSITIONS} p `
    + `WHERE p.part = ${at} AND p.source = source.file_index `
    + 'AND p.position = source.file_row_number)'
}

/** PW4. */
function rowIdExpressions({ id, commitVersion }: RowIdColumns, part: Part): readonly string[] {
  const ofSource = (values: readonly (number | undefined)[]): string =>
    `([${values.map((value) => value ?? 'NULL').join(', ')}]::BIGINT[])[file_index::BIGINT + 1]`
  const base = ofSource(part.map((source) => source.baseRowId))
  const version = ofSource(part.map((source) => source.defaultRowCommitVersion))
  return [`coalesce(${identifier(id)}, ${base} + file_row_number) AS ${identifier(id)}`,
    `coalesce(${identifier(commitVersion)}, ${version}) AS ${identifier(commitVersion)}`]
}

function rewritten(file: CopiedFile, columns: readonly StatsColumn[]): RewrittenFile {
  const found = new Map(file.columns.map((column) => [JSON.stringify(column.path), column]))
  const stats = columns.flatMap(({ path, type }): readonly ColumnStats[] => {
    const column = found.get(JSON.stringify(path))
    if (column === undefined) return []
    const bound = (text: string | null) => text === null || type === 'boolean'
      || type === 'binary' ? null
      : statValueOf(type, type.startsWith('decimal') ? withUnit(text) : text)
    return [{ path, min: bound(column.min), max: bound(column.max), hasNaN: column.hasNaN,
      nullCount: column.nullCount }]
  })
  return { path: file.path, rows: file.rows, sizeBytes: file.sizeBytes,
    stats: buildStats({ numRecords: file.rows, tightBounds: true, columns: stats }) }
}

/** In our own words: DuckDB's may show a value (E2). */
function readFailure(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SlipwayError) return error
  if (/^(?:Conversion|Invalid Input|Invalid|Out of Range|IO) Error/i.test(error.message)) {
    return new SlipwayError('delta-corrupt',
      'a data file of the table cannot be read as the table\'s columns', { cause: error })
  }
  return error
}
