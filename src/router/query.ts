/**
 * Query: one analysed Query node as a Select.
 *
 * Q1  Query kinds and clauses are allow-listed; a clause that is not understood refuses.
 * Q2  A LIMIT inside a subquery passes only where its order is total by construction.
 */
import { collationOf, refuseUnlessDeterministic } from './collation.ts'
import { settle } from './decimal.ts'
import { type Expr, type PlainExpr } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import { FromTranslator, commonTableName } from './from-clause.ts'
import { type GroupBy, groupByOf } from './group-by.ts'
import type { TreeNode } from './node-tree.ts'
import { collectPrune } from './prune.ts'
import { refuse } from './refusal.ts'
import { type Scope, childScope } from './scope.ts'
import {
  type OrderItem, type Select, type SelectTarget, bringColumn, exportColumns, isTotallyOrdered,
  renderSelect,
} from './select.ts'
import { setOperation } from './set-operation.ts'
import { groupKeySql, orderTerm, sortKeySql, targetByReference } from './sort-key.ts'
import { SublinkTranslator, type Subselect, type SubselectSource } from './sublink.ts'

const QUERY_DEPTH_MAX = 40

export class QueryTranslator implements SubselectSource {
  readonly #expressions: ExpressionTranslator
  readonly #from: FromTranslator
  #depth = 0

  constructor(expressions: ExpressionTranslator) {
    this.#expressions = expressions
    this.#from = new FromTranslator(expressions, this)
    expressions.attach(new SublinkTranslator(expressions, this))
  }

  subselect(query: TreeNode, parent: Scope | null, options: {
    readonly settled: boolean; readonly existence: boolean; readonly inlined?: boolean
  }): Subselect {
    if (++this.#depth > QUERY_DEPTH_MAX) refuse('subqueries are nested too deep')
    const select = this.select(query, parent)
    this.#depth--
    const values = options.existence ? [] : select.targets.map(({ expr }) =>
      options.settled ? settle(expr) : expr)
    const columns = values.flatMap((value, index) =>
      exportColumns(value, index + 1, options.inlined))
    const limited = select.limit !== null || select.offset > 0n
    const anyRow = options.existence && select.offset === 0n && select.limit !== 0n
    if (limited && !anyRow && !isTotallyOrdered(select)) {
      refuse('LIMIT in a subquery whose order is not total')
    }
    const keep = limited && !anyRow
    const sql = renderSelect(select, columns, keep
      ? { ordered: true, limit: select.limit, offset: select.offset }
      : { ordered: false, limit: null, offset: 0n })
    return { sql, bring: (alias) => values.map((value, index) =>
      bringColumn(value, index + 1, alias, options.inlined)) }
  }

  select(query: TreeNode, parent: Scope | null): Select {
    refuseUnlessPlainSelect(query)
    const scope = childScope(parent, query)
    const withText = this.#commonTables(query, scope)
    const base = query.get('setOperations') === null
      ? this.#plainSelect(query, scope) : this.#setSelect(query, scope)
    const select = { ...base, with: withText }
    return query.nodes('distinctClause').length === 0 ? select
      : this.#distinctSelect(query, select)
  }

  #commonTables(query: TreeNode, scope: Scope): string {
    const texts: string[] = []
    for (const table of query.nodes('cteList')) {
      if (table.bool('cterecursive')) refuse('a recursive common table')
      if (table.get('search_clause') !== null || table.get('cycle_clause') !== null) {
        refuse('a recursive common table')
      }
      if (table.int('cterefcount') === 0) continue
      const sub = this.subselect(table.node('ctequery'), scope,
        { settled: false, existence: false })
      const alias = this.#expressions.translation.alias()
      const how = ['', ' MATERIALIZED', ' NOT MATERIALIZED'][table.int('ctematerialized')] ?? ''
      texts.push(`${alias} AS${how} (${sub.sql})`)
      const name = commonTableName(table.text('ctename'))
      scope.commonTables.set(name, { name, alias, bring: sub.bring })
    }
    return texts.length === 0 ? '' : `WITH ${texts.join(', ')} `
  }

  #plainSelect(query: TreeNode, scope: Scope): Select {
    const from = this.#from.build(query, scope)
    const quals = query.node('jointree').nodeOrNull('quals')
    const where = quals === null ? null : this.#expressions.condition(quals, scope)
    collectPrune(query.node('jointree'), scope, this.#expressions)
    const groupBy = groupByOf(query, scope, this.#expressions)
    const above: Scope = groupBy === null ? scope : { ...scope, grouping: groupBy.grouping }
    const targets = this.#targets(query, above)
    const havingQual = query.nodeOrNull('havingQual')
    const having = havingQual === null ? null : this.#expressions.condition(havingQual, above)
    const distinct = query.nodes('distinctClause').length > 0
    const order = distinct ? [] : this.#order(query, above)
    const singleRow = groupBy === null && query.bool('hasAggs')
    return {
      with: '', targets, from, where, having, order, singleRow, distinct: false,
      // One group, also where no aggregate is left in what is written: EXISTS (SELECT count(*)).
      groupBy: groupBy !== null ? groupBy.text() : singleRow ? '()' : null,
      ...this.#limits(query, scope),
      unique: uniqueKeys(query, scope, groupBy),
    }
  }

  #targets(query: TreeNode, scope: Scope): readonly SelectTarget[] {
    return query.nodes('targetList').filter((target) => !target.bool('resjunk'))
      .map((target) => {
        const node = target.node('expr')
        return { expr: this.#expressions.translate(node, scope), node }
      })
  }

  #order(query: TreeNode, scope: Scope): readonly OrderItem[] {
    const targets = query.nodes('targetList')
    return query.nodes('sortClause').map((clause) => {
      const node = targetByReference(targets, clause.int('tleSortGroupRef')).node('expr')
      return this.#orderItem(query, clause, this.#expressions.plain(node, scope), node)
    })
  }

  #orderItem(
    query: TreeNode, clause: TreeNode, key: PlainExpr, node: TreeNode,
  ): OrderItem {
    return {
      term: orderTerm(clause, key, node, this.#expressions.translation.context),
      key: sortKeySql(key), value: key.sql,
      mixedScale: query.get('setOperations') !== null &&
        key.repr.kind === 'decimal' && key.repr.display !== 'type',
    }
  }

  #limits(query: TreeNode, scope: Scope): { limit: bigint | null; offset: bigint } {
    if (query.int('limitOption') !== 0) refuse('FETCH FIRST … WITH TIES')
    return { limit: this.#count(query.nodeOrNull('limitCount'), scope),
      offset: this.#count(query.nodeOrNull('limitOffset'), scope) ?? 0n }
  }

  #count(node: TreeNode | null, scope: Scope): bigint | null {
    if (node === null) return null
    const { constant } = this.#expressions.plain(node, scope)
    if (constant?.kind === 'null') return null
    if (constant?.kind !== 'int' || constant.value < 0n) {
      refuse('LIMIT or OFFSET of what is no constant')
    }
    return constant.value
  }

  #setSelect(query: TreeNode, scope: Scope): Select {
    const result = setOperation(query, scope, this.#expressions, this)
    const above: Scope = { ...scope, setColumns: result.columns }
    return {
      with: '', targets: this.#targets(query, above), from: result.from, where: null,
      groupBy: null, having: null, order: this.#order(query, above), singleRow: false,
      distinct: false, ...this.#limits(query, scope),
      unique: result.distinct ? [result.columns.map((column) => settle(column).sql)] : [],
    }
  }

  /** DISTINCT as a subquery of its own, so that ORDER BY sees only what it yields. */
  #distinctSelect(query: TreeNode, inner: Select): Select {
    if (query.bool('hasDistinctOn')) refuse('DISTINCT ON')
    const visible = query.nodes('targetList').filter((target) => !target.bool('resjunk'))
    const values = inner.targets.map(({ expr, node }) => {
      const value = settle(expr)
      if (value.repr.kind === 'text') refuseUnlessDeterministic(collationOf(node))
      const sql = groupKeySql(value, node)
      // Equal numerics of several scales become one: which scale stays is open.
      const repr = value.repr.kind === 'decimal' && value.repr.display !== 'type'
        ? { ...value.repr, display: 'lost' as const } : value.repr
      return { ...value, constant: null, sql, repr }
    })
    const columns = values.flatMap((value, index) => exportColumns(value, index + 1))
    const sql = renderSelect({ ...inner, distinct: true, limit: null, offset: 0n }, columns,
      { ordered: false, limit: null, offset: 0n })
    const alias = this.#expressions.translation.alias()
    const brought: readonly Expr[] = values.map((value, index) =>
      bringColumn(value, index + 1, alias))
    const order = query.nodes('sortClause').map((clause) => {
      const target = targetByReference(visible, clause.int('tleSortGroupRef'))
      const value = brought[visible.indexOf(target)] ?? refuse('an order by what is not selected')
      return this.#orderItem(query, clause, settle(value), target.node('expr'))
    })
    return {
      with: '', from: `(${sql}) AS ${alias}`, where: null, groupBy: null, having: null, order,
      targets: brought.map((expr, index) => ({ expr,
        node: inner.targets[index]?.node ?? refuse('a target is lost') })),
      distinct: false, limit: inner.limit, offset: inner.offset, singleRow: inner.singleRow,
      unique: [brought.map((value) => settle(value).sql)],
    }
  }
}

function refuseUnlessPlainSelect(query: TreeNode): void {
  if (query.tag !== 'QUERY' || query.int('commandType') !== 1 ||
    query.get('utilityStmt') !== null) {
    refuse('the statement is no SELECT')
  }
  if (query.bool('hasModifyingCTE')) refuse('a common table that writes')
  if (query.bool('hasForUpdate') || query.get('rowMarks') !== null) refuse('FOR UPDATE or SHARE')
  if (query.bool('hasTargetSRFs')) refuse('a set-returning function in the select list')
  if (query.bool('hasRecursive')) refuse('a recursive common table')
  if (query.bool('groupDistinct')) refuse('GROUP BY DISTINCT')
}

function uniqueKeys(
  query: TreeNode, scope: Scope, groupBy: GroupBy | null,
): readonly (readonly string[])[] {
  if (groupBy !== null) return groupBy.unique === null ? [] : [groupBy.unique]
  const items = query.node('jointree').nodes('fromlist')
  const [only] = items
  if (items.length !== 1 || only?.tag !== 'RANGETBLREF') return []
  const source = scope.sources[only.int('rtindex') - 1]
  if (source?.kind !== 'relation' || source.use.schema.primaryKey.length === 0) return []
  return [source.use.schema.primaryKey.map((attnum) => `${source.alias}.c${attnum}`)]
}
