/**
 * Output: the top of a plan: result columns in PostgreSQL's types, and the tie check.
 *
 * O1  The n-th output column is the n-th column PostgreSQL described, in type and name.
 * O2  LIMIT passes when its order is total by construction, or when the rows themselves can
 *     prove it at run time.
 */
import { asDecimal, displaySql, quotientArguments, settle, unscaled } from './decimal.ts'
import { type Expr, type PlainExpr, type Repr, cast } from './expr.ts'
import { reprOfType } from './literal.ts'
import { PgType, typeName } from './pg-type.ts'
import type { OutputColumn, OutputValue, TieCheck } from './plan.ts'
import { refuse } from './refusal.ts'
import type { DescribedColumn } from './route.ts'
import { type ExportedColumn, type Select, isTotallyOrdered, renderSelect } from './select.ts'

const LIMIT_MAX = 1_000_000_000n
const QUOTIENT_DECIMALS = 16

export function outputOf(select: Select, columns: readonly DescribedColumn[]): {
  readonly sql: string; readonly output: readonly OutputColumn[]; readonly tieCheck: TieCheck | null
} {
  if (columns.length !== select.targets.length) refuse('the result has other columns')
  const list: ExportedColumn[] = []
  const add = (sql: string): number => {
    list.push({ name: `o${list.length + 1}`, sql })
    return list.length - 1
  }
  const output = columns.map((column, index): OutputColumn => {
    const target = select.targets[index] ?? refuse('the result has other columns')
    return { ...column, value: valueOf(target.expr, column, add) }
  })
  const { limit, offset } = select
  if (limit !== null && limit > LIMIT_MAX) refuse('a LIMIT beyond any use')
  const cut = limit !== null || offset > 0n
  const open = cut || select.order.some((item) => item.mixedScale)
  if (!open || isTotallyOrdered(select)) {
    return { output, tieCheck: null,
      sql: renderSelect(select, list, { ordered: true, limit, offset }) }
  }
  if (select.order.length === 0) refuse('LIMIT without ORDER BY')
  if (offset > 0n) refuse('OFFSET without a total order')
  const keysAt = select.order.map((item) => add(item.key))
  return { output, tieCheck: { keysAt, limit: limit === null ? null : Number(limit) },
    sql: renderSelect(select, list,
      { ordered: true, limit: limit === null ? null : limit + 1n, offset: 0n }) }
}

function valueOf(expr: Expr, column: DescribedColumn, add: (sql: string) => number): OutputValue {
  if (expr.kind === 'variance') {
    refuseUnlessNumeric(column)
    return { kind: 'variance', countAt: add(expr.count), sumAt: add(expr.sum),
      sumOfSquaresAt: add(expr.sumOfSquares), scale: expr.scale, sample: expr.sample,
      root: expr.root }
  }
  if (expr.kind === 'quotient') {
    refuseUnlessNumeric(column)
    const { dividend, divisor } = expr
    const exact = dividend.repr.display === 'type' && divisor.repr.display === 'type'
    // A display scale matters only where it exceeds the quotient's own 16 decimals.
    const small = Math.max(dividend.repr.scale, divisor.repr.scale) <= QUOTIENT_DECIMALS &&
      dividend.repr.display !== 'lost' && divisor.repr.display !== 'lost'
    if (exact || small) {
      return { kind: 'quotient', divisorAt: add(divisor.sql),
        dividendAt: add(exact ? dividend.sql
          : `slipway.small_dividend(${dividend.sql}, ${divisor.sql})`),
        dividendScale: dividend.repr.scale, divisorScale: divisor.repr.scale }
    }
    const args = quotientArguments(expr)
    return { kind: 'scaled-numeric', at: add(`slipway.quotient_units(${args})`),
      scaleAt: add(`slipway.quotient_scale(${args})`) }
  }
  const value = settle(expr)
  return value.repr.kind === 'decimal'
    ? numericValue(value, column, add) : plainValue(value, column, add)
}

function refuseUnlessNumeric(column: DescribedColumn): void {
  if (column.typeOid !== PgType.numeric) refuse('a result column has another type')
}

function numericValue(
  value: PlainExpr, column: DescribedColumn, add: (sql: string) => number,
): OutputValue {
  refuseUnlessNumeric(column)
  const number = asDecimal(value)
  if (number.repr.display === 'type') {
    return { kind: 'numeric', at: add(number.sql), scale: number.repr.scale }
  }
  const display = displaySql(number)
  return { kind: 'scaled-numeric', scaleAt: add(cast(display, 'INTEGER')),
    at: add(`slipway.rescaled(${unscaled(number)}, ${number.repr.scale}, ${display})`) }
}

function plainValue(
  value: PlainExpr, column: DescribedColumn, add: (sql: string) => number,
): OutputValue {
  const { repr } = value
  if (repr.kind === 'opaque') return { kind: 'plain', at: add(value.sql) }
  if (!sameForm(repr, reprOfType(column.typeOid, column.typmod))) {
    refuse(`a result column is ${typeName(column.typeOid)} in PostgreSQL only`)
  }
  return { kind: 'plain', at: add(repr.kind === 'bpchar' ? padded(value.sql, repr, column)
    : value.sql) }
}

function sameForm(a: Repr, b: Repr): boolean {
  return a.kind === 'array' && b.kind === 'array'
    ? a.element.kind === b.element.kind && a.element.kind !== 'decimal' : a.kind === b.kind
}

/** The encoder pads by typmod; without one, the length known here pads. */
function padded(
  sql: string, repr: Extract<Repr, { kind: 'bpchar' }>, column: DescribedColumn,
): string {
  if (column.typmod >= 4) return sql
  if (repr.length === null) refuse('a char(n) result of unknown length')
  return `rpad(${sql}, ${repr.length}, ' ')`
}
