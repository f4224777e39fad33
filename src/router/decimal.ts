/**
 * Decimal: PostgreSQL's numeric arithmetic in DuckDB's DECIMAL.
 *
 * D1  Every result's DECIMAL type is computed here by DuckDB's own binder rules, so that
 *     `repr` never differs from what DuckDB makes.
 * D2  No step rounds where PostgreSQL does not: what does not fit raises in DuckDB.
 * D3  The display scale follows PostgreSQL's rules for + - * and sum; else it is an SQL
 *     expression of its own, or lost.
 */
import {
  type DecimalExpr, type DecimalRepr, type Display, type Expr, type PlainExpr, type QuotientExpr,
  cast, duckdbType, plain,
} from './expr.ts'
import { refuse } from './refusal.ts'

const PRECISION_MAX = 38
/** DuckDB keeps products and sums of 64-bit decimals in 64 bits, and raises on overflow. */
const PRECISION_64 = 18
const UNSCALED_BY_PRODUCT_MAX = 8
const QUOTIENT_TEXT_MAX = 20_000
/** Scale of a quotient that is used inside DuckDB (slipway.quotient). */
const QUOTIENT_SCALE = 20

export function decimal(
  sql: string, type: { precision: number; scale: number }, display: Display = 'type',
): DecimalExpr {
  const repr: DecimalRepr =
    { kind: 'decimal', precision: type.precision, scale: type.scale, display }
  return { kind: 'plain', sql, repr, constant: null }
}

/** The expression as a DECIMAL; a division is carried out. */
export function asDecimal(expr: Expr): DecimalExpr {
  if (expr.kind === 'quotient') return expr.value ?? settleQuotient(expr)
  if (expr.kind === 'variance') refuse('a variance is computed with further')
  if (!isDecimal(expr)) refuse('a numeric value has an unexpected form')
  return expr
}

export function isDecimal(expr: PlainExpr): expr is DecimalExpr {
  return expr.repr.kind === 'decimal'
}

/** Nothing but one column may stand here: a division is carried out. */
export function settle(expr: Expr): PlainExpr {
  return expr.kind === 'plain' ? expr : asDecimal(expr)
}

/** The display scale as SQL; refuses when it is lost. */
export function displaySql(expr: DecimalExpr): string {
  const { display, scale } = expr.repr
  if (display === 'lost') refuse('the display scale of a numeric cannot be known')
  return display === 'type' ? String(scale) : display.sql
}

export function withDisplay(expr: DecimalExpr, display: Display): DecimalExpr {
  return { ...expr, constant: null, repr: { ...expr.repr, display } }
}

function joinDisplay(
  a: DecimalExpr, b: DecimalExpr, combine: (a: string, b: string) => string,
): Display {
  const left = a.repr.display, right = b.repr.display
  if (left === 'type' && right === 'type') return 'type'
  if (left === 'lost' || right === 'lost') return 'lost'
  return { sql: combine(displaySql(a), displaySql(b)) }
}

/** + and -; BindDecimalAddSubtract in DuckDB's arithmetic.cpp. */
export function addSubtract(op: '+' | '-', a: DecimalExpr, b: DecimalExpr): DecimalExpr {
  const scale = Math.max(a.repr.scale, b.repr.scale)
  const width = Math.max(a.repr.precision, b.repr.precision)
  const whole = Math.max(a.repr.precision - a.repr.scale, b.repr.precision - b.repr.scale)
  let precision = Math.max(scale + whole, width) + 1
  if (precision > PRECISION_64 && width <= PRECISION_64) precision = PRECISION_64
  precision = Math.min(precision, PRECISION_MAX)
  const display = joinDisplay(a, b, (x, y) => `greatest(${x}, ${y})`)
  return decimal(`(${a.sql} ${op} ${b.sql})`, { precision, scale }, display)
}

/** DecimalMultiply: BindDecimalMultiply in DuckDB's arithmetic.cpp. */
export function multiply(a: DecimalExpr, b: DecimalExpr): DecimalExpr {
  const scale = a.repr.scale + b.repr.scale
  if (scale > PRECISION_MAX) refuse('a numeric product has more than 38 decimals')
  const width = Math.max(a.repr.precision, b.repr.precision)
  let precision = a.repr.precision + b.repr.precision
  if (precision > PRECISION_64 && width <= PRECISION_64 && scale < PRECISION_64) {
    precision = PRECISION_64
  }
  precision = Math.min(precision, PRECISION_MAX)
  const display = joinDisplay(a, b, (x, y) => `(${x} + ${y})`)
  return decimal(`(${a.sql} * ${b.sql})`, { precision, scale }, display)
}

/** The smallest type that holds all of `types`; casts to it raise when a value is too large. */
export function commonType(types: readonly { precision: number; scale: number }[]): {
  precision: number; scale: number
} {
  const scale = Math.max(...types.map((type) => type.scale))
  const whole = Math.max(...types.map((type) => type.precision - type.scale))
  return { precision: Math.max(1, Math.min(PRECISION_MAX, whole + scale)), scale }
}

export function castDecimal(
  expr: DecimalExpr, type: { precision: number; scale: number },
): string {
  if (expr.repr.precision === type.precision && expr.repr.scale === type.scale) return expr.sql
  return cast(expr.sql, `DECIMAL(${type.precision},${type.scale})`)
}

/** Both sides in one type, so that DuckDB's own comparison never drops decimals. */
export function comparable(a: DecimalExpr, b: DecimalExpr): readonly [string, string] {
  const scale = Math.max(a.repr.scale, b.repr.scale)
  const whole = Math.max(a.repr.precision - a.repr.scale, b.repr.precision - b.repr.scale)
  // DuckDB's own common type is exact up to 38 digits; beyond, it would cut the scale.
  if (whole + scale <= PRECISION_MAX) return [a.sql, b.sql]
  const type = { precision: PRECISION_MAX, scale }
  return [castDecimal(a, type), castDecimal(b, type)]
}

/** Rounds half away from zero, as both engines do; the display scale becomes `scale`. */
export function roundTo(expr: DecimalExpr, scale: number): DecimalExpr {
  if (scale < 0 || scale > 30) refuse('round() to this number of decimals')
  const whole = expr.repr.precision - expr.repr.scale + (scale < expr.repr.scale ? 1 : 0)
  const precision = Math.max(1, Math.min(PRECISION_MAX, whole + scale))
  return decimal(cast(expr.sql, `DECIMAL(${precision},${scale})`), { precision, scale })
}

/** The value times 10^scale, as HUGEINT. */
export function unscaled(expr: DecimalExpr): string {
  const { scale } = expr.repr
  if (scale === 0) return cast(expr.sql, 'HUGEINT')
  // The product of the unscaled values must fit 38 digits: beyond, through its digits.
  if (scale > UNSCALED_BY_PRODUCT_MAX) {
    return cast(`replace(${cast(expr.sql, 'VARCHAR')}, '.', '')`, 'HUGEINT')
  }
  const factor = cast(`1${'0'.repeat(scale)}`, `DECIMAL(${scale + 1},0)`)
  return cast(`(${castDecimal(expr, { precision: PRECISION_MAX, scale })} * ${factor})`, 'HUGEINT')
}

/** The division inside DuckDB: exact to 20 decimals, raising where PostgreSQL keeps more. */
function settleQuotient(expr: QuotientExpr): DecimalExpr {
  const args = quotientArguments(expr)
  return decimal(`slipway.quotient(${args})`,
    { precision: PRECISION_MAX, scale: QUOTIENT_SCALE }, { sql: `slipway.quotient_scale(${args})` })
}

/** What the macros of a division take: unscaled value, scale and display scale of each side. */
export function quotientArguments(expr: QuotientExpr): string {
  const { dividend, divisor } = expr
  const nested = [dividend, divisor].filter((side) => side.sql.includes('slipway.quotient('))
  // Macros repeat their arguments: divisions of divisions grow without bound.
  if (nested.length > 1 || expressionSize(expr) > QUOTIENT_TEXT_MAX) {
    refuse('a division within a division')
  }
  return [...quotientSide(dividend), ...quotientSide(divisor)].join(', ')
}

function expressionSize(expr: QuotientExpr): number {
  return expr.dividend.sql.length + expr.divisor.sql.length
}

/** Without the zeros below the display scale, so that more digits fit the arithmetic. */
function quotientSide(side: DecimalExpr): readonly string[] {
  const { scale, display } = side.repr
  const shown = displaySql(side)
  return display === 'type' ? [unscaled(side), String(scale), shown]
    : [`slipway.rescaled(${unscaled(side)}, ${scale}, ${shown})`, shown, shown]
}

/** Values of different branches (CASE, COALESCE, UNION) in one type. */
export function unify(branches: readonly DecimalExpr[]): {
  readonly sql: readonly string[]
  readonly type: { precision: number; scale: number }
  /** All branches show the same scale, that of `type`. */
  readonly uniform: boolean
} {
  const type = commonType(branches.map((branch) => branch.repr))
  const uniform = branches.every((branch) =>
    branch.repr.display === 'type' && branch.repr.scale === type.scale)
  return { sql: branches.map((branch) => castDecimal(branch, type)), type, uniform }
}

/** A NULL of any type takes the form of its neighbours. */
export function isNull(expr: Expr): boolean {
  return expr.kind === 'plain' && expr.constant?.kind === 'null'
}

export function nullOf(repr: PlainExpr['repr']): PlainExpr {
  return { ...plain(cast('NULL', duckdbType(repr)), repr), constant: { kind: 'null' } }
}
