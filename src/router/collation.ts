/**
 * Collation: which text comparisons and case mappings DuckDB does as PostgreSQL does.
 *
 * C1  Order is by bytes of UTF-8: only collations that order so may order.
 * C2  Equality is by bytes: only deterministic collations of known OIDs are taken.
 */
import type { TreeNode } from './node-tree.ts'
import type { RouterContext } from './plan.ts'
import { refuse } from './refusal.ts'

const DEFAULT_COLLATION = 100
/** C, POSIX, ucs_basic, pg_c_utf8: fixed in pg_collation.dat. */
const BINARY_COLLATIONS: ReadonlySet<number> = new Set([950, 951, 962, 811])

const COLLATION_FIELD: ReadonlyMap<string, string> = new Map([
  ['VAR', 'varcollid'], ['CONST', 'constcollid'], ['PARAM', 'paramcollid'],
  ['FUNCEXPR', 'funccollid'], ['OPEXPR', 'opcollid'], ['AGGREF', 'aggcollid'],
  ['WINDOWFUNC', 'wincollid'], ['CASEEXPR', 'casecollid'],
  ['COALESCEEXPR', 'coalescecollid'], ['MINMAXEXPR', 'minmaxcollid'],
  ['NULLIFEXPR', 'opcollid'], ['RELABELTYPE', 'resultcollid'],
  ['COERCEVIAIO', 'resultcollid'], ['COLLATEEXPR', 'collOid'],
])

/** Collation of an expression's result; 0 when it has none or is not known. */
export function collationOf(node: TreeNode): number {
  const field = COLLATION_FIELD.get(node.tag)
  return field === undefined ? 0 : node.int(field)
}

export function refuseUnlessOrdered(collation: number, context: RouterContext): void {
  if (BINARY_COLLATIONS.has(collation)) return
  if (collation === DEFAULT_COLLATION && context.collation.binaryOrder) return
  refuse('text is ordered by a collation that is not byte order')
}

export function refuseUnlessDeterministic(collation: number): void {
  if (collation === DEFAULT_COLLATION || BINARY_COLLATIONS.has(collation)) return
  refuse('text is compared by a collation that is not known to be deterministic')
}

export function refuseUnlessUnicodeCase(collation: number, context: RouterContext): void {
  if (collation === DEFAULT_COLLATION && context.collation.unicodeCase) return
  refuse('letter case is mapped by a collation other than C.UTF-8')
}
