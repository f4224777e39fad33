/**
 * Call: one use of an operator or function, as its rule sees it; and the table type that
 * maps OIDs to rules.
 */
import { asDecimal, settle } from './decimal.ts'
import { type DecimalExpr, type Expr, type PlainExpr, refuseOpaque } from './expr.ts'
import type { RouterContext } from './plan.ts'
import { refuse } from './refusal.ts'

export interface Call {
  readonly args: readonly Expr[]
  /** inputcollid of the call. */
  readonly collation: number
  readonly resultType: number
  readonly context: RouterContext
}

/** Refuses when this use is not proven equal. */
export type Rule = (call: Call) => Expr
export type RuleTable = ReadonlyMap<number, Rule>

export function arg(call: Call, index: number): PlainExpr {
  return refuseOpaque(settle(rawArg(call, index)))
}

export function rawArg(call: Call, index: number): Expr {
  return call.args[index] ?? refuse('a call has fewer arguments than expected')
}

export function decimalArg(call: Call, index: number): DecimalExpr {
  return asDecimal(rawArg(call, index))
}

export function intConstant(call: Call, index: number, what: string): number {
  const { constant } = arg(call, index)
  if (constant?.kind !== 'int' || constant.value > 0x7fffffffn || constant.value < -0x7fffffffn) {
    refuse(`${what} is not a constant`)
  }
  return Number(constant.value)
}

export function textConstant(call: Call, index: number, what: string): string {
  const { constant } = arg(call, index)
  if (constant?.kind !== 'text') refuse(`${what} is not a constant`)
  return constant.value
}

export function rules(...entries: readonly (readonly [readonly number[], Rule])[]): RuleTable {
  return new Map(entries.flatMap(([oids, rule]) => oids.map((oid) => [oid, rule] as const)))
}
