/**
 * Aggregates: by OID, as aggregate and as window function alike.
 *
 * G1  An aggregate whose result depends on the order of its input is refused, unless its
 *     own ORDER BY fixes that order: float sums and averages never pass.
 * G2  avg and variance leave DuckDB as exact sums and counts, and are finished later.
 */
import { refuseUnlessOrdered } from './collation.ts'
import { asDecimal, decimal, displaySql, settle, unscaled } from './decimal.ts'
import {
  type DecimalExpr, type Display, type Expr, type PlainExpr, bool, cast, plain, refuseOpaque,
} from './expr.ts'
import type { RouterContext } from './plan.ts'
import { refuse } from './refusal.ts'

export interface AggregateCall {
  readonly args: readonly Expr[]
  readonly collation: number
  readonly context: RouterContext
  /** A window function's frame moves: the display scale of a sum is then not the maximum's. */
  readonly window: boolean
  readonly distinct: boolean
  /** Writes `name(args)` with DISTINCT, FILTER and OVER; `and` is a further condition. */
  readonly write: (name: string, args: string, options?: { readonly and?: string
    readonly distinct?: boolean }) => string
}

type AggregateRule = (call: AggregateCall) => Expr

function operand(call: AggregateCall): PlainExpr {
  return refuseOpaque(settle(call.args[0] ?? refuse('an aggregate without an argument')))
}

function decimalOperand(call: AggregateCall): DecimalExpr {
  return asDecimal(call.args[0] ?? refuse('an aggregate without an argument'))
}

/** count(x): any value can be counted, DISTINCT only what is compared by value. */
const count: AggregateRule = (call) => {
  const value = call.args[0]
  if (value === undefined) return plain(call.write('count', '*'), { kind: 'int8' })
  if (value.kind === 'variance') refuse('count() of a variance')
  const counted = value.kind === 'quotient' && !call.distinct
    // A quotient is NULL exactly when one of its sides is.
    ? `CASE WHEN ${value.divisor.sql} IS NULL THEN NULL ELSE ${value.dividend.sql} END`
    : settle(value).sql
  if (call.distinct) refuseOpaque(settle(value))
  return plain(call.write('count', counted), { kind: 'int8' })
}

/** DuckDB sums in 128 bits: the cast raises where PostgreSQL's int8 would overflow. */
const sumToInt8: AggregateRule = (call) =>
  plain(cast(call.write('sum', operand(call).sql), 'BIGINT'), { kind: 'int8' })

function sumAsDecimal(call: AggregateCall): DecimalExpr {
  const value = operand(call)
  if (value.repr.kind !== 'decimal') {
    return decimal(cast(call.write('sum', value.sql), 'DECIMAL(38,0)'),
      { precision: 38, scale: 0 })
  }
  return sumOfDecimals(call)
}

function sumOfDecimals(call: AggregateCall): DecimalExpr {
  const value = decimalOperand(call)
  return decimal(call.write('sum', value.sql), { precision: 38, scale: value.repr.scale },
    sumDisplay(call, value))
}

/** PostgreSQL shows a sum with the largest scale among its non-null inputs. */
function sumDisplay(call: AggregateCall, value: DecimalExpr): Display {
  const { display } = value.repr
  if (typeof display === 'string') return display
  if (call.window) return 'lost'
  return { sql: call.write('max', displaySql(value),
    { and: `${value.sql} IS NOT NULL`, distinct: false }) }
}

const average: AggregateRule = (call) => {
  const counted = call.write('count', operand(call).sql)
  const divisor = decimal(counted, { precision: 19, scale: 0 })
  return { kind: 'quotient', dividend: sumAsDecimal(call), divisor }
}

function variance(options: { readonly sample: boolean; readonly root: boolean }): AggregateRule {
  return (call) => {
    if (call.window) refuse('a variance over a window')
    const value = operand(call)
    const isDecimal = value.repr.kind === 'decimal'
    if (isDecimal && value.repr.display !== 'type') refuse('variance of numerics of mixed scale')
    const whole = isDecimal ? unscaled(asDecimal(value)) : cast(value.sql, 'HUGEINT')
    return {
      kind: 'variance', scale: isDecimal ? value.repr.scale : 0, ...options,
      count: call.write('count', value.sql),
      sum: call.write('sum', whole),
      sumOfSquares: call.write('sum', `(${whole} * ${whole})`),
    }
  }
}

/** min and max; of text and char(n) by byte order. */
function extreme(name: 'min' | 'max'): AggregateRule {
  return (call) => {
    const value = settle(call.args[0] ?? refuse('an aggregate without an argument'))
    refuseOpaque(value)
    const { repr } = value
    if (repr.kind === 'text' || repr.kind === 'bpchar') {
      refuseUnlessOrdered(call.collation, call.context)
    }
    if (repr.kind === 'interval' || repr.kind === 'array') refuse(`${name}() of this type`)
    if (repr.kind === 'float4' || repr.kind === 'float8') {
      return plain(call.write(name, `slipway.one_zero(${value.sql})`), repr)
    }
    // Of equal numerics of several scales PostgreSQL keeps one: which is open.
    const kept = repr.kind === 'decimal' && repr.display !== 'type'
      ? { ...repr, display: 'lost' as const } : repr
    return plain(call.write(name, value.sql), kept)
  }
}

const both = (name: string): AggregateRule => (call) => bool(call.write(name, operand(call).sql))

const bits = (name: string): AggregateRule => (call) => {
  const value = operand(call)
  return plain(call.write(name, value.sql), value.repr)
}


const RULES: ReadonlyMap<number, AggregateRule> = new Map([
  ...each([2147, 2803], count), ...each([2108, 2109], sumToInt8),
  ...each([2107], sumAsDecimal), ...each([2114], sumOfDecimals),
  ...each([2100, 2101, 2102, 2103], average),
  ...each([2115, 2116, 2117, 2119, 2120, 2122, 2126, 2127, 2129, 2130, 2244], extreme('max')),
  ...each([2131, 2132, 2133, 2135, 2136, 2138, 2142, 2143, 2145, 2146, 2245], extreme('min')),
  ...each([2517, 2519], both('bool_and')), ...each([2518], both('bool_or')),
  ...each([2236, 2238, 2240], bits('bit_and')), ...each([2237, 2239, 2241], bits('bit_or')),
  ...each([6164, 6165, 6166], bits('bit_xor')),
  ...each([2718, 2719, 2720, 2723], variance({ sample: false, root: false })),
  ...each([2641, 2642, 2643, 2646, 2148, 2149, 2150, 2153],
    variance({ sample: true, root: false })),
  ...each([2724, 2725, 2726, 2729], variance({ sample: false, root: true })),
  ...each([2712, 2713, 2714, 2717, 2154, 2155, 2156, 2159],
    variance({ sample: true, root: true })),
])

function each(
  oids: readonly number[], rule: AggregateRule,
): readonly (readonly [number, AggregateRule])[] {
  return oids.map((oid) => [oid, rule] as const)
}

export function aggregate(aggfnoid: number, call: AggregateCall): Expr {
  const rule = RULES.get(aggfnoid)
  if (rule === undefined) refuse(`aggregate ${aggregateName(aggfnoid)} is not proven equal`)
  return rule(call)
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [2110, 'sum(real)'], [2111, 'sum(double precision)'], [2104, 'avg(real)'],
  [2105, 'avg(double precision)'], [2113, 'sum(interval)'], [2106, 'avg(interval)'],
  [2335, 'array_agg'], [3538, 'string_agg'], [3984, 'mode'], [2144, 'min(interval)'],
  [2128, 'max(interval)'], [2050, 'max(anyarray)'], [2051, 'min(anyarray)'],
])

function aggregateName(oid: number): string {
  return NAMES.get(oid) ?? `number ${oid}`
}
