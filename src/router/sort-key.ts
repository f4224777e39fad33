/**
 * SortKey: ORDER BY terms of statements, aggregates and windows.
 *
 * K1  The direction comes from the sort operator's OID, which must be a known < or >.
 * K2  NULLs are placed explicitly; text is ordered only under byte-ordering collations.
 */
import { collationOf, refuseUnlessDeterministic, refuseUnlessOrdered } from './collation.ts'
import { type PlainExpr, refuseOpaque } from './expr.ts'
import type { TreeNode } from './node-tree.ts'
import { comparisonOf } from './operators.ts'
import type { RouterContext } from './plan.ts'
import { refuse } from './refusal.ts'

/** DuckDB's sort keys lose the sign of -0: order by a copy without it. */
export function sortKeySql(key: PlainExpr): string {
  const { kind } = refuseOpaque(key).repr
  if (kind === 'array') refuse('arrays are ordered')
  return kind === 'float4' || kind === 'float8' ? `slipway.sort_zero(${key.sql})` : key.sql
}

/** One term of ORDER BY. */
export function orderTerm(
  clause: TreeNode, key: PlainExpr, node: TreeNode, context: RouterContext,
): string {
  const comparison = comparisonOf(clause.int('sortop'))
  if (comparison?.op !== '<' && comparison?.op !== '>') {
    refuse('an order by an operator that is not proven equal')
  }
  if (key.repr.kind === 'text' || key.repr.kind === 'bpchar') {
    refuseUnlessOrdered(collationOf(node), context)
  }
  const direction = comparison.op === '<' ? 'ASC' : 'DESC'
  const nulls = clause.bool('nulls_first') ? 'FIRST' : 'LAST'
  return `${sortKeySql(key)} ${direction} NULLS ${nulls}`
}

/** A value that GROUP BY, DISTINCT or PARTITION BY compares. */
export function groupKeySql(key: PlainExpr, node: TreeNode): string {
  const { kind } = refuseOpaque(key).repr
  if (kind === 'array' || kind === 'interval') refuse('values of this type are grouped')
  if (kind === 'text' || kind === 'bpchar') refuseUnlessDeterministic(collationOf(node))
  // -0 and 0 are one group: which of them is shown is open.
  return kind === 'float4' || kind === 'float8' ? `slipway.one_zero(${key.sql})` : key.sql
}

export function targetByReference(targets: readonly TreeNode[], reference: number): TreeNode {
  return targets.find((target) => target.int('ressortgroupref') === reference) ??
    refuse('a sort or group clause without its expression')
}
