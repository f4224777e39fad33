/**
 * CsvColumn: how a column of PostgreSQL's CSV becomes its mirror type, in DuckDB's SQL.
 *
 * CC1  The value is exact or the statement fails: `error()` raises UNMIRRORABLE and the column.
 * CC2  The same text gives the same value as delta-sync's decoder of the stream.
 *
 * CSV is text on a session with datestyle ISO, timezone UTC, bytea_output hex.
 */
import { unreachable } from '../base/assert.ts'
import type { MirrorScalar, MirrorType } from '../mirror/mirror-type.ts'
import { duckdbTypeOf } from '../mirror/mirror-type.ts'
import { literal } from './sql-text.ts'

/** Begins the message of every refusal; the column's attnum follows. */
export const UNMIRRORABLE = 'slipway: unmirrorable value in column '

/** The type that read_csv shall read the column as. */
export function csvType(type: MirrorType): string {
  switch (type.kind) {
    case 'int2': case 'int4': case 'int8': case 'float4': case 'float8': case 'bool':
    case 'date': case 'timestamp': case 'timestamptz': return duckdbTypeOf(type)
    case 'decimal': return type.unconstrained ? 'VARCHAR' : duckdbTypeOf(type)
    default: return 'VARCHAR'
  }
}

/** SQL over the column as read. */
export function csvExpression(column: string, type: MirrorType, attnum: number): string {
  const refuse = `error(${literal(UNMIRRORABLE + String(attnum))})`
  if (type.kind === 'array') return arrayExpression(column, type.element, refuse)
  return typedExpression(column, type, refuse)
}

/** From the type that csvType gives. */
function typedExpression(value: string, type: MirrorScalar, refuse: string): string {
  switch (type.kind) {
    case 'date': case 'timestamp': case 'timestamptz': return inRange(value, type, refuse)
    case 'decimal': return type.unconstrained ? textExpression(value, type, refuse) : value
    case 'bytea': case 'bpchar': return textExpression(value, type, refuse)
    default: return value
  }
}

/** From PostgreSQL's text of one value. */
function textExpression(value: string, type: MirrorScalar, refuse: string): string {
  switch (type.kind) {
    case 'int2': case 'int4': case 'int8': case 'float4': case 'float8': case 'bool':
      return `CAST(${value} AS ${duckdbTypeOf(type)})`
    case 'decimal': {
      // DuckDB's cast rounds what has too many decimals: refuse it first. Zeros that end it are
      // PostgreSQL's display scale, not the value.
      const whole = type.precision - type.scale
      const pattern = `-?\\d{1,${Math.max(whole, 1)}}(\\.\\d{1,${Math.max(type.scale, 1)}}0*)?`
      return `CASE WHEN ${value} IS NULL OR regexp_full_match(${value}, ${literal(pattern)}) `
        + `THEN CAST(${value} AS ${duckdbTypeOf(type)}) ELSE ${refuse} END`
    }
    case 'date': case 'timestamp': case 'timestamptz':
      return inRange(`CAST(${value} AS ${duckdbTypeOf(type)})`, type, refuse)
    case 'bytea': return `from_hex(substr(${value}, 3))`
    case 'bpchar': return `rtrim(${value}, ' ')`
    case 'text': case 'uuid': case 'opaque': return value
    default: return unreachable(type)
  }
}

/** Years 0001 to 9999: what Delta's readers hold; leaves out ±infinity and BC. */
function inRange(value: string, type: MirrorScalar, refuse: string): string {
  const [min, max] = type.kind === 'date' ? ["DATE '0001-01-01'", "DATE '9999-12-31'"]
    : type.kind === 'timestamp'
      ? ["TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"]
      : ["TIMESTAMPTZ '0001-01-01 00:00:00+00'", "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"]
  return `CASE WHEN ${value} IS NULL OR ${value} BETWEEN ${min} AND ${max} `
    + `THEN ${value} ELSE ${refuse} END`
}

/**
 * PostgreSQL's array text: one dimension from 1; elements are quoted when they must be.
 * `{1,NULL,"a \"b\""}`.
 */
function arrayExpression(value: string, element: MirrorScalar, refuse: string): string {
  const quoted = "regexp_replace(e[2:-2], '\\\\(.)', '\\1', 'gs')"
  const text = `CASE WHEN e = 'NULL' THEN NULL WHEN e[1] = '"' THEN ${quoted} ELSE e END`
  const elements = `regexp_extract_all(${value}[2:-2], '"(?:[^"\\\\]|\\\\.)*"|[^,]+', 0, 's')`
  const converted = element.kind === 'text' || element.kind === 'uuid' || element.kind === 'opaque'
    ? text : textExpression(`(${text})`, element, refuse)
  return `CASE WHEN ${value} IS NULL THEN NULL `
    + `WHEN ${value}[1] <> '{' OR ${value}[2] = '{' THEN ${refuse} `
    + `ELSE list_transform(${elements}, lambda e: ${converted}) END`
}
