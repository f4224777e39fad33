/**
 * Sublink: subqueries inside expressions: EXISTS, IN, ANY, ALL and scalar subqueries.
 *
 * B1  A scalar subquery brings one column: the display scale of a numeric, where its type
 *     does not tell it, comes by a second subquery, written only where it is asked for.
 */
import { isDecimal, settle, withDisplay } from './decimal.ts'
import { type Expr, type PlainExpr, bool, plain } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import type { TreeNode } from './node-tree.ts'
import { comparisonOf, comparisonOperands } from './operators.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'

/** A query as a subquery: its SQL, and its values as seen through an alias. */
export interface Subselect {
  readonly sql: string
  readonly bring: (alias: string) => readonly Expr[]
}

export interface SubqueryTranslator {
  sublink(node: TreeNode, scope: Scope): Expr
}

/** The query level's side of the bargain. */
export interface SubselectSource {
  subselect(query: TreeNode, parent: Scope, options: {
    /** Values in one column each. */
    readonly settled: boolean
    /** Only whether there is a row matters. */
    readonly existence: boolean
    /** A subquery of FROM: what is not read of it is not computed. */
    readonly inlined?: boolean
  }): Subselect
}

const SublinkType = { exists: 0, all: 1, any: 2, expr: 4 } as const

export class SublinkTranslator implements SubqueryTranslator {
  readonly #expressions: ExpressionTranslator
  readonly #queries: SubselectSource

  constructor(expressions: ExpressionTranslator, queries: SubselectSource) {
    this.#expressions = expressions
    this.#queries = queries
  }

  sublink(node: TreeNode, scope: Scope): Expr {
    const query = node.node('subselect')
    switch (node.int('subLinkType')) {
      case SublinkType.exists: {
        const sub = this.#queries.subselect(query, scope, { settled: true, existence: true })
        return bool(`(EXISTS (${sub.sql}))`)
      }
      case SublinkType.expr: return this.#scalar(query, scope)
      case SublinkType.any: return this.#quantified(node, query, scope, 'ANY')
      case SublinkType.all: return this.#quantified(node, query, scope, 'ALL')
      default: return refuse('a subquery of this kind')
    }
  }

  #scalar(query: TreeNode, scope: Scope): PlainExpr {
    const sub = this.#queries.subselect(query, scope, { settled: true, existence: false })
    const alias = this.#expressions.translation.alias()
    const [value] = sub.bring(alias)
    if (value === undefined) refuse('a scalar subquery without a column')
    const brought = settle(value)
    const only = (sql: string): string => `(SELECT ${sql} FROM (${sub.sql}) AS ${alias})`
    if (isDecimal(brought) && typeof brought.repr.display !== 'string') {
      const display = { sql: only(brought.repr.display.sql) }
      return { ...withDisplay(brought, display), sql: only(brought.sql) }
    }
    return plain(`(${sub.sql})`, brought.repr)
  }

  /** x op ANY (SELECT …): the test expression names the subquery's column by a Param. */
  #quantified(node: TreeNode, query: TreeNode, scope: Scope, how: 'ANY' | 'ALL'): PlainExpr {
    const test = node.node('testexpr')
    const comparison = test.tag === 'OPEXPR' ? comparisonOf(test.int('opno')) : null
    const [first, second] = test.tag === 'OPEXPR' ? test.nodes('args') : []
    if (comparison === null || first === undefined || second === undefined) {
      refuse('a row or an operator that is not proven equal is compared with a subquery')
    }
    const sub = this.#queries.subselect(query, scope, { settled: true, existence: false })
    const alias = this.#expressions.translation.alias()
    const columns = sub.bring(alias)
    const inside: Scope = { ...scope, sublink: columns }
    const [left, right] = comparisonOperands(comparison,
      this.#expressions.translate(first, scope), this.#expressions.translate(second, inside),
      { collation: test.int('inputcollid'), context: this.#expressions.translation.context })
    const single = columns.length === 1 && right === `${alias}.c1` && !/\bs1\b/.test(sub.sql)
    const text = single ? sub.sql : `SELECT ${right} FROM (${sub.sql}) AS ${alias}`
    if (comparison.op === '=' && how === 'ANY') return bool(`(${left} IN (${text}))`)
    return bool(`(${left} ${comparison.op} ${how} (${text}))`)
  }
}
