/**
 * Arithmetic: + - * / % and their like over integers, numeric and floats.
 *
 * A1  Where DuckDB is silent and PostgreSQL raises (zero divisors, float overflow), a macro
 *     of ours raises.
 * A2  Integer results have PostgreSQL's width, so that overflow raises where it does there.
 */
import {
  type Call, type Rule, type RuleTable, arg, decimalArg, intConstant, rawArg, rules,
} from './call.ts'
import {
  addSubtract, asDecimal, comparable, commonType, decimal, multiply, roundTo, withDisplay,
} from './decimal.ts'
import { type Expr, type PlainExpr, type Repr, cast, duckdbType, plain } from './expr.ts'
import { reprOfType, numericLiteral } from './literal.ts'
import { refuse } from './refusal.ts'

/** Operands of another width are cast to the result's. */
function widened(call: Call): readonly PlainExpr[] {
  const repr = reprOfType(call.resultType, -1)
  return call.args.map((_, index) => {
    const operand = arg(call, index)
    return operand.repr.kind === repr.kind
      ? operand : plain(cast(operand.sql, duckdbType(repr)), repr)
  })
}

function binary(op: string): Rule {
  return (call) => {
    const [a, b] = widened(call)
    if (a === undefined || b === undefined) refuse('an operator lacks an operand')
    return plain(`(${a.sql} ${op} ${b.sql})`, a.repr)
  }
}

function macro(name: string): Rule {
  return (call) => {
    const operands = widened(call)
    const repr = operands[0]?.repr ?? refuse('an operator lacks an operand')
    return plain(`slipway.${name}(${operands.map((operand) => operand.sql).join(', ')})`, repr)
  }
}

function unary(before: string, after = ')'): Rule {
  return (call) => {
    const a = arg(call, 0)
    return plain(`${before}${a.sql}${after}`, a.repr)
  }
}

/** A constant divisor other than zero needs no check; -1 may overflow, which raises. */
const integerDivide: Rule = (call) => {
  const [a, b] = widened(call)
  const divisor = arg(call, 1).constant
  if (a === undefined || b === undefined) refuse('an operator lacks an operand')
  const safe = divisor?.kind === 'int' && divisor.value > 0n
  return plain(safe ? `(${a.sql} // ${b.sql})` : `slipway.idiv(${a.sql}, ${b.sql})`, a.repr)
}

const decimalModulo: Rule = (call) => {
  const a = decimalArg(call, 0), b = decimalArg(call, 1)
  const type = commonType([a.repr, b.repr])
  const [left, right] = comparable(a, b)
  const target = `DECIMAL(${type.precision},${type.scale})`
  const same = a.repr.display === 'type' && b.repr.display === 'type'
  return decimal(`slipway.modulo(${cast(left, target)}, ${cast(right, target)})`, type,
    same ? 'type' : 'lost')
}

/** ceil, floor: DuckDB keeps DECIMAL(p,0). */
function decimalWhole(name: string): Rule {
  return (call) => {
    const a = decimalArg(call, 0)
    const precision = Math.min(38, a.repr.precision - a.repr.scale + 1)
    return decimal(cast(`${name}(${a.sql})`, `DECIMAL(${precision},0)`), { precision, scale: 0 })
  }
}

function decimalUnary(before: string): Rule {
  return (call) => {
    const a = decimalArg(call, 0)
    const constant = before === '(-' && a.constant?.kind === 'numeric' ? a.constant : null
    if (constant !== null) return numericLiteral(-constant.unscaled, constant.scale)
    return { ...a, constant: null, sql: `${before}${a.sql})` }
  }
}

const quotient: Rule = (call): Expr =>
  ({ kind: 'quotient', dividend: decimalArg(call, 0), divisor: decimalArg(call, 1) })

const truncate: Rule = (call) => {
  const a = decimalArg(call, 0)
  const scale = call.args.length > 1 ? intConstant(call, 1, 'the scale of trunc()') : 0
  if (scale < 0 || scale > a.repr.scale) refuse('trunc() to this number of decimals')
  const factor = `1${'0'.repeat(a.repr.scale - scale)}`
  // Take off what lies below the scale: the remainder has the sign of the value.
  const step = cast(`'${(1 / 10 ** scale).toFixed(scale)}'`, `DECIMAL(${scale + 1},${scale})`)
  const rest = factor === '1' ? a.sql : `(${a.sql} - ${a.sql} % ${step})`
  return roundTo(withDisplay({ ...a, sql: rest }, 'type'), scale)
}

const roundDecimal: Rule = (call) => {
  const scale = call.args.length > 1 ? intConstant(call, 1, 'the scale of round()') : 0
  return roundTo(asDecimal(rawArg(call, 0)), scale)
}

const sqrtFloat: Rule = (call) => {
  const a = arg(call, 0)
  return plain(`slipway.fsqrt(${a.sql})`, { kind: 'float8' })
}

/** round(float8) rounds half to even; ceil and floor are the same in both. */
const roundFloat: Rule = (call) => plain(`round_even(${arg(call, 0).sql}, 0)`, { kind: 'float8' })

const shiftLeft: Rule = (call) => {
  const a = arg(call, 0), by = intConstant(call, 1, 'the distance of a shift')
  const bits = a.repr.kind === 'int8' ? 63 : a.repr.kind === 'int4' ? 31 : 15
  if (by < 0 || by >= bits) refuse('a shift by this distance')
  return plain(`(${a.sql} << ${by})`, a.repr)
}

const INT_ADD = [550, 551, 552, 553, 684, 688, 692, 818, 822]
const INT_SUBTRACT = [554, 555, 556, 557, 685, 689, 693, 819, 823]
const INT_MULTIPLY = [514, 526, 544, 545, 686, 690, 694, 820, 824]
const INT_DIVIDE = [527, 528, 546, 547, 687, 691, 695, 821, 825]

/** By pg_operator OID. */
export const ARITHMETIC_OPERATORS: RuleTable = rules(
  [INT_ADD, binary('+')], [INT_SUBTRACT, binary('-')], [INT_MULTIPLY, binary('*')],
  [INT_DIVIDE, integerDivide], [[439, 529, 530], macro('modulo')],
  [[1874, 1880, 1886], binary('&')], [[1875, 1881, 1887], binary('|')],
  [[1876, 1882, 1888], (call) => {
    const a = arg(call, 0)
    return plain(`xor(${a.sql}, ${arg(call, 1).sql})`, a.repr)
  }],
  [[1878, 1884, 1890], shiftLeft],
  [[484, 558, 559], negateInteger], [[1916, 1917, 1918, 1919, 1920], unary('(')],
  [[1877, 1883, 1889], unary('(~')], [[473, 682, 773], unary('abs(')],
  [[1758], (call) => addSubtract('+', decimalArg(call, 0), decimalArg(call, 1))],
  [[1759], (call) => addSubtract('-', decimalArg(call, 0), decimalArg(call, 1))],
  [[1760], (call) => multiply(decimalArg(call, 0), decimalArg(call, 1))],
  [[1761], quotient], [[1762], decimalModulo],
  [[1751], decimalUnary('(-')], [[1921], decimalUnary('(')], [[1763], decimalUnary('abs(')],
  [[586, 591, 1116, 1126], macro('fadd')], [[587, 592, 1117, 1127], macro('fsub')],
  [[589, 594, 1119, 1129], macro('fmul')], [[588, 593, 1118, 1128], macro('fdiv')],
  [[584, 585], unary('(-')], [[590, 595], unary('abs(')], [[596], sqrtFloat],
)

function negateInteger(call: Call): Expr {
  const a = arg(call, 0)
  const negated = plain(`(-${a.sql})`, a.repr)
  return a.constant?.kind === 'int'
    ? { ...negated, constant: { kind: 'int', value: -a.constant.value } } : negated
}

/** By pg_proc OID. */
export const ARITHMETIC_FUNCTIONS: RuleTable = rules(
  [[1396, 1397, 1398, 1394, 1395], unary('abs(')], [[1705], decimalUnary('abs(')],
  [[940, 941, 947], macro('modulo')], [[1728], decimalModulo],
  [[1711, 2167], decimalWhole('ceil')], [[1712], decimalWhole('floor')],
  [[1707, 1708], roundDecimal], [[1709, 1710], truncate],
  [[2308, 2320], unary('ceil(')], [[2309], unary('floor(')], [[1342], roundFloat],
  [[1344], sqrtFloat],
  [[1706], (call) => signOf(decimalArg(call, 0).sql)],
  [[2310], (call) => plain(cast(`sign(${arg(call, 0).sql})`, 'DOUBLE'), { kind: 'float8' })],
)

function signOf(sql: string): Expr {
  return decimal(cast(`sign(${sql})`, 'DECIMAL(1,0)'), { precision: 1, scale: 0 })
}

/** Casts between numbers: by pg_proc OID of the cast function. */
export const NUMBER_CASTS: RuleTable = rules(
  [[313, 314, 480, 481, 714, 754], castInteger],
  [[1740, 1781, 1782], integerToDecimal],
  [[1744, 1779, 1783], decimalToInteger],
  [[235, 236, 311, 316, 318, 482, 652], castPlain],
  [[237, 238, 317, 319, 483, 653], floatToInteger],
  [[1746], (call) => plain(cast(decimalArg(call, 0).sql, 'DOUBLE'), { kind: 'float8' })],
)

/** int2::oid runs through a cast to int4 by name only: the result's type counts. */
function numberRepr(call: Call): Repr {
  const repr = reprOfType(call.resultType, -1)
  return /^(?:int|float)/.test(repr.kind) ? repr : refuse('a cast to a type that is no number')
}

function castPlain(call: Call): Expr {
  const repr = numberRepr(call)
  return plain(cast(arg(call, 0).sql, duckdbType(repr)), repr)
}

function floatToInteger(call: Call): Expr {
  const repr = numberRepr(call)
  // DuckDB rounds half to even in this cast too, and raises out of range.
  return plain(cast(arg(call, 0).sql, duckdbType(repr)), repr)
}

function castInteger(call: Call): Expr {
  const value = arg(call, 0), repr = numberRepr(call)
  return { ...plain(cast(value.sql, duckdbType(repr)), repr), constant: value.constant }
}

const INT_DIGITS: ReadonlyMap<Repr['kind'], number> = new Map([
  ['int2', 5], ['int4', 10], ['int8', 19],
])

function integerToDecimal(call: Call): Expr {
  const value = arg(call, 0)
  if (value.constant?.kind === 'int') return numericLiteral(value.constant.value, 0)
  const precision = INT_DIGITS.get(value.repr.kind) ?? refuse('a cast has an unexpected form')
  return decimal(cast(value.sql, `DECIMAL(${precision},0)`), { precision, scale: 0 })
}

function decimalToInteger(call: Call): Expr {
  const repr = numberRepr(call)
  return plain(cast(cast(decimalArg(call, 0).sql, 'DECIMAL(38,0)'), duckdbType(repr)), repr)
}
