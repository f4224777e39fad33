/**
 * Branches: CASE, COALESCE, GREATEST, NULLIF and their like, whose result is one of several
 * operands.
 *
 * B1  All branches are brought to one DuckDB type explicitly.
 * B2  Where numeric branches differ in scale, the display scale follows the branch taken.
 */
import { refuseUnlessOrdered, collationOf } from './collation.ts'
import { asDecimal, decimal, displaySql, isDecimal, isNull, unify } from './decimal.ts'
import { type DecimalExpr, type Expr, type PlainExpr, type Repr, bool, plain, refuseOpaque }
  from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import type { TreeNode } from './node-tree.ts'
import { comparisonOf, comparisonOperands } from './operators.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'

/** Branch values in one type, and how SQL that chooses among them is put together. */
export function choose(
  branches: readonly PlainExpr[], assemble: (branches: readonly string[]) => string,
): PlainExpr {
  const valued = branches.filter((branch) => !isNull(branch))
  const [first] = valued
  if (first === undefined) return branches[0] ?? refuse('a choice among nothing')
  if (valued.some(isDecimal)) return chooseDecimal(branches, assemble)
  for (const branch of valued) {
    refuseOpaque(branch)
    if (branch.repr.kind !== first.repr.kind) refuse('branches of different types')
  }
  const repr = commonRepr(valued.map((branch) => branch.repr))
  return plain(assemble(branches.map((branch) => isNull(branch) ? 'NULL' : branch.sql)), repr)
}

function chooseDecimal(
  branches: readonly PlainExpr[], assemble: (branches: readonly string[]) => string,
): PlainExpr {
  const valued: DecimalExpr[] = branches.filter((branch) => !isNull(branch)).map(asDecimal)
  const { sql, type, uniform } = unify(valued)
  const spread = (values: readonly string[]): readonly string[] => {
    let next = 0
    return branches.map((branch) => isNull(branch) ? 'NULL' : values[next++] ?? 'NULL')
  }
  const value = assemble(spread(sql))
  if (uniform) return decimal(value, type)
  if (valued.some((branch) => branch.repr.display === 'lost')) return decimal(value, type, 'lost')
  return decimal(value, type, { sql: assemble(spread(valued.map(displaySql))) })
}

/** What holds for all: a length only when it is the same, finite only when all are. */
function commonRepr(reprs: readonly Repr[]): Repr {
  const [first] = reprs
  if (first === undefined) refuse('a choice among nothing')
  if (first.kind === 'bpchar') {
    const same = reprs.every((repr) => repr.kind === 'bpchar' && repr.length === first.length)
    return same ? first : { kind: 'bpchar', length: null }
  }
  if ('finite' in first) {
    return { kind: first.kind, finite: reprs.every((repr) => 'finite' in repr && repr.finite) }
  }
  if (first.kind === 'array') refuse('a choice among arrays')
  return first
}

export class BranchTranslator {
  readonly #expressions: ExpressionTranslator

  constructor(expressions: ExpressionTranslator) {
    this.#expressions = expressions
  }

  translate(node: TreeNode, scope: Scope): Expr {
    switch (node.tag) {
      case 'CASEEXPR': return this.#case(node, scope)
      case 'CASETESTEXPR': return scope.caseTest ?? refuse('a CASE operand out of place')
      case 'COALESCEEXPR': return this.#coalesce(node, scope)
      case 'MINMAXEXPR': return this.#minMax(node, scope)
      case 'NULLIFEXPR': return this.#nullIf(node, scope)
      case 'DISTINCTEXPR': return this.#distinct(node, scope)
      case 'BOOLEANTEST': return this.#booleanTest(node, scope)
      default: return refuse(`expressions of kind ${node.tag.toLowerCase()} are not translated`)
    }
  }

  #case(node: TreeNode, outer: Scope): Expr {
    const operand = node.nodeOrNull('arg')
    const scope = operand === null
      ? outer : { ...outer, caseTest: this.#expressions.plain(operand, outer) }
    const whens = node.nodes('args')
    const conditions = whens.map((when) => this.#expressions.condition(when.node('expr'), scope))
    const results = whens.map((when) => this.#expressions.plain(when.node('result'), outer))
    const otherwise = node.nodeOrNull('defresult')
    if (otherwise !== null) results.push(this.#expressions.plain(otherwise, outer))
    return choose(results, (sql) => {
      const text = conditions.map((condition, index) =>
        `WHEN ${condition} THEN ${sql[index] ?? 'NULL'}`).join(' ')
      return `(CASE ${text} ELSE ${sql[conditions.length] ?? 'NULL'} END)`
    })
  }

  #coalesce(node: TreeNode, scope: Scope): Expr {
    const values = node.nodes('args').map((value) => this.#expressions.plain(value, scope))
    // Written as CASE, so that the display scale can be chosen by the same conditions.
    const [last] = values.slice(-1)
    const tests = values.slice(0, -1)
    if (last === undefined) refuse('COALESCE of nothing')
    return choose(values, (sql) => {
      const text = tests.map((test, index) =>
        `WHEN ${test.sql} IS NOT NULL THEN ${sql[index] ?? 'NULL'}`).join(' ')
      return text === '' ? sql[0] ?? 'NULL'
        : `(CASE ${text} ELSE ${sql[values.length - 1] ?? 'NULL'} END)`
    })
  }

  #minMax(node: TreeNode, scope: Scope): Expr {
    const values = node.nodes('args').map((value) => this.#expressions.plain(value, scope))
    const name = node.int('op') === 0 ? 'greatest' : 'least'
    const kind = values.find((value) => !isNull(value))?.repr.kind
    if (kind === 'text' || kind === 'bpchar') {
      refuseUnlessOrdered(node.int('inputcollid'), this.#expressions.translation.context)
    }
    if (kind === 'float4' || kind === 'float8' || kind === 'interval' || kind === 'bool') {
      refuse(`${name} of this type`)
    }
    const chosen = choose(values, (sql) => `${name}(${sql.join(', ')})`)
    // Which of equal numerics of several scales is kept is not followed.
    return isDecimal(chosen) && chosen.repr.display !== 'type'
      ? decimal(chosen.sql, chosen.repr, 'lost') : chosen
  }

  #nullIf(node: TreeNode, scope: Scope): Expr {
    const [first, second] = node.nodes('args')
    if (first === undefined || second === undefined) refuse('NULLIF of one value')
    const a = this.#expressions.plain(first, scope)
    const equal = this.#compare(node, a, this.#expressions.plain(second, scope), '=')
    const kept = isDecimal(a) ? a : plain(a.sql, a.repr)
    return { ...kept, constant: null, sql: `(CASE WHEN ${equal} THEN NULL ELSE ${a.sql} END)` }
  }

  #distinct(node: TreeNode, scope: Scope): Expr {
    const [first, second] = node.nodes('args')
    if (first === undefined || second === undefined) refuse('IS DISTINCT FROM of one value')
    const a = this.#expressions.plain(first, scope), b = this.#expressions.plain(second, scope)
    if (isNull(a)) return bool(`(${b.sql} IS NOT NULL)`)
    if (isNull(b)) return bool(`(${a.sql} IS NOT NULL)`)
    return bool(this.#compare(node, a, b, 'IS DISTINCT FROM'))
  }

  /** The node's operator must be an equality; `written` stands between the operands. */
  #compare(node: TreeNode, a: PlainExpr, b: PlainExpr, written: string): string {
    const comparison = comparisonOf(node.int('opno'))
    if (comparison?.op !== '=') refuse('an equality operator that is not proven equal')
    const collation = node.int('inputcollid') === 0 ? collationOf(node) : node.int('inputcollid')
    const [left, right] = comparisonOperands(comparison, a, b,
      { collation, context: this.#expressions.translation.context })
    return `(${left} ${written} ${right})`
  }

  #booleanTest(node: TreeNode, scope: Scope): Expr {
    const value = this.#expressions.condition(node.node('arg'), scope)
    const tests = ['IS TRUE', 'IS NOT TRUE', 'IS FALSE', 'IS NOT FALSE', 'IS NULL', 'IS NOT NULL']
    const test = tests[node.int('booltesttype')] ?? refuse('an unknown boolean test')
    return bool(`(${value} ${test})`)
  }
}
