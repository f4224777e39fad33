/**
 * AggregateExpression: Aggref, WindowFunc and GroupingFunc nodes with their DISTINCT,
 * FILTER, ORDER BY and OVER.
 *
 * W1  A window function whose result depends on the order of peers raises when there are
 *     two peers at all, unless the order is proven to be total.
 */
import { aggregate } from './aggregates.ts'
import { settle } from './decimal.ts'
import { type Expr, cast, duckdbType, plain, refuseOpaque } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import type { TreeNode } from './node-tree.ts'
import { orderedAggregate } from './ordered-aggregate.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'
import { type WindowText, windowText } from './window.ts'

export class AggregateTranslator {
  readonly #expressions: ExpressionTranslator

  constructor(expressions: ExpressionTranslator) {
    this.#expressions = expressions
  }

  aggregate(node: TreeNode, scope: Scope): Expr {
    if (node.tag === 'GROUPINGFUNC') return this.#grouping(node, scope)
    if (node.int('agglevelsup') !== 0) refuse('an aggregate of an outer query')
    if (node.bool('aggvariadic')) refuse('a variadic aggregate')
    const inner: Scope = { ...scope, grouping: null }
    const ordered = orderedAggregate(node, inner, this.#expressions)
    if (ordered !== null) return ordered
    const args = node.nodes('args').filter((target) => !target.bool('resjunk'))
      .map((target) => this.#expressions.translate(target.node('expr'), inner))
    const distinct = node.nodes('aggdistinct').length > 0
    const filter = this.#filter(node, inner)
    return aggregate(node.int('aggfnoid'), {
      args, distinct, window: false, collation: node.int('inputcollid'),
      context: this.#expressions.translation.context,
      write: (name, text, options = {}) => {
        const each = options.distinct ?? distinct
        const conditions = [filter, options.and].filter((part) => typeof part === 'string')
        const where = conditions.length === 0
          ? '' : ` FILTER (WHERE ${conditions.join(' AND ')})`
        return `${name}(${each ? 'DISTINCT ' : ''}${text})${where}`
      },
    })
  }

  #filter(node: TreeNode, scope: Scope): string | null {
    const filter = node.nodeOrNull('aggfilter')
    return filter === null ? null : this.#expressions.condition(filter, scope)
  }

  #grouping(node: TreeNode, scope: Scope): Expr {
    if (node.int('agglevelsup') !== 0) refuse('GROUPING() of an outer query')
    const args = node.nodes('args').map((argument) => this.#expressions.plain(argument, scope).sql)
    return plain(cast(`grouping(${args.join(', ')})`, 'INTEGER'), { kind: 'int4' })
  }

  window(node: TreeNode, scope: Scope): Expr {
    const clause = scope.query.nodes('windowClause')
      .find((candidate) => candidate.int('winref') === node.int('winref'))
    if (clause === undefined) refuse('a window without its definition')
    const window = windowText(clause, scope, this.#expressions)
    const args = node.nodes('args').map((argument) => this.#expressions.translate(argument, scope))
    if (!node.bool('winagg')) return this.#ranking(node.int('winfnoid'), args, window)
    const winfnoid = node.int('winfnoid')
    const filter = this.#filter(node, scope)
    const where = filter === null ? '' : ` FILTER (WHERE ${filter})`
    return aggregate(winfnoid, {
      args, distinct: false, window: true, collation: node.int('inputcollid'),
      context: this.#expressions.translation.context,
      write: (name, text) => window.peersMatter
        ? checked(window, `${name}(${text})${where} OVER (${window.sql})`)
        : `${name}(${text})${where} OVER (${window.sql})`,
    })
  }

  /** pg_proc OIDs 3100–3114. */
  #ranking(winfnoid: number, args: readonly Expr[], window: WindowText): Expr {
    const values = args.map((argument) => refuseOpaque(settle(argument)))
    const [value] = values
    const over = (call: string): string => `${call} OVER (${window.sql})`
    switch (winfnoid) {
      case 3100: return plain(checked(window, over('row_number()')), { kind: 'int8' })
      case 3101: return plain(over('rank()'), { kind: 'int8' })
      case 3102: return plain(over('dense_rank()'), { kind: 'int8' })
      case 3103: return plain(over('percent_rank()'), { kind: 'float8' })
      case 3104: return plain(over('cume_dist()'), { kind: 'float8' })
      case 3105: {
        if (value?.constant?.kind !== 'int' || value.constant.value < 1n) {
          refuse('ntile() of what is no constant')
        }
        return plain(cast(checked(window, over(`ntile(${value.sql})`)), 'INTEGER'),
          { kind: 'int4' })
      }
      case 3106: case 3107: case 3108: case 3109: case 3110: case 3111: case 3112: case 3113:
      case 3114:
        return this.#neighbour(winfnoid, values, window)
      default: return refuse('this window function is not proven equal')
    }
  }

  #neighbour(
    winfnoid: number, values: readonly ReturnType<typeof settle>[], window: WindowText,
  ): Expr {
    const [value, offset, otherwise] = values
    if (value === undefined) refuse('a window function without an argument')
    if (offset !== undefined &&
      (offset.constant?.kind !== 'int' || (winfnoid === 3114 && offset.constant.value < 1n))) {
      refuse('an offset of lag(), lead() or nth_value() that is no constant')
    }
    const name = winfnoid < 3109 ? 'lag' : winfnoid < 3112 ? 'lead'
      : winfnoid === 3112 ? 'first_value' : winfnoid === 3113 ? 'last_value' : 'nth_value'
    if (otherwise !== undefined && duckdbType(otherwise.repr) !== duckdbType(value.repr)) {
      refuse(`a default of ${name}() of another type`)
    }
    if (value.repr.kind === 'decimal' && value.repr.display !== 'type') {
      refuse(`${name}() of numerics of mixed scale`)
    }
    const text = [value, offset, otherwise]
      .flatMap((part) => part === undefined ? [] : [part.sql]).join(', ')
    return plain(checked(window, `${name}(${text}) OVER (${window.sql})`), value.repr)
  }
}

/** W1: two rows with the same partition and order keys are peers. */
function checked(window: WindowText, sql: string): string {
  if (window.total) return sql
  const keys = window.keys.length === 0 ? '' : `PARTITION BY ${window.keys.join(', ')}`
  return `(CASE WHEN count(*) OVER (${keys}) > 1 THEN error('peers in a window') ELSE ${sql} END)`
}
