/**
 * Literal: a constant as DuckDB SQL, always cast to the type PostgreSQL resolved.
 *
 * L1  The text holds no character that could end a literal: quotes are doubled, the
 *     rest is data. DuckDB has no backslash escapes in plain strings.
 */
import type { ConstantValue } from './constant.ts'
import { decimal } from './decimal.ts'
import { type PlainExpr, type Repr, cast, duckdbType, plain } from './expr.ts'
import { ARRAY_ELEMENT, PgType, typeName } from './pg-type.ts'
import { refuse } from './refusal.ts'

const PRECISION_MAX = 38
const DAY_MS = 86_400_000

export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** The form of a type's values when they do not come from a mirrored column. */
export function reprOfType(typeOid: number, typmod: number): Repr {
  switch (typeOid) {
    case PgType.bool: return { kind: 'bool' }
    case PgType.int2: return { kind: 'int2' }
    case PgType.int4: return { kind: 'int4' }
    case PgType.int8: return { kind: 'int8' }
    case PgType.float4: return { kind: 'float4' }
    case PgType.float8: return { kind: 'float8' }
    case PgType.text: case PgType.varchar: case PgType.name: case PgType.unknown:
      return { kind: 'text' }
    case PgType.bpchar: return { kind: 'bpchar', length: typmod >= 4 ? typmod - 4 : null }
    case PgType.uuid: return { kind: 'uuid' }
    case PgType.bytea: return { kind: 'bytea' }
    case PgType.interval: return { kind: 'interval' }
    case PgType.date: return { kind: 'date', finite: false }
    case PgType.timestamp: return { kind: 'timestamp', finite: false }
    case PgType.timestamptz: return { kind: 'timestamptz', finite: false }
    case PgType.numeric:
      return { kind: 'decimal', precision: PRECISION_MAX, scale: 0, display: 'type' }
    default: {
      const element = ARRAY_ELEMENT.get(typeOid)
      if (element === undefined) return { kind: 'opaque' }
      return { kind: 'array', element: reprOfType(element, typmod) }
    }
  }
}

export function literal(typeOid: number, typmod: number, value: ConstantValue): PlainExpr {
  if (value.kind === 'numeric') return numericLiteral(value.unscaled, value.scale)
  const repr = literalRepr(typeOid, typmod, value)
  if (value.kind === 'null') {
    const type = repr.kind === 'decimal' ? { ...repr, precision: 1 } : repr
    return { ...plain(cast('NULL', duckdbType(type)), type), constant: value }
  }
  // The offset makes a timestamptz independent of the session's TimeZone.
  const text = repr.kind === 'timestamptz' && repr.finite
    ? `${literalText(value).slice(0, -1)}+00'` : literalText(value)
  return { ...plain(cast(text, duckdbType(repr)), repr), constant: value }
}

function literalRepr(typeOid: number, typmod: number, value: ConstantValue): Repr {
  const repr = reprOfType(typeOid, typmod)
  if (repr.kind === 'opaque' && value.kind !== 'null') {
    refuse(`a constant of ${typeName(typeOid)} is not understood`)
  }
  if (value.kind === 'date' && repr.kind === 'date') {
    return { kind: 'date', finite: typeof value.days === 'number' }
  }
  if (value.kind === 'timestamp' && (repr.kind === 'timestamp' || repr.kind === 'timestamptz')) {
    return { kind: repr.kind, finite: typeof value.us === 'bigint' }
  }
  return repr
}

function literalText(value: Exclude<ConstantValue, { kind: 'null' | 'numeric' }>): string {
  switch (value.kind) {
    case 'bool': return value.value ? 'true' : 'false'
    case 'int': return String(value.value)
    case 'float': return quote(floatText(value.value))
    case 'text': return quote(value.value)
    case 'date': return quote(typeof value.days === 'number' ? dayText(value.days) : value.days)
    case 'timestamp': return quote(typeof value.us === 'bigint' ? usText(value.us) : value.us)
    case 'interval':
      return quote(`${value.months} months ${value.days} days ${value.us} microseconds`)
    case 'bytea': return quote(value.value.toString('hex').replace(/../g, '\\x$&'))
    case 'array': return arrayText(value.elementOid, value.items)
  }
}

function arrayText(elementOid: number, items: readonly ConstantValue[]): string {
  if (elementOid === PgType.numeric) refuse('an array of numeric is computed with')
  return `[${items.map((item) => literal(elementOid, -1, item).sql).join(', ')}]`
}

function floatText(value: number): string {
  if (Object.is(value, -0)) return '-0'
  return String(value)
}

/** Years 0001 to 9999, as the mirror holds them; DuckDB writes others in its own way. */
export function dayText(days: number): string {
  const date = new Date(days * DAY_MS)
  const year = date.getUTCFullYear()
  if (Number.isNaN(year) || year < 1 || year > 9999) refuse('a date outside the years 1 to 9999')
  return `${String(year).padStart(4, '0')}${date.toISOString().slice(-20, -14)}`
}

function usText(us: bigint): string {
  const day = us / 86_400_000_000n - (us % 86_400_000_000n < 0n ? 1n : 0n)
  const rest = us - day * 86_400_000_000n
  const seconds = Number(rest / 1_000_000n)
  const two = (part: number): string => String(part).padStart(2, '0')
  const time = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const fraction = String(rest % 1_000_000n).padStart(6, '0')
  return `${dayText(Number(day))} ${time.map(two).join(':')}.${fraction}`
}

export function numericLiteral(value: bigint, scale: number): PlainExpr {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  const precision = Math.max(digits.replace(/^0+/, '').length, scale, 1)
  if (precision > PRECISION_MAX) refuse('a numeric constant has more than 38 digits')
  const whole = digits.slice(0, digits.length - scale)
  const fraction = scale === 0 ? '' : `.${digits.slice(-scale)}`
  const text = `${value < 0n ? '-' : ''}${whole}${fraction}`
  const expr = decimal(cast(quote(text), `DECIMAL(${precision},${scale})`), { precision, scale })
  return { ...expr, constant: { kind: 'numeric', unscaled: value, scale } }
}
