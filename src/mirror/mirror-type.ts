/**
 * MirrorType: how one PostgreSQL column lives in the lake.
 *
 * M1  Every PostgreSQL type has a mirror; what has no columnar home is `opaque`:
 *     PostgreSQL's own text, which the router never computes with.
 * M2  A mirror type names one Delta type and one DuckDB type, and both hold each
 *     accepted value exactly.
 */
import type { Oid } from '../base/oid.ts'
import { unreachable } from '../base/assert.ts'

export type MirrorScalar =
  | { readonly kind: 'int2' | 'int4' | 'int8' | 'float4' | 'float8' | 'bool' }
  /** `unconstrained`: numeric without typmod, kept as decimal(38,18) without its display scale. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number
      readonly unconstrained: boolean }
  | { readonly kind: 'date' | 'timestamp' | 'timestamptz' | 'bytea' | 'uuid' }
  /** text, varchar, name: compared and ordered by code point. */
  | { readonly kind: 'text' }
  /** char(n): kept without its trailing blanks; `length` in characters. */
  | { readonly kind: 'bpchar'; readonly length: number }
  /** Any other type, as PostgreSQL's text. */
  | { readonly kind: 'opaque' }

export type MirrorType = MirrorScalar | { readonly kind: 'array'; readonly element: MirrorScalar }

/** What pg_type says of a column's type, domains already resolved to their base. */
export interface PgColumnType {
  readonly typeOid: Oid
  /** -1 when the column has none. */
  readonly typmod: number
  /** pg_type.typelem when typcategory is 'A' and the type is a true array, else 0. */
  readonly elementOid: number
}

const SCALARS: ReadonlyMap<number, MirrorScalar> = new Map<number, MirrorScalar>([
  [16, { kind: 'bool' }], [17, { kind: 'bytea' }], [19, { kind: 'text' }],
  [20, { kind: 'int8' }], [21, { kind: 'int2' }], [23, { kind: 'int4' }],
  [25, { kind: 'text' }], [1043, { kind: 'text' }],
  [700, { kind: 'float4' }], [701, { kind: 'float8' }],
  [1082, { kind: 'date' }], [1114, { kind: 'timestamp' }], [1184, { kind: 'timestamptz' }],
  [2950, { kind: 'uuid' }],
])

function scalarOf(typeOid: number, typmod: number): MirrorScalar {
  if (typeOid === 1700) return numericMirror(typmod)
  if (typeOid === 1042) {
    return typmod >= 4 ? { kind: 'bpchar', length: typmod - 4 } : { kind: 'opaque' }
  }
  return SCALARS.get(typeOid) ?? { kind: 'opaque' }
}

/** numeric's typmod: ((precision << 16) | (scale & 0x7ff)) + 4 (utils/adt/numeric.c). */
function numericMirror(typmod: number): MirrorScalar {
  if (typmod < 4) return { kind: 'decimal', precision: 38, scale: 18, unconstrained: true }
  const precision = ((typmod - 4) >> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  if (precision > 38 || scale < 0 || scale > precision) return { kind: 'opaque' }
  return { kind: 'decimal', precision, scale, unconstrained: false }
}

export function mirrorTypeOf(column: PgColumnType): MirrorType {
  if (column.elementOid !== 0) {
    // float elements would bring NaN into list statistics, opaque ones have no element type.
    const element = scalarOf(column.elementOid, column.typmod)
    return element.kind === 'opaque' ? { kind: 'opaque' } : { kind: 'array', element }
  }
  return scalarOf(column.typeOid, column.typmod)
}

/** Delta's schema type, as it stands in `schemaString`. */
export type DeltaType =
  | string
  | { readonly type: 'array'; readonly elementType: DeltaType; readonly containsNull: boolean }

export function deltaTypeOf(type: MirrorType): DeltaType {
  switch (type.kind) {
    case 'int2': return 'short'
    case 'int4': return 'integer'
    case 'int8': return 'long'
    case 'float4': return 'float'
    case 'float8': return 'double'
    case 'bool': return 'boolean'
    case 'decimal': return `decimal(${type.precision},${type.scale})`
    case 'date': return 'date'
    case 'timestamp': return 'timestamp_ntz'
    case 'timestamptz': return 'timestamp'
    case 'bytea': return 'binary'
    case 'text': case 'bpchar': case 'uuid': case 'opaque': return 'string'
    case 'array':
      return { type: 'array', elementType: deltaTypeOf(type.element), containsNull: true }
    default: return unreachable(type)
  }
}

/** The type in live tables and in Parquet as DuckDB writes it. */
export function duckdbTypeOf(type: MirrorType): string {
  switch (type.kind) {
    case 'int2': return 'SMALLINT'
    case 'int4': return 'INTEGER'
    case 'int8': return 'BIGINT'
    case 'float4': return 'FLOAT'
    case 'float8': return 'DOUBLE'
    case 'bool': return 'BOOLEAN'
    case 'decimal': return `DECIMAL(${type.precision},${type.scale})`
    case 'date': return 'DATE'
    case 'timestamp': return 'TIMESTAMP'
    case 'timestamptz': return 'TIMESTAMPTZ'
    case 'bytea': return 'BLOB'
    case 'text': case 'bpchar': case 'uuid': case 'opaque': return 'VARCHAR'
    case 'array': return `${duckdbTypeOf(type.element)}[]`
    default: return unreachable(type)
  }
}
