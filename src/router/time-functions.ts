/**
 * TimeFunctions: date and timestamp arithmetic, extract, date_trunc and casts.
 *
 * Z1  What depends on the session's TimeZone is refused in zones where the engines'
 *     tables differ.
 * Z2  Infinities and years before 1 raise wherever DuckDB would go on silently; a mirrored
 *     column holds none, so that no check is paid for it.
 */
import { type Call, type Rule, type RuleTable, arg, rules, textConstant } from './call.ts'
import { decimal, settle } from './decimal.ts'
import { type Expr, type PlainExpr, type Repr, type TimeKind, cast, plain } from './expr.ts'
import { literal, quote } from './literal.ts'
import { refuseUnlessKnownZone } from './operators.ts'
import { PgType } from './pg-type.ts'
import { refuse } from './refusal.ts'

function time(sql: string, kind: TimeKind, finite = false): PlainExpr {
  return plain(sql, { kind, finite })
}

function isFinite_(repr: Repr): boolean {
  return 'finite' in repr && repr.finite
}

/** The value, raising when it is infinite or before year 1. */
function finite(value: PlainExpr): string {
  return isFinite_(value.repr) ? value.sql : `slipway.finite(${value.sql})`
}

const dateShift = (op: string, swap = false): Rule => (call) => {
  const date = arg(call, swap ? 1 : 0), days = arg(call, swap ? 0 : 1)
  return time(`(${finite(date)} ${op} ${days.sql})`, 'date')
}

const dateDifference: Rule = (call) =>
  plain(cast(`(${finite(arg(call, 0))} - ${finite(arg(call, 1))})`, 'INTEGER'), { kind: 'int4' })

const timestampDifference: Rule = (call) =>
  plain(`(${finite(arg(call, 0))} - ${finite(arg(call, 1))})`, { kind: 'interval' })

/** DuckDB subtracts local times across a change of summer time; PostgreSQL instants. */
const timestamptzDifference: Rule = (call) => {
  const side = (index: number): string => `(${finite(arg(call, index))} AT TIME ZONE 'UTC')`
  return plain(`(${side(0)} - ${side(1)})`, { kind: 'interval' })
}

const intervalShift = (op: '+' | '-', swap = false): Rule => (call) => {
  const value = arg(call, swap ? 1 : 0), span = arg(call, swap ? 0 : 1)
  if (value.repr.kind === 'timestamptz') refuseUnlessOneUnit(span, call)
  const kind = value.repr.kind === 'timestamptz' ? 'timestamptz' : 'timestamp'
  return time(`(${finite(value)} ${op} ${span.sql})`, kind)
}

/** Days and time of opposite signs meet a change of summer time in another order. */
function refuseUnlessOneUnit(span: PlainExpr, call: Call): void {
  const { constant } = span
  if (constant?.kind !== 'interval') refuse('timestamptz and an interval that is no constant')
  const units = [constant.months !== 0, constant.days !== 0, constant.us !== 0n]
  if (units.filter(Boolean).length > 1) refuse('timestamptz and an interval of several units')
  if (constant.us === 0n) refuseUnlessKnownZone(call.context)
}

const intervalSum = (op: '+' | '-'): Rule => (call) =>
  plain(`(${arg(call, 0).sql} ${op} ${arg(call, 1).sql})`, { kind: 'interval' })

/** By pg_operator OID. */
export const TIME_OPERATORS: RuleTable = rules(
  [[1100], dateShift('+')], [[1101], dateShift('-')], [[2555], dateShift('+', true)],
  [[1099], dateDifference], [[2067], timestampDifference], [[1328], timestamptzDifference],
  [[1076, 2066, 1327], intervalShift('+')], [[2551, 2553, 2554], intervalShift('+', true)],
  [[1077, 2068, 1329], intervalShift('-')],
  [[1337], intervalSum('+')], [[1338], intervalSum('-')],
  [[1336], (call) => plain(`(-${arg(call, 0).sql})`, { kind: 'interval' })],
)

/** Fields whose result is a whole number, and DuckDB's function for each. */
const WHOLE_FIELDS: ReadonlyMap<string, string> = new Map([
  ['year', 'year'], ['month', 'month'], ['day', 'day'], ['quarter', 'quarter'],
  ['dow', 'dayofweek'], ['isodow', 'isodow'], ['doy', 'dayofyear'], ['week', 'weekofyear'],
  ['isoyear', 'isoyear'], ['hour', 'hour'], ['minute', 'minute'],
  ['decade', 'decade'], ['century', 'century'], ['millennium', 'millennium'],
])
const CLOCK_FIELDS: ReadonlySet<string> = new Set([
  'hour', 'minute', 'second', 'seconds', 'milliseconds', 'microseconds',
])

/** PostgreSQL's numeric scale of each field: 0, seconds 6, milliseconds 3, epoch 6. */
function extractField(call: Call): PlainExpr {
  const field = textConstant(call, 0, 'the field of extract()').toLowerCase()
  const value = arg(call, 1)
  const isDate = value.repr.kind === 'date'
  if (isDate && CLOCK_FIELDS.has(field)) refuse(`extract(${field}) of a date`)
  if (value.repr.kind === 'timestamptz' && field !== 'epoch') refuseUnlessKnownZone(call.context)
  // A finite instant may still be in year 0 or 10000 of the session's zone: no harm, both
  // engines agree there; only infinity and BC do not.
  const sql = finite(value)
  const whole = WHOLE_FIELDS.get(field)
  if (whole !== undefined) {
    return decimal(cast(`${whole}(${sql})`, 'DECIMAL(9,0)'), { precision: 9, scale: 0 })
  }
  const of = (name: string, precision: number, scale: number): PlainExpr =>
    decimal(`slipway.${name}(${sql})`, { precision, scale })
  switch (field) {
    case 'second': case 'seconds': return of('extract_second', 18, 6)
    case 'milliseconds': return of('extract_millisecond', 18, 3)
    case 'microseconds':
      return decimal(cast(`microsecond(${sql})`, 'DECIMAL(18,0)'), { precision: 18, scale: 0 })
    case 'epoch': return isDate ? of('extract_epoch_date', 18, 0) : of('extract_epoch', 26, 6)
    default: return refuse('this field of extract()')
  }
}

/** date_part gives the same number as float8. */
const datePart: Rule = (call) =>
  plain(cast(extractField(call).sql, 'DOUBLE'), { kind: 'float8' })

const DATE_UNITS: ReadonlySet<string> = new Set(['year', 'quarter', 'month', 'week', 'day'])
const CLOCK_UNITS: ReadonlySet<string> = new Set([
  'hour', 'minute', 'second', 'milliseconds', 'microseconds',
])

const dateTrunc: Rule = (call) => {
  const unit = textConstant(call, 0, 'the unit of date_trunc()').toLowerCase()
  const value = arg(call, 1)
  const kind = value.repr.kind === 'timestamptz' ? 'timestamptz' : 'timestamp'
  if (kind === 'timestamptz') refuseUnlessKnownZone(call.context)
  const known = DATE_UNITS.has(unit) ||
    // In the hour that summer time repeats, DuckDB takes the wrong one of the two.
    (CLOCK_UNITS.has(unit) && (kind === 'timestamp' || isUtc(call)))
  if (!known) refuse('this unit of date_trunc()')
  // Bare, DuckDB 1.5 simplifies its comparison with a constant that is no start of a unit to
  // true or false, for NULL too.
  return time(`greatest(date_trunc(${quote(unit)}, ${finite(value)}))`, kind)
}

function isUtc(call: Call): boolean {
  return /^(?:UTC|GMT|Etc\/UTC|Etc\/GMT)$/.test(call.context.timeZone)
}

const atTimeZone: Rule = (call) => {
  const zone = textConstant(call, 0, 'a time zone')
  refuseUnlessKnownZone({ ...call.context, timeZone: zone })
  const value = arg(call, 1)
  const kind = value.repr.kind === 'timestamptz' ? 'timestamp' : 'timestamptz'
  return time(`(${finite(value)} AT TIME ZONE ${quote(zone)})`, kind)
}

function castTime(kind: TimeKind, options: { readonly zoned: boolean }): Rule {
  return (call) => {
    if (options.zoned) refuseUnlessKnownZone(call.context)
    const value = arg(call, 0)
    const type = { date: 'DATE', timestamp: 'TIMESTAMP', timestamptz: 'TIMESTAMPTZ' }[kind]
    return time(cast(value.sql, type), kind, !options.zoned && isFinite_(value.repr))
  }
}

const isFinite: Rule = (call) => plain(`isfinite(${arg(call, 0).sql})`, { kind: 'bool' })

function now(call: Call): Expr {
  return literal(PgType.timestamptz, -1, { kind: 'timestamp', us: call.context.transactionTimeUs })
}

/** By pg_proc OID. */
export const TIME_FUNCTIONS: RuleTable = rules(
  [[6199, 6202, 6203], extractField], [[1384, 2021, 1171], datePart],
  [[2020, 1217], dateTrunc], [[1159, 2069], atTimeZone],
  [[1373, 1389, 2048], isFinite], [[2049, 1770], (call) => toChar(call)], [[1299, 2647], now],
  [[2024], castTime('timestamp', { zoned: false })],
  [[2029], castTime('date', { zoned: false })],
  [[1174, 2028], castTime('timestamptz', { zoned: true })],
  [[1178], castTime('date', { zoned: true })],
  [[2027], castTime('timestamp', { zoned: true })],
)

/** Templates of to_char whose text is digits only, in any locale. */
const TEMPLATES: ReadonlyMap<string, string> = new Map([
  ['YYYY', '%Y'], ['MM', '%m'], ['DD', '%d'], ['HH24', '%H'], ['MI', '%M'], ['SS', '%S'],
])

const toChar: Rule = (call) => {
  const value = arg(call, 0)
  const template = textConstant(call, 1, 'the template of to_char()')
  if (value.repr.kind === 'timestamptz') refuseUnlessKnownZone(call.context)
  const parts = template.match(/YYYY|MM|DD|HH24|MI|SS|[-:/. ]/g) ?? []
  // SSSS and DDD are templates of their own.
  if (parts.join('') !== template || /SSS|DDD/.test(template)) {
    refuse('this template of to_char()')
  }
  const format = parts.map((part) => TEMPLATES.get(part) ?? part).join('')
  return plain(`slipway.to_text(${finite(value)}, ${quote(format)})`, { kind: 'text' })
}

/** SQLValueFunction: primnodes.h, SQLValueFunctionOp. */
export function sqlValueFunction(op: number, typmod: number, call: Call): Expr {
  if (op === 0) {
    refuseUnlessKnownZone(call.context)
    return time(cast(settle(now(call)).sql, 'DATE'), 'date', true)
  }
  if (op === 3 && typmod < 0) return now(call)
  if (op === 7 && typmod < 0) {
    refuseUnlessKnownZone(call.context)
    return time(cast(settle(now(call)).sql, 'TIMESTAMP'), 'timestamp', true)
  }
  return refuse('a function of the session, such as current_user or localtime')
}
