/**
 * ParquetWriter: DuckDB's COPY as we use it, with what Delta needs to know of each file.
 *
 * PW1  Field ids are attnums, so a file can be read whatever its columns are called later.
 * PW2  Encodings are those that every reader of facts/measured.md takes: Parquet v2 unless a
 *      column is a float, whose v2 encoding Spark's vectorised reader refuses.
 * PW3  A failed COPY throws `lake-write-failed` when the disk is to blame.
 */
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api'
import { SlipwayError } from '../base/errors.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import { identifier, literal } from './sql-text.ts'

export interface WrittenFileColumn {
  readonly physicalName: string
  readonly min: string | null
  readonly max: string | null
  readonly nullCount: number | null
  readonly hasNaN: boolean
}

export interface WrittenFile {
  readonly path: string
  readonly rows: number
  readonly sizeBytes: number
  readonly columns: readonly WrittenFileColumn[]
}

export type CopyTarget =
  | { readonly kind: 'file'; readonly path: string }
  /** Several files, each of about `rowGroupsPerFile` row groups of 122,880 rows. */
  | { readonly kind: 'directory'; readonly path: string; readonly rowGroupsPerFile: number }
  /** Several files, each of about `fileBytes`. */
  | { readonly kind: 'files'; readonly path: string; readonly fileBytes: number
      readonly rowGroupRows: number | null }

export interface FileColumn {
  readonly attnum: number
  readonly mirror: MirrorType
  readonly physicalName: string
}

/** Runs COPY (select) TO …; the select's columns are named as `columns` says, in order. */
export async function copyToParquet(connection: DuckDBConnection, options: {
  readonly select: string
  readonly columns: readonly FileColumn[]
  readonly target: CopyTarget
}): Promise<readonly WrittenFile[]> {
  const ids = options.columns.map((column) =>
    `${identifier(column.physicalName)}: ${fieldId(column)}`)
  const copied = await copyWithStats(connection, {
    select: options.select, target: options.target, fieldIds: `{${ids.join(', ')}}`,
    hasFloats: options.columns.some((column) => isFloat(column.mirror)),
  })
  const decimals = new Set(options.columns.filter((column) => column.mirror.kind === 'decimal')
    .map((column) => column.physicalName))
  return copied.map((file) => ({ ...file, columns: file.columns.flatMap((column) => {
    const [physicalName = '', ...inside] = column.path
    if (inside.length > 0) return []
    const { min, max, nullCount, hasNaN } = column
    const exact = (text: string | null): string | null =>
      text !== null && decimals.has(physicalName) ? withUnit(text) : text
    return [{ physicalName, min: exact(min), max: exact(max), nullCount, hasNaN }]
  }) }))
}

export interface CopiedColumn {
  /** Of the leaf, outermost first. */
  readonly path: readonly string[]
  readonly min: string | null
  readonly max: string | null
  readonly nullCount: number | null
  readonly hasNaN: boolean
}

export interface CopiedFile {
  readonly path: string
  readonly rows: number
  readonly sizeBytes: number
  readonly columns: readonly CopiedColumn[]
}

/** PW2, PW3. `fieldIds`: as COPY's FIELD_IDS has it. */
export async function copyWithStats(connection: DuckDBConnection, options: {
  readonly select: string
  readonly fieldIds: string
  readonly hasFloats: boolean
  readonly target: CopyTarget
}): Promise<readonly CopiedFile[]> {
  const { target } = options
  // DuckDB 1.5 looks a BLOB up in its bloom filters by its printed form, and finds nothing.
  const settings = ['FORMAT parquet', 'COMPRESSION snappy', 'RETURN_STATS',
    'WRITE_BLOOM_FILTER false', `PARQUET_VERSION ${options.hasFloats ? 'v1' : 'v2'}`]
  if (options.fieldIds !== '{}') settings.push(`FIELD_IDS ${options.fieldIds}`)
  if (target.kind !== 'file') settings.push('FILENAME_PATTERN \'part-{uuid}\'')
  if (target.kind === 'directory') settings.push(`ROW_GROUPS_PER_FILE ${target.rowGroupsPerFile}`)
  if (target.kind === 'files') {
    settings.push(`FILE_SIZE_BYTES ${target.fileBytes}`)
    if (target.rowGroupRows !== null) settings.push(`ROW_GROUP_SIZE ${target.rowGroupRows}`)
  }
  const sql = `COPY (${options.select}) TO ${literal(target.path)} (${settings.join(', ')})`
  const result = await asLakeFailure(() => connection.runAndReadAll(sql))
  return result.getRowObjects().map(copiedFile)
}

function isFloat(type: MirrorType): boolean {
  const scalar = type.kind === 'array' ? type.element : type
  return scalar.kind === 'float4' || scalar.kind === 'float8'
}

/** A list's element needs an id of its own, far from any attnum (at most 1,600). */
function fieldId(column: FileColumn): string {
  return column.mirror.kind === 'array'
    ? `{__duckdb_field_id: ${column.attnum}, element: ${column.attnum + 100_000}}`
    : String(column.attnum)
}

interface Entries { readonly entries: readonly { readonly key: DuckDBValue
  readonly value: DuckDBValue }[] }

function copiedFile(row: Record<string, DuckDBValue>): CopiedFile {
  const entries = (row.column_statistics as unknown as Entries).entries
  return { path: String(row.filename), rows: Number(row.count),
    sizeBytes: Number(row.file_size_bytes),
    columns: entries.map(({ key, value }) => {
      const stats = new Map((value as unknown as Entries).entries.map(
        (entry) => [String(entry.key), String(entry.value)]))
      const nullCount = stats.get('null_count')
      return { path: columnPath(String(key)), min: stats.get('min') ?? null,
        max: stats.get('max') ?? null,
        nullCount: nullCount === undefined ? null : Number(nullCount),
        hasNaN: stats.get('has_nan') === 'true' || stats.get('has_nan') === '1' }
    }) }
}

/** DuckDB prints a DECIMAL(n,n) as `-.50`: no number, to JSON. */
export function withUnit(decimal: string): string {
  return decimal.replace(/^-?(?=\.)/, (sign) => `${sign}0`)
}

/** Keys read `"name"."inner"`, doubled quotes inside. */
function columnPath(key: string): readonly string[] {
  return [...key.matchAll(/"((?:[^"]|"")*)"(?:\.|$)/g)]
    .map((match) => (match[1] ?? '').replaceAll('""', '"'))
}

/** PW3. DuckDB reports a full disk as an IO error whose text holds the system's message. */
export async function asLakeFailure<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Error && /^IO Error/.test(error.message)) {
      throw new SlipwayError('lake-write-failed', 'a Parquet file could not be written',
        { cause: error })
    }
    throw error
  }
}
