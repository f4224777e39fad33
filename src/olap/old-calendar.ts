/**
 * OldCalendar: refuses files whose days count by the calendar that was in use before 1582.
 *
 * OC1  Spark before 3.1, and a later one that was told to (`datetimeRebaseModeInWrite=LEGACY`),
 *      stored dates before 1582-10-15 and times before 1900 by it. Nobody moves them to the
 *      calendar of SQL here, so a file that holds such a value is refused.
 * OC2  Any other file of those writers is read as it is: there both calendars agree.
 *
 * Source: Spark's DataSourceUtils.datetimeRebaseSpec, RebaseDateTime.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { SlipwayError } from '../base/errors.ts'
import { containsPrimitive, type DataType, type StructField } from '../delta/schema.ts'
import { identifier, listOf } from './sql-text.ts'

const SPARK_VERSION = 'org.apache.spark.version'
const KEYS = [SPARK_VERSION, 'org.apache.spark.legacyDateTime', 'org.apache.spark.legacyINT96']
const NEW_SINCE = { major: 3, minor: 1 }

export interface CalendarCheck {
  readonly paths: readonly string[]
  /** Columns as `from` names them. */
  readonly columns: readonly { readonly sql: string; readonly type: DataType }[]
  /** A field's name inside of a struct. */
  readonly nameOf: (field: StructField) => string
  /** What reads the files, behind FROM. */
  readonly from: (paths: readonly string[]) => string
}

/** OC1. Throws `delta-unsupported`, naming the file. */
export async function requireNewCalendar(connection: DuckDBConnection, check: CalendarCheck)
  : Promise<void> {
  const conditions = check.columns.filter(({ type }) => hasDays(type))
    .map(({ sql, type }) => oldValue(sql, type, check.nameOf))
  if (conditions.length === 0) return
  for (const path of await oldWritersFiles(connection, check.paths)) {
    const found = await connection.runAndReadAll(
      `SELECT 1 FROM ${check.from([path])} WHERE ${conditions.join(' OR ')} LIMIT 1`)
    if (found.currentRowCount === 0) continue
    throw new SlipwayError('delta-unsupported', `${path} holds dates before 1582-10-15 or times `
      + 'before 1900 by the old calendar', { hint: 'Write the table anew with a Spark that '
      + 'stores them by the new one: spark.sql.parquet.datetimeRebaseModeInWrite=CORRECTED.' })
  }
}

async function oldWritersFiles(connection: DuckDBConnection, paths: readonly string[])
  : Promise<readonly string[]> {
  const keys = KEYS.map((key) => `'${key}'::BLOB`).join(', ')
  const entries = await connection.runAndReadAll('SELECT file_name, decode(key), decode(value) '
    + `FROM parquet_kv_metadata(${listOf(paths)}) WHERE key IN (${keys})`)
  const old = entries.getRows().filter(([, key, value]) =>
    key !== SPARK_VERSION || isOldVersion(String(value)))
  return [...new Set(old.map(([path]) => String(path)))]
}

function isOldVersion(text: string): boolean {
  const [major = 0, minor = 0] = text.split('.').map(Number)
  return major < NEW_SINCE.major || (major === NEW_SINCE.major && minor < NEW_SINCE.minor)
}

function hasDays(type: DataType): boolean {
  return containsPrimitive(type, 'date') || containsPrimitive(type, 'timestamp')
    || containsPrimitive(type, 'timestamp_ntz')
}

/** True where the value, or one inside of it, is old; not true where it is NULL. */
function oldValue(sql: string, type: DataType, nameOf: CalendarCheck['nameOf']): string {
  if (!hasDays(type)) return 'false'
  if (typeof type === 'string') {
    return `(${sql}) < ${type === 'timestamp' ? 'TIMESTAMPTZ \'1900-01-01 00:00:00+00\''
      : 'DATE \'1582-10-15\''}`
  }
  const anyOf = (list: string, element: DataType): string =>
    `len(list_filter(${list}, lambda x: ${oldValue('x', element, nameOf)})) > 0`
  switch (type.type) {
    case 'struct': return `(${type.fields.map((field) =>
      oldValue(`(${sql}).${identifier(nameOf(field))}`, field.type, nameOf)).join(' OR ')})`
    case 'array': return anyOf(sql, type.elementType)
    case 'map': return `(${anyOf(`map_keys(${sql})`, type.keyType)}`
      + ` OR ${anyOf(`map_values(${sql})`, type.valueType)})`
  }
}
