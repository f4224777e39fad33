/**
 * OrderedAggregate: aggregates whose result is made of their input in an order: string_agg,
 * array_agg and the percentiles.
 *
 * O1  string_agg and array_agg pass only where their own ORDER BY leaves no choice: the
 *     aggregated value is among the keys, or they hold a table's primary key.
 */
import { isDecimal, settle } from './decimal.ts'
import { type Expr, type PlainExpr, cast, plain, refuseOpaque } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import { quote } from './literal.ts'
import type { TreeNode } from './node-tree.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'
import { orderTerm, targetByReference } from './sort-key.ts'
import { isTotal } from './window.ts'

const Aggregate = {
  stringAgg: 3538, arrayAgg: 2335, percentileDisc: 3972, percentileContFloat: 3974,
} as const

/** Equal values of these kinds look alike, so that their order among themselves is no matter. */
const ALIKE: ReadonlySet<string> = new Set([
  'int2', 'int4', 'int8', 'bool', 'text', 'uuid', 'bytea', 'date', 'timestamp', 'timestamptz',
])

/** null: the aggregate is none of these. `scope` is that of the arguments. */
export function orderedAggregate(
  node: TreeNode, scope: Scope, expressions: ExpressionTranslator,
): Expr | null {
  switch (node.int('aggfnoid')) {
    case Aggregate.stringAgg: return stringAgg(node, scope, expressions)
    case Aggregate.arrayAgg: return arrayAgg(node, scope, expressions)
    case Aggregate.percentileDisc: return percentile(node, scope, expressions, 'disc')
    case Aggregate.percentileContFloat: return percentile(node, scope, expressions, 'cont')
    default:
      if (node.text('aggkind') !== 'n') refuse('an ordered-set aggregate')
      return null
  }
}

function argument(
  node: TreeNode, index: number, scope: Scope, expressions: ExpressionTranslator,
): PlainExpr {
  const target = node.nodes('args')[index] ?? refuse('an aggregate lacks an argument')
  return refuseOpaque(expressions.plain(target.node('expr'), scope))
}

function filterText(node: TreeNode, scope: Scope, expressions: ExpressionTranslator): string {
  const filter = node.nodeOrNull('aggfilter')
  return filter === null ? '' : ` FILTER (WHERE ${expressions.condition(filter, scope)})`
}

/** The terms of ORDER BY, or of DISTINCT, which orders too; refuses an open order. */
function orderText(
  node: TreeNode, value: PlainExpr, scope: Scope, expressions: ExpressionTranslator,
): string {
  const explicit = node.nodes('aggorder')
  const clauses = explicit.length > 0 ? explicit : node.nodes('aggdistinct')
  const keys = clauses.map((clause) => {
    const target = targetByReference(node.nodes('args'), clause.int('tleSortGroupRef'))
    const key = settle(expressions.translate(target.node('expr'), scope))
    return { value: key.sql,
      text: orderTerm(clause, key, target.node('expr'), expressions.translation.context) }
  })
  const closed = (ALIKE.has(value.repr.kind) && keys.some((key) => key.value === value.sql)) ||
    isTotal(scope, keys.map((key) => key.value))
  if (!closed) refuse('an aggregate whose ORDER BY leaves a choice')
  return keys.map((key) => key.text).join(', ')
}

function stringAgg(node: TreeNode, scope: Scope, expressions: ExpressionTranslator): Expr {
  const value = argument(node, 0, scope, expressions)
  const { constant } = argument(node, 1, scope, expressions)
  if (constant?.kind !== 'text' || value.repr.kind !== 'text') {
    refuse('string_agg with a delimiter that is no constant')
  }
  if (node.nodes('aggdistinct').length > 0) refuse('string_agg(DISTINCT)')
  const order = orderText(node, value, scope, expressions)
  return plain(`string_agg(${value.sql}, ${quote(constant.value)} ORDER BY ${order})` +
    filterText(node, scope, expressions), { kind: 'text' })
}

function arrayAgg(node: TreeNode, scope: Scope, expressions: ExpressionTranslator): Expr {
  const value = argument(node, 0, scope, expressions)
  if (isDecimal(value) || value.repr.kind === 'array' || value.repr.kind === 'bpchar') {
    refuse('array_agg of this type')
  }
  const distinct = node.nodes('aggdistinct').length > 0 ? 'DISTINCT ' : ''
  const order = orderText(node, value, scope, expressions)
  return plain(`list(${distinct}${value.sql} ORDER BY ${order})` +
    filterText(node, scope, expressions), { kind: 'array', element: value.repr })
}

function percentile(
  node: TreeNode, scope: Scope, expressions: ExpressionTranslator, kind: 'disc' | 'cont',
): Expr {
  const [direct] = node.nodes('aggdirectargs')
  const fraction = direct === undefined ? null : expressions.plain(direct, scope).constant
  if (fraction?.kind !== 'float' || !(fraction.value >= 0 && fraction.value <= 1)) {
    refuse('a percentile whose fraction is no constant')
  }
  const [clause] = node.nodes('aggorder')
  if (clause === undefined || node.get('aggfilter') !== null) refuse('a percentile of this form')
  const target = targetByReference(node.nodes('args'), clause.int('tleSortGroupRef'))
  const value = expressions.plain(target.node('expr'), scope)
  const term = orderTerm(clause, value, target.node('expr'), expressions.translation.context)
  if (!term.endsWith(' ASC NULLS LAST')) refuse('a percentile in descending order')
  const share = cast(quote(String(fraction.value)), 'DOUBLE')
  if (value.repr.kind === 'interval' || (isDecimal(value) && value.repr.display !== 'type')) {
    refuse('a percentile of this type')
  }
  const unsigned = value.repr.kind.startsWith('float')
    ? `slipway.one_zero(${value.sql})` : value.sql
  return plain(`slipway.percentile_${kind}(${unsigned}, ${share})`, value.repr)
}
