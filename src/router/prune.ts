/**
 * Prune: conjuncts of WHERE and of inner joins that compare a column with a constant, for
 * skipping files by their statistics.
 *
 * P1  A row that a predicate drops is one that the statement's own condition drops: only
 *     conjuncts of WHERE, and of ON in joins that are inner all the way up.
 */
import type { ConstantValue } from './constant.ts'
import { isDecimal } from './decimal.ts'
import type { PlainExpr } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import type { TreeNode } from './node-tree.ts'
import { type ComparisonOp, comparisonOf } from './operators.ts'
import type { PrunePredicate } from './plan.ts'
import type { Scope } from './scope.ts'

type PruneOp = PrunePredicate['op']
const MIRRORED_OP: Readonly<Record<PruneOp, PruneOp>> =
  { '=': '=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' }

export function collectPrune(
  tree: TreeNode, scope: Scope, expressions: ExpressionTranslator,
): void {
  for (const conjunct of conjunctsOf(tree)) {
    if (conjunct.tag !== 'OPEXPR') continue
    const comparison = comparisonOf(conjunct.int('opno'))
    const [left, right] = conjunct.nodes('args')
    if (comparison === null || left === undefined || right === undefined) continue
    if (left.tag !== 'VAR' && right.tag !== 'VAR') continue
    const a = expressions.translate(left, scope), b = expressions.translate(right, scope)
    if (a.kind === 'plain' && b.kind === 'plain' && isPruneOp(comparison.op)) {
      add(a, b, comparison.op, expressions)
      add(b, a, MIRRORED_OP[comparison.op], expressions)
    }
  }
}

function isPruneOp(op: ComparisonOp): op is PruneOp {
  return op !== '<>'
}

function conjunctsOf(node: TreeNode): readonly TreeNode[] {
  if (node.tag === 'BOOLEXPR') {
    return node.text('boolop') === 'and' ? node.nodes('args').flatMap(conjunctsOf) : []
  }
  if (node.tag === 'FROMEXPR' || (node.tag === 'JOINEXPR' && node.int('jointype') === 0)) {
    const quals = node.nodeOrNull('quals')
    const below = node.tag === 'FROMEXPR' ? node.nodes('fromlist')
      : [node.node('larg'), node.node('rarg')]
    return [...(quals === null ? [] : conjunctsOf(quals)),
      ...below.filter((item) => item.tag === 'JOINEXPR').flatMap(conjunctsOf)]
  }
  return node.tag === 'OPEXPR' ? [node] : []
}

function add(
  column: PlainExpr, value: PlainExpr, op: PruneOp, expressions: ExpressionTranslator,
): void {
  if (column.column === undefined || value.constant === null) return
  const bound = pruneValue(column, value, value.constant)
  if (bound === null) return
  const use = expressions.translation.relations[column.column.relation]
  use?.prune.push({ attnum: column.column.attnum, op, value: bound })
}

/** The mirror's form of the constant; null when the types are not simply the same. */
function pruneValue(
  column: PlainExpr, value: PlainExpr, constant: ConstantValue,
): PrunePredicate['value'] | null {
  switch (column.repr.kind) {
    case 'int2': case 'int4': return constant.kind === 'int' ? Number(constant.value) : null
    case 'int8': return constant.kind === 'int' ? constant.value : null
    case 'date':
      return constant.kind === 'date' && typeof constant.days === 'number' ? constant.days : null
    case 'timestamp': case 'timestamptz':
      return constant.kind === 'timestamp' && typeof constant.us === 'bigint' &&
        value.repr.kind === column.repr.kind ? constant.us : null
    case 'text': case 'bpchar': case 'uuid':
      return constant.kind === 'text' ? constant.value : null
    case 'decimal': {
      if (constant.kind !== 'numeric' || !isDecimal(value)) return null
      const digits = String(constant.unscaled < 0n ? -constant.unscaled : constant.unscaled)
        .padStart(constant.scale + 1, '0')
      const whole = digits.slice(0, digits.length - constant.scale)
      const fraction = constant.scale === 0 ? '' : `.${digits.slice(-constant.scale)}`
      return `${constant.unscaled < 0n ? '-' : ''}${whole}${fraction}`
    }
    default: return null
  }
}
