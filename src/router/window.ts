/**
 * Window: a WindowClause as the text between the brackets of OVER ( ).
 *
 * Source: frameOptions in parsenodes.h.
 */
import { isDecimal } from './decimal.ts'
import type { PlainExpr } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import type { TreeNode } from './node-tree.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'
import { groupKeySql, orderTerm, sortKeySql, targetByReference } from './sort-key.ts'

export interface WindowText {
  readonly sql: string
  /** Partition and order keys as SQL. */
  readonly keys: readonly string[]
  /** No two rows can share all keys. */
  readonly total: boolean
  /** A ROWS frame cuts between peers: aggregates over it depend on their order. */
  readonly peersMatter: boolean
}

const FRAME = {
  nonDefault: 0x1, range: 0x2, rows: 0x4, groups: 0x8,
  startUnboundedPreceding: 0x20, endUnboundedFollowing: 0x100,
  startCurrentRow: 0x200, endCurrentRow: 0x400,
  startOffsetPreceding: 0x800, endOffsetPreceding: 0x1000,
  startOffsetFollowing: 0x2000, endOffsetFollowing: 0x4000, exclusion: 0x38000,
} as const

export function windowText(
  clause: TreeNode, scope: Scope, expressions: ExpressionTranslator,
): WindowText {
  const targets = scope.query.nodes('targetList')
  const keyOf = (term: TreeNode): { key: PlainExpr; node: TreeNode } => {
    const node = targetByReference(targets, term.int('tleSortGroupRef')).node('expr')
    return { key: expressions.plain(node, scope), node }
  }
  const partition = clause.nodes('partitionClause').map((term) => {
    const { key, node } = keyOf(term)
    return groupKeySql(key, node)
  })
  const order = clause.nodes('orderClause').map((term) => {
    const { key, node } = keyOf(term)
    return { sql: sortKeySql(key), key,
      term: orderTerm(term, key, node, expressions.translation.context) }
  })
  const frame = frameText(clause, expressions, scope)
  const parts = [
    ...(partition.length === 0 ? [] : [`PARTITION BY ${partition.join(', ')}`]),
    ...(order.length === 0 ? [] : [`ORDER BY ${order.map((item) => item.term).join(', ')}`]),
    ...(frame.sql === '' ? [] : [frame.sql]),
  ]
  const keys = [...partition, ...order.map((item) => item.sql)]
  const total = isTotal(scope, [...partition, ...order.map((item) => item.key.sql)])
  return { sql: parts.join(' '), keys, total, peersMatter: frame.rows && !total }
}

/** Over one table whose primary key is among the keys, or over groups by all their keys. */
export function isTotal(scope: Scope, keys: readonly string[]): boolean {
  if (scope.grouping !== null) {
    const grouped = [...scope.grouping.keys.values()]
    return grouped.length > 0 && grouped.every((key) => keys.includes(key.sql))
  }
  const used = scope.sources.filter((source) => source.kind !== 'unused')
  const [only] = used
  if (used.length !== 1 || only?.kind !== 'relation') return false
  const { primaryKey } = only.use.schema
  return primaryKey.length > 0 &&
    primaryKey.every((attnum) => keys.includes(`${only.alias}.c${attnum}`))
}

function frameText(
  clause: TreeNode, expressions: ExpressionTranslator, scope: Scope,
): { readonly sql: string; readonly rows: boolean } {
  const options = clause.int('frameOptions')
  const has = (bit: number): boolean => (options & bit) !== 0
  if (!has(FRAME.nonDefault)) return { sql: '', rows: false }
  if (has(FRAME.exclusion)) refuse('EXCLUDE in a window frame')
  const offset = (field: string): string => {
    const value = expressions.plain(clause.node(field), scope)
    if (value.constant?.kind !== 'int' || value.constant.value < 0n || isDecimal(value)) {
      refuse('a frame offset that is no constant integer')
    }
    return String(value.constant.value)
  }
  if (has(FRAME.range) && (has(0x7800))) refuse('a RANGE frame with offsets')
  const start = has(FRAME.startUnboundedPreceding) ? 'UNBOUNDED PRECEDING'
    : has(FRAME.startCurrentRow) ? 'CURRENT ROW'
      : has(FRAME.startOffsetPreceding) ? `${offset('startOffset')} PRECEDING`
        : has(FRAME.startOffsetFollowing) ? `${offset('startOffset')} FOLLOWING`
          : refuse('an unknown window frame')
  const end = has(FRAME.endUnboundedFollowing) ? 'UNBOUNDED FOLLOWING'
    : has(FRAME.endCurrentRow) ? 'CURRENT ROW'
      : has(FRAME.endOffsetPreceding) ? `${offset('endOffset')} PRECEDING`
        : has(FRAME.endOffsetFollowing) ? `${offset('endOffset')} FOLLOWING`
          : refuse('an unknown window frame')
  const mode = has(FRAME.rows) ? 'ROWS' : has(FRAME.groups) ? 'GROUPS' : 'RANGE'
  const whole = has(FRAME.startUnboundedPreceding) && has(FRAME.endUnboundedFollowing)
  return { sql: `${mode} BETWEEN ${start} AND ${end}`, rows: mode === 'ROWS' && !whole }
}
