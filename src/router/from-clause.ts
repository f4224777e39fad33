/**
 * FromClause: the range table and the join tree as DuckDB's FROM.
 *
 * F1  Row-level security is part of the relation: its conditions filter the table before
 *     any join.
 * F2  Only ordinary tables, subqueries, VALUES and common tables are read.
 */
import { oid } from '../base/oid.ts'
import { choose } from './branches.ts'
import { isDecimal, settle } from './decimal.ts'
import { type PlainExpr, plain } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import { TreeNode, isTreeList } from './node-tree.ts'
import { refuse } from './refusal.ts'
import { type CommonTable, type Scope, type Source, ancestor } from './scope.ts'
import { bringColumn, exportColumns } from './select.ts'
import type { SubselectSource } from './sublink.ts'

const RteKind = {
  relation: 0, subquery: 1, join: 2, function: 3, values: 5, commonTable: 6, group: 9,
} as const
const JOINS: readonly string[] = ['JOIN', 'LEFT JOIN', 'FULL JOIN', 'RIGHT JOIN']
const VALUES_ROWS_MAX = 5_000

export class FromTranslator {
  readonly #expressions: ExpressionTranslator
  readonly #queries: SubselectSource

  constructor(expressions: ExpressionTranslator, queries: SubselectSource) {
    this.#expressions = expressions
    this.#queries = queries
  }

  /** Fills `scope.sources` and gives the text of FROM, empty when there is none. */
  build(query: TreeNode, scope: Scope): string {
    const tree = query.node('jointree')
    const used = new Set<number>()
    collectRelations(tree, used)
    const texts = new Map<number, string>()
    query.nodes('rtable').forEach((entry, index) => {
      const rtindex = index + 1
      const source = this.#source(entry, scope, used.has(rtindex))
      scope.sources.push(source.source)
      if (source.text !== null) texts.set(rtindex, source.text)
      if (entry.nodes('securityQuals').length > 0) {
        texts.set(rtindex, this.#secured(entry, rtindex, scope, source.text))
      }
    })
    return tree.nodes('fromlist').map((item) => this.#item(item, texts, scope)).join(', ')
  }

  #source(entry: TreeNode, scope: Scope, used: boolean): {
    readonly source: Source; readonly text: string | null
  } {
    const kind = entry.int('rtekind')
    if (kind === RteKind.join) return alias(entry.nodes('joinaliasvars'))
    if (kind === RteKind.group) return alias(entry.nodes('groupexprs'))
    if (!used) {
      return { source: { kind: 'unused', reason: 'a relation is not in FROM' }, text: null }
    }
    switch (kind) {
      case RteKind.relation: return this.#relation(entry)
      case RteKind.subquery: return this.#subquery(entry, scope)
      case RteKind.values: return this.#values(entry, scope)
      case RteKind.commonTable: return this.#commonTable(entry, scope)
      case RteKind.function: return refuse('a function in FROM')
      default: return refuse('a relation of this kind in FROM')
    }
  }

  #relation(entry: TreeNode): { readonly source: Source; readonly text: string } {
    if (entry.text('relkind') !== 'r') refuse('a relation that is no ordinary table')
    if (entry.get('tablesample') !== null) refuse('TABLESAMPLE')
    const { translation } = this.#expressions
    const use = translation.relation(oid(entry.int('relid')))
    const name = translation.alias()
    return { source: { kind: 'relation', alias: name, use },
      text: `${translation.mark(use)} AS ${name}` }
  }

  /** F1. The conditions see the table under an alias of their own. */
  #secured(entry: TreeNode, rtindex: number, scope: Scope, text: string | null): string {
    const source = scope.sources[rtindex - 1]
    if (source?.kind !== 'relation' || text === null) refuse('row-level security of this form')
    const { translation } = this.#expressions
    const inner = translation.alias()
    scope.sources[rtindex - 1] = { ...source, alias: inner }
    const conditions = entry.nodes('securityQuals')
      .map((condition) => this.#expressions.condition(condition, scope))
    scope.sources[rtindex - 1] = source
    return `(SELECT * FROM ${translation.mark(source.use)} AS ${inner} ` +
      `WHERE ${conditions.join(' AND ')}) AS ${source.alias}`
  }

  #subquery(entry: TreeNode, scope: Scope): { readonly source: Source; readonly text: string } {
    const sub = this.#queries.subselect(entry.node('subquery'), scope,
      { settled: false, existence: false, inlined: true })
    const name = this.#expressions.translation.alias()
    const lateral = entry.bool('lateral') ? 'LATERAL ' : ''
    return { source: { kind: 'columns', columns: sub.bring(name) },
      text: `${lateral}(${sub.sql}) AS ${name}` }
  }

  #commonTable(entry: TreeNode, scope: Scope): { readonly source: Source; readonly text: string } {
    const table = findCommonTable(entry, scope)
    const name = this.#expressions.translation.alias()
    return { source: { kind: 'columns', columns: table.bring(name) },
      text: `${table.alias} AS ${name}` }
  }

  #values(entry: TreeNode, scope: Scope): { readonly source: Source; readonly text: string } {
    const lists = entry.get('values_lists')
    if (!isTreeList(lists) || lists.length > VALUES_ROWS_MAX) refuse('VALUES of this size')
    const rows = lists.map((list) => {
      if (!isTreeList(list)) refuse('VALUES of this form')
      return list.map((item) => item instanceof TreeNode
        ? this.#expressions.plain(item, scope) : refuse('VALUES of this form'))
    })
    const name = this.#expressions.translation.alias()
    const columns = (rows[0] ?? []).map((_, index) => unifyColumn(rows, index))
    const exported = columns.map((column, index) => exportColumns(column.repr, index + 1))
    const text = rows.map((_, row) =>
      `(${columns.flatMap((column) => column.rows[row] ?? []).join(', ')})`).join(', ')
    const names = exported.flat().map((column) => column.name).join(', ')
    return {
      source: { kind: 'columns',
        columns: columns.map((column, index) => bringColumn(column.repr, index + 1, name)) },
      text: `(VALUES ${text}) AS ${name}(${names})`,
    }
  }

  #item(node: TreeNode, texts: ReadonlyMap<number, string>, scope: Scope): string {
    if (node.tag === 'RANGETBLREF') {
      return texts.get(node.int('rtindex')) ?? refuse('a relation without its text')
    }
    if (node.tag !== 'JOINEXPR') refuse('an unknown item in FROM')
    const join = JOINS[node.int('jointype')] ?? refuse('a join of this kind')
    const left = this.#item(node.node('larg'), texts, scope)
    const right = this.#item(node.node('rarg'), texts, scope)
    const quals = node.nodeOrNull('quals')
    const on = quals === null ? 'true' : this.#expressions.condition(quals, scope)
    return `(${left} ${join} ${right} ON ${on})`
  }
}

/** A column of VALUES: its form, and for each row the texts of its one or two columns. */
function unifyColumn(rows: readonly (readonly PlainExpr[])[], index: number): {
  readonly repr: PlainExpr; readonly rows: readonly (readonly string[])[]
} {
  const cells = rows.map((row) => row[index] ?? refuse('VALUES with rows of unequal length'))
  const written: string[][] = cells.map(() => [])
  // `choose` brings all cells to one type; its text is not used, only what it hands over.
  const repr = choose(cells, (texts) => {
    texts.forEach((text, row) => { written[row]?.push(text) })
    return 'v'
  })
  const settled = settle(repr)
  if (cells.length === 1) return { repr: settled, rows: written.map((row) => row.slice(0, 1)) }
  return { repr: isDecimal(settled) ? settled : plain('v', settled.repr), rows: written }
}

function alias(expressions: readonly TreeNode[]): {
  readonly source: Source; readonly text: null
} {
  return { source: { kind: 'alias', expressions }, text: null }
}

function collectRelations(node: TreeNode, found: Set<number>): void {
  if (node.tag === 'RANGETBLREF') found.add(node.int('rtindex'))
  if (node.tag === 'FROMEXPR') {
    for (const item of node.nodes('fromlist')) collectRelations(item, found)
  }
  if (node.tag === 'JOINEXPR') {
    collectRelations(node.node('larg'), found)
    collectRelations(node.node('rarg'), found)
  }
}

function findCommonTable(entry: TreeNode, scope: Scope): CommonTable {
  if (entry.bool('self_reference')) refuse('a recursive common table')
  const level = ancestor(scope, entry.int('ctelevelsup'))
  return level.commonTables.get(commonTableName(entry.text('ctename'))) ??
    refuse('a common table that cannot be resolved')
}

/** A line break may stand for an escaped blank inside a name. */
export function commonTableName(token: string): string {
  return token.replace(/\\[ \n]/g, '\\ ')
}

