/**
 * PredicateSql: a bound predicate as a DuckDB condition.
 *
 * PQ1  Literals are printed from typed values: nothing that a caller wrote reaches SQL as text.
 * PQ2  It is true for exactly the rows that the predicate is true for (delta/predicate.ts).
 * PQ3  Comparisons of floats and bytes are not pushed into the Parquet reader: DuckDB 1.5.6 looks
 *      bytes up in bloom filters by their printed form, takes 0.0 and -0.0 for different there,
 *      and rounds a double to compare it with a float column that was widened.
 */
import type { BoundPredicate, FieldPath } from '../delta/predicate.ts'
import type { Value } from '../delta/value.ts'
import { literal } from './sql-text.ts'

/** `column`: the expression of a field. */
export function predicateSql(predicate: BoundPredicate, column: (path: FieldPath) => string)
  : string {
  const inside = (operand: BoundPredicate): string => predicateSql(operand, column)
  switch (predicate.kind) {
    case 'and': return joined(predicate.operands.map(inside), ' AND ', 'TRUE')
    case 'or': return joined(predicate.operands.map(inside), ' OR ', 'FALSE')
    case 'not': return `(NOT ${inside(predicate.operand)})`
    case 'constant': return answerText(predicate.answer)
    case 'is-null': return `(${column(predicate.path)} IS NULL)`
    case 'decided': return `(CASE WHEN ${column(predicate.path)} IS NULL THEN NULL `
      + `ELSE ${answerText(predicate.answer)} END)`
    case 'like': return `(${column(predicate.path)} LIKE ${literal(predicate.pattern)} `
      + 'ESCAPE \'\\\')'
    case 'compare':
      return `(${operand(predicate.path, column)} ${predicate.op} ${valueText(predicate.value)})`
    case 'in': {
      if (predicate.values.length === 0) {
        return inside({ kind: 'decided', path: predicate.path, answer: false })
      }
      return `(${operand(predicate.path, column)} IN (${predicate.values.map(valueText)
        .join(', ')}))`
    }
  }
}

function joined(parts: readonly string[], by: string, none: string): string {
  return parts.length === 0 ? none : `(${parts.join(by)})`
}

function answerText(answer: boolean | null): string {
  return answer === null ? 'CAST(NULL AS BOOLEAN)' : answer ? 'TRUE' : 'FALSE'
}

/** PQ3: an expression is evaluated above the reader. Floats compare as doubles. */
function operand(path: FieldPath, column: (path: FieldPath) => string): string {
  switch (path.at(-1)?.type) {
    case 'float': case 'double': return `(CAST(${column(path)} AS DOUBLE) + CAST(0 AS DOUBLE))`
    case 'binary': return `(${column(path)} || CAST('' AS BLOB))`
    default: return column(path)
  }
}

/** A literal of the value's type, for columns of the Delta type that it belongs to. */
export function valueText(value: Value): string {
  switch (value.kind) {
    case 'boolean': return value.value ? 'TRUE' : 'FALSE'
    case 'integer': return `CAST(${literal(value.value.toString())} AS BIGINT)`
    case 'decimal': return `CAST(${literal(decimalText(value.unscaled, value.scale))} `
      + `AS DECIMAL(38,${value.scale}))`
    case 'float': return `CAST(${literal(floatText(value.value))} AS DOUBLE)`
    case 'string': return literal(value.value)
    case 'binary': return `from_hex(${literal(Buffer.from(value.value).toString('hex'))})`
    case 'date': return `(DATE '1970-01-01' + ${value.days})`
    // Compared with TIMESTAMPTZ it is cast in the session's zone, which is UTC.
    case 'timestamp': return `make_timestamp(${value.micros})`
  }
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  return `${unscaled < 0n ? '-' : ''}${whole}${scale === 0 ? '' : `.${digits.slice(-scale)}`}`
}

function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
  return Object.is(value, -0) ? '-0.0' : String(value)
}
