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
  const settings = ['FORMAT parquet', 'COMPRESSION snappy', 'RETURN_STATS',
    `PARQUET_VERSION ${options.columns.some((column) => isFloat(column.mirror)) ? 'v1' : 'v2'}`,
    `FIELD_IDS {${ids.join(', ')}}`]
  if (options.target.kind === 'directory') {
    settings.push(`ROW_GROUPS_PER_FILE ${options.target.rowGroupsPerFile}`,
      'FILENAME_PATTERN \'part-{uuid}\'')
  }
  const sql = `COPY (${options.select}) TO ${literal(options.target.path)} (${settings.join(', ')})`
  const result = await asLakeFailure(() => connection.runAndReadAll(sql))
  const decimals = new Set(options.columns.filter((column) => column.mirror.kind === 'decimal')
    .map((column) => column.physicalName))
  return result.getRowObjects().map((row) => writtenFile(row, decimals))
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

function writtenFile(row: Record<string, DuckDBValue>, decimals: ReadonlySet<string>)
  : WrittenFile {
  const columns: WrittenFileColumn[] = []
  for (const { key, value } of (row.column_statistics as unknown as Entries).entries) {
    const name = columnName(String(key))
    if (name === null) continue
    const stats = new Map((value as unknown as Entries).entries.map(
      (entry) => [String(entry.key), String(entry.value)]))
    const nullCount = stats.get('null_count')
    const bound = (side: 'min' | 'max'): string | null => {
      const text = stats.get(side) ?? null
      return text !== null && decimals.has(name) ? withUnit(text) : text
    }
    columns.push({
      physicalName: name,
      min: bound('min'),
      max: bound('max'),
      nullCount: nullCount === undefined ? null : Number(nullCount),
      hasNaN: stats.get('has_nan') === 'true' || stats.get('has_nan') === '1',
    })
  }
  return { path: String(row.filename), rows: Number(row.count),
    sizeBytes: Number(row.file_size_bytes), columns }
}

/** DuckDB prints a DECIMAL(n,n) as `-.50`: no number, to JSON. */
function withUnit(decimal: string): string {
  return decimal.replace(/^-?(?=\.)/, (sign) => `${sign}0`)
}

/** Keys read `"name"`, doubled quotes inside; nested ones `"name"."list"."element"`: not wanted. */
function columnName(key: string): string | null {
  const match = /^"((?:[^"]|"")*)"$/.exec(key)
  return match?.[1]?.replaceAll('""', '"') ?? null
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
