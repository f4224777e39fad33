/**
 * NodeKey: a text by which equal expressions are known, as PostgreSQL's equal() does: every
 * field counts but places in the statement's text.
 */
import { TreeNode, type TreeValue } from './node-tree.ts'

/** Where it stood, how it was written, and what the planner fills in. */
const IGNORED: ReadonlySet<string> = new Set([
  'location', 'varnosyn', 'varattnosyn', 'funcformat', 'relabelformat', 'coerceformat',
  'rexpr_list_start', 'rexpr_list_end', 'varnullingrels', 'opfuncid',
])

export function nodeKey(value: TreeValue): string {
  if (value === null) return '~'
  if (typeof value === 'string') return value
  if (Buffer.isBuffer(value)) return value.toString('hex')
  if (!(value instanceof TreeNode)) return `(${value.map(nodeKey).join(' ')})`
  let text = `{${value.tag}`
  for (const [field, item] of value.fields) {
    if (!IGNORED.has(field)) text += ` ${field}=${nodeKey(item)}`
  }
  return `${text}}`
}
