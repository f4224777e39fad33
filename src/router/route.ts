/**
 * Route: from PostgreSQL's analysed tree to a plan for the columnar engine, or a reason why not.
 *
 * R1  Pure: the same tree, schemas, parameters and context give the same result.
 * R2  Whatever is not proven equal, is malformed, or fails here stays in PostgreSQL.
 */
import type { Oid } from '../base/oid.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import { ExpressionTranslator } from './expression.ts'
import { TreeNode, TreeSyntaxError, isTreeList, parseNodeTree } from './node-tree.ts'
import { outputOf } from './output.ts'
import type {
  ColumnarPlan, RelationRef, RouterContext, RouterParameter, RouterResult,
} from './plan.ts'
import { QueryTranslator } from './query.ts'
import { Refusal, refuse } from './refusal.ts'
import { Translation } from './scope.ts'

/** A result column as RowDescription announces it. */
export interface DescribedColumn {
  readonly name: string
  readonly typeOid: Oid
  readonly typmod: number
}

export interface RouteRequest {
  /** Detail of the LOG notice "rewritten parse tree:". */
  readonly tree: string
  readonly columns: readonly DescribedColumn[]
  /** null: not mirrored, or not ready. */
  readonly table: (relid: Oid) => TableSchema | null
  readonly parameters: readonly RouterParameter[]
  readonly context: RouterContext
}

export function routeStatement(request: RouteRequest): RouterResult {
  try {
    return { kind: 'columnar', plan: planOf(request) }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'postgres', reason: error.reason }
    if (error instanceof TreeSyntaxError) {
      return { kind: 'postgres', reason: 'the analysed statement has an unknown form' }
    }
    throw error
  }
}

function planOf(request: RouteRequest): ColumnarPlan {
  const translation = new Translation(request)
  const expressions = new ExpressionTranslator(translation)
  const select = new QueryTranslator(expressions).select(onlyQuery(request.tree), null)
  const { sql, output, tieCheck } = outputOf(select, request.columns)
  const references: RelationRef[] = translation.relations.map((use) => ({
    relid: use.relid, prune: use.prune,
    columns: [...use.columns].sort((a, b) => a - b),
  }))
  if (references.length === 0) refuse('the statement reads no table')
  return {
    parts: partsOf(sql, references), output, tieCheck,
    relations: [...new Set(references.map((reference) => reference.relid))],
  }
}

function onlyQuery(tree: string): TreeNode {
  const parsed = parseNodeTree(tree)
  const [query, ...more] = isTreeList(parsed) ? parsed : [parsed]
  if (!(query instanceof TreeNode) || more.length > 0) refuse('the statement is not one query')
  return query
}

/** Text and marks alternate (relationMark). */
function partsOf(
  sql: string, references: readonly RelationRef[],
): readonly (string | RelationRef)[] {
  return sql.split('\0').map((part, index) => index % 2 === 0 ? part
    : references[Number(part)] ?? refuse('a relation is lost'))
}
