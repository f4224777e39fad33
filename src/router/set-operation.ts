/**
 * SetOperation: UNION, INTERSECT and EXCEPT.
 *
 * U1  Every column has one DuckDB type in all branches, cast explicitly.
 * U2  Where rows are compared, the display scale of a numeric whose branches differ in scale
 *     is lost; where they are only appended it comes along.
 */
import { refuseUnlessDeterministic } from './collation.ts'
import {
  asDecimal, castDecimal, commonType, decimal, displaySql, isDecimal, isNull, nullOf, settle,
} from './decimal.ts'
import { type DecimalExpr, type Expr, type PlainExpr, plain } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import type { TreeNode } from './node-tree.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'
import { bringColumn, exportColumns } from './select.ts'
import type { Subselect, SubselectSource } from './sublink.ts'

const OPERATIONS: readonly string[] = ['', 'UNION', 'INTERSECT', 'EXCEPT']

export interface SetResult {
  readonly from: string
  readonly columns: readonly Expr[]
  /** The outermost operation leaves no two rows alike. */
  readonly distinct: boolean
}

interface Leaf {
  readonly sub: Subselect
  readonly alias: string
  readonly values: readonly PlainExpr[]
}

export function setOperation(
  query: TreeNode, scope: Scope, expressions: ExpressionTranslator, queries: SubselectSource,
): SetResult {
  const root = query.node('setOperations')
  const leaves = new Map<number, Leaf>()
  const operations: TreeNode[] = []
  collect(root, operations, (rtindex) => {
    const entry = query.nodes('rtable')[rtindex - 1] ?? refuse('a branch is lost')
    const sub = queries.subselect(entry.node('subquery'), scope,
      { settled: true, existence: false })
    const alias = expressions.translation.alias()
    leaves.set(rtindex, { sub, alias, values: sub.bring(alias).map(settle) })
  })
  const compared = operations.some((node) => !node.bool('all') || node.int('op') !== 1)
  if (compared) {
    operations.flatMap((node) => node.integers('colCollations'))
      .filter((collation) => collation !== 0).forEach(refuseUnlessDeterministic)
  }
  const first = [...leaves.values()][0] ?? refuse('a set operation without branches')
  const forms = first.values.map((_, index) => columnForm(
    [...leaves.values()].map((leaf) => leaf.values[index] ?? refuse('unequal branches')), compared))
  const alias = expressions.translation.alias()
  const text = write(root, (rtindex) => leafText(leaves.get(rtindex), forms))
  return {
    from: `(${text}) AS ${alias}`,
    columns: forms.map((form, index) => bringColumn(form, index + 1, alias)),
    distinct: !root.bool('all'),
  }
}

function collect(node: TreeNode, operations: TreeNode[], leaf: (rtindex: number) => void): void {
  if (node.tag === 'RANGETBLREF') { leaf(node.int('rtindex')); return }
  if (node.tag !== 'SETOPERATIONSTMT') refuse('a set operation of this form')
  operations.push(node)
  collect(node.node('larg'), operations, leaf)
  collect(node.node('rarg'), operations, leaf)
}

function write(node: TreeNode, leaf: (rtindex: number) => string): string {
  if (node.tag === 'RANGETBLREF') return leaf(node.int('rtindex'))
  const operation = OPERATIONS[node.int('op')]
  if (operation === undefined || operation === '') refuse('a set operation of this kind')
  const all = node.bool('all') ? ' ALL' : ''
  return `(${write(node.node('larg'), leaf)}) ${operation}${all} ` +
    `(${write(node.node('rarg'), leaf)})`
}

/** The form of a result column; its `sql` is of no use. */
function columnForm(values: readonly PlainExpr[], compared: boolean): PlainExpr {
  const valued = values.filter((value) => !isNull(value))
  const [first] = valued
  if (first === undefined) return values[0] ?? refuse('a column of nothing')
  if (valued.every(isDecimal)) return decimalForm(valued.map(asDecimal), compared)
  const kind = first.repr.kind
  if (valued.some((value) => value.repr.kind !== kind)) refuse('branches of different types')
  if (compared && (kind === 'opaque' || kind === 'array' || kind === 'interval' ||
    kind === 'float4' || kind === 'float8')) {
    refuse('rows with a column of this type are compared')
  }
  if ('finite' in first.repr) return plain('v', { kind: first.repr.kind, finite: false })
  const sameLength = valued.every((value) => value.repr.kind === 'bpchar' &&
    first.repr.kind === 'bpchar' && value.repr.length === first.repr.length)
  if (kind === 'bpchar' && !sameLength) return plain('v', { kind: 'bpchar', length: null })
  return plain('v', first.repr)
}

function decimalForm(values: readonly DecimalExpr[], compared: boolean): DecimalExpr {
  const type = commonType(values.map((value) => value.repr))
  const uniform = values.every((value) =>
    value.repr.display === 'type' && value.repr.scale === type.scale)
  if (uniform) return decimal('v', type)
  const lost = compared || values.some((value) => value.repr.display === 'lost')
  return decimal('v', type, lost ? 'lost' : { sql: 'v' })
}

function leafText(leaf: Leaf | undefined, forms: readonly PlainExpr[]): string {
  if (leaf === undefined) refuse('a branch is lost')
  const columns = forms.flatMap((form, index) => {
    const value = leaf.values[index] ?? refuse('unequal branches')
    const names = exportColumns(form, index + 1)
    const [sql, scaleSql] = isNull(value) ? [nullOf(form.repr).sql, '0'] : cell(value, form)
    return names.map((column, part) => `${part === 0 ? sql : scaleSql} AS ${column.name}`)
  })
  return `SELECT ${columns.join(', ')} FROM (${leaf.sub.sql}) AS ${leaf.alias}`
}

function cell(value: PlainExpr, form: PlainExpr): readonly [string, string] {
  if (!isDecimal(value) || !isDecimal(form)) return [value.sql, '0']
  const scale = value.repr.display === 'lost' ? '0' : displaySql(value)
  return [castDecimal(value, form.repr), scale]
}
