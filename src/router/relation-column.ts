/**
 * RelationColumn: a Var of a mirrored table, with what the mirror's type promises.
 *
 * R1  The tree and the mirror's schema must agree on the column's type, or the statement
 *     stays in PostgreSQL: the schema may lag behind a change.
 */
import { columnAlias } from '../mirror/table-schema.ts'
import type { MirrorScalar, MirrorType } from '../mirror/mirror-type.ts'
import { type PlainExpr, type Repr, plain } from './expr.ts'
import type { TreeNode } from './node-tree.ts'
import { PgType } from './pg-type.ts'
import { refuse } from './refusal.ts'
import type { Source } from './scope.ts'

const FIRST_USER_OID = 16_384

export function relationColumn(
  source: Extract<Source, { kind: 'relation' }>, attnum: number, node: TreeNode,
): PlainExpr {
  const column = source.use.schema.columns.find((candidate) => candidate.attnum === attnum)
  if (column === undefined) refuse('a column is not mirrored')
  const typeOid = node.int('vartype')
  // A domain or an enum has an OID of its own; the schema knows the base type.
  const same = typeOid === column.typeOid || typeOid >= FIRST_USER_OID
  const typmodMatters = typeOid === PgType.numeric || typeOid === PgType.bpchar
  if (!same || (typmodMatters && node.int('vartypmod') !== column.typmod)) {
    refuse('a column has changed its type since it was mirrored')
  }
  source.use.columns.add(attnum)
  const repr = mirrorRepr(column.mirror)
  return {
    ...plain(`${source.alias}.${columnAlias(attnum)}`, repr),
    column: { relation: source.use.index, attnum },
  }
}

function mirrorRepr(type: MirrorType): Repr {
  return type.kind === 'array'
    ? { kind: 'array', element: scalarRepr(type.element) } : scalarRepr(type)
}

function scalarRepr(type: MirrorScalar): Repr {
  switch (type.kind) {
    case 'decimal':
      return { kind: 'decimal', precision: type.precision, scale: type.scale,
        display: type.unconstrained ? 'lost' : 'type' }
    case 'date': case 'timestamp': case 'timestamptz': return { kind: type.kind, finite: true }
    case 'bpchar': return { kind: 'bpchar', length: type.length }
    default: return { kind: type.kind }
  }
}
