/**
 * Scope: what a Var can mean at one query level, and what a whole translation shares.
 *
 * S1  Aliases are numbered over the whole statement: no two relations share one.
 * S2  A relation records each column that is asked for; nothing else is ever read.
 */
import type { Oid } from '../base/oid.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import { type Expr, type PlainExpr, relationMark } from './expr.ts'
import type { TreeNode } from './node-tree.ts'
import type { PrunePredicate, RouterContext, RouterParameter } from './plan.ts'
import { refuse } from './refusal.ts'

const RELATIONS_MAX = 200

/** One use of a table in FROM. */
export interface RelationUse {
  readonly index: number
  readonly relid: Oid
  readonly schema: TableSchema
  readonly columns: Set<number>
  readonly prune: PrunePredicate[]
}

/** What one entry of a range table gives its Vars. */
export type Source =
  | { readonly kind: 'relation'; readonly alias: string; readonly use: RelationUse }
  /** Subquery, CTE, VALUES, set operation: columns by attnum - 1. */
  | { readonly kind: 'columns'; readonly columns: readonly Expr[] }
  /** RTE_JOIN and RTE_GROUP: expressions of the same level. */
  | { readonly kind: 'alias'; readonly expressions: readonly TreeNode[] }
  | { readonly kind: 'unused'; readonly reason: string }

export interface CommonTable {
  readonly name: string
  readonly alias: string
  readonly bring: (alias: string) => readonly Expr[]
}

/** Group keys of the level that is being translated, outside of aggregates. */
export interface Grouping {
  readonly keys: ReadonlyMap<string, PlainExpr>
  readonly keyTags: ReadonlySet<string>
  /** Columns that depend on the keys: added to GROUP BY. null: grouping sets forbid it. */
  readonly dependent: Map<string, PlainExpr> | null
}

export interface Scope {
  readonly parent: Scope | null
  readonly query: TreeNode
  readonly sources: Source[]
  readonly commonTables: Map<string, CommonTable>
  readonly grouping: Grouping | null
  /** Value of CaseTestExpr: the operand of CASE x WHEN …. */
  readonly caseTest: Expr | null
  /** Columns of the sublink whose test expression is being translated. */
  readonly sublink: readonly Expr[] | null
  /** Set operations: every Var of this level means a result column. */
  readonly setColumns: readonly Expr[] | null
}

export function childScope(parent: Scope | null, query: TreeNode): Scope {
  return {
    parent, query, sources: [], commonTables: new Map(), grouping: null, caseTest: null,
    sublink: null, setColumns: null,
  }
}

export function ancestor(scope: Scope, levels: number): Scope {
  let found: Scope | null = scope
  for (let level = 0; level < levels && found !== null; level++) found = found.parent
  return found ?? refuse('a reference to an outer query cannot be resolved')
}

/** What all levels of one statement share. */
export class Translation {
  readonly parameters: readonly RouterParameter[]
  readonly context: RouterContext
  readonly relations: RelationUse[] = []
  readonly #table: (relid: Oid) => TableSchema | null
  #aliases = 0

  constructor(options: {
    readonly parameters: readonly RouterParameter[]
    readonly context: RouterContext
    readonly table: (relid: Oid) => TableSchema | null
  }) {
    this.parameters = options.parameters
    this.context = options.context
    this.#table = options.table
  }

  alias(): string {
    return `t${++this.#aliases}`
  }

  relation(relid: Oid): RelationUse {
    const schema = this.#table(relid)
    if (schema === null) refuse('a table of the statement is not mirrored')
    if (this.relations.length >= RELATIONS_MAX) refuse('the statement reads too many tables')
    const use: RelationUse =
      { index: this.relations.length, relid, schema, columns: new Set(), prune: [] }
    this.relations.push(use)
    return use
  }

  mark(use: RelationUse): string {
    return relationMark(use.index)
  }
}
