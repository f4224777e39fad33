/**
 * GroupBy: GROUP BY with plain keys and grouping sets.
 *
 * H1  Above the grouping, a key is written with exactly the text it has in GROUP BY, so
 *     that DuckDB knows it again.
 * H2  A column that PostgreSQL allows because it depends on the keys becomes a key too,
 *     which changes no group.
 */
import { settle } from './decimal.ts'
import { type PlainExpr, plain } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import { nodeKey } from './node-key.ts'
import type { TreeNode } from './node-tree.ts'
import { refuse } from './refusal.ts'
import type { Grouping, Scope } from './scope.ts'
import { groupKeySql, targetByReference } from './sort-key.ts'

export interface GroupBy {
  readonly grouping: Grouping
  /** Keys no two groups share; null with grouping sets. */
  readonly unique: readonly string[] | null
  /** Complete only when everything above the grouping has been translated. */
  readonly text: () => string
}

const SetKind = { empty: 0, simple: 1, rollup: 2, cube: 3, sets: 4 } as const

export function groupByOf(
  query: TreeNode, scope: Scope, expressions: ExpressionTranslator,
): GroupBy | null {
  const clauses = query.nodes('groupClause')
  const sets = query.nodes('groupingSets')
  if (clauses.length === 0 && sets.length === 0) return null
  const keys = new Map<string, PlainExpr>()
  const tags = new Set<string>()
  const byReference = new Map<number, string>()
  for (const clause of clauses) {
    const reference = clause.int('tleSortGroupRef')
    const target = targetByReference(query.nodes('targetList'), reference).node('expr')
    const node = ungrouped(target, query)
    const value = settle(expressions.translate(node, scope))
    const key = groupKey(value, node)
    keys.set(nodeKey(node), key)
    tags.add(node.tag)
    byReference.set(reference, key.sql)
    if (sets.length > 0 && value.constant !== null) refuse('grouping sets over a constant')
  }
  const dependent = sets.length > 0 ? null : new Map<string, PlainExpr>()
  const unique = sets.length > 0 ? null : [...keys.values()].map((key) => key.sql)
  return {
    grouping: { keys, keyTags: tags, dependent }, unique,
    text: () => sets.length > 0
      ? sets.map((set) => setText(set, byReference)).join(', ')
      : [...new Set([...keys.values(), ...(dependent?.values() ?? [])]
        .map((key) => key.sql))].join(', '),
  }
}

function groupKey(value: PlainExpr, node: TreeNode): PlainExpr {
  const sql = groupKeySql(value, node)
  // One group may hold equal numerics of several display scales.
  if (value.repr.kind === 'decimal' && value.repr.display !== 'type') {
    return plain(sql, { ...value.repr, display: 'lost' })
  }
  return plain(sql, value.repr)
}

/** PostgreSQL 18 writes keys above the grouping as Vars of an RTE_GROUP. */
function ungrouped(node: TreeNode, query: TreeNode): TreeNode {
  if (node.tag !== 'VAR' || node.int('varlevelsup') !== 0) return node
  const entry = query.nodes('rtable')[node.int('varno') - 1]
  if (entry?.int('rtekind') !== 9) return node
  return entry.nodes('groupexprs')[node.int('varattno') - 1] ?? refuse('a group key is lost')
}

function setText(set: TreeNode, byReference: ReadonlyMap<number, string>): string {
  const key = (reference: number): string =>
    byReference.get(reference) ?? refuse('a grouping set of what is no key')
  switch (set.int('kind')) {
    case SetKind.empty: return '()'
    case SetKind.simple: return `(${set.integers('content').map(key).join(', ')})`
    case SetKind.rollup: return `ROLLUP (${inner(set, byReference)})`
    case SetKind.cube: return `CUBE (${inner(set, byReference)})`
    case SetKind.sets: return `GROUPING SETS (${inner(set, byReference)})`
    default: return refuse('a grouping set of this kind')
  }
}

function inner(set: TreeNode, byReference: ReadonlyMap<number, string>): string {
  return set.nodes('content').map((item) => setText(item, byReference)).join(', ')
}
