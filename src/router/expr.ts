/**
 * Expr: a translated expression, with what is known of its DuckDB value.
 *
 * X1  `sql` is complete: it can stand as an operand anywhere without further brackets.
 * X2  `repr` states the DuckDB type exactly, and for numeric where PostgreSQL's display
 *     scale comes from: of the type, of an SQL expression, or from nowhere (`lost`).
 * X3  NUL never occurs in `sql` but around a relation's number (relationMark).
 */
import type { ConstantValue } from './constant.ts'
import { refuse } from './refusal.ts'

/** PostgreSQL's display scale of a DECIMAL: its type's, that of `sql`, or unknown. */
export type Display = 'type' | 'lost' | { readonly sql: string }

export interface DecimalRepr {
  readonly kind: 'decimal'
  readonly precision: number
  readonly scale: number
  readonly display: Display
}

export type TimeKind = 'date' | 'timestamp' | 'timestamptz'

export type Repr =
  | { readonly kind: 'int2' | 'int4' | 'int8' | 'float4' | 'float8' | 'bool' }
  | { readonly kind: 'text' | 'uuid' | 'bytea' | 'interval' | 'opaque' }
  /** `finite`: certainly within the years 0001–9999, as every mirrored value is. */
  | { readonly kind: TimeKind; readonly finite: boolean }
  /** Right-trimmed; `length` null when PostgreSQL's typmod is not known. */
  | { readonly kind: 'bpchar'; readonly length: number | null }
  | DecimalRepr
  | { readonly kind: 'array'; readonly element: Repr }

export interface PlainExpr {
  readonly kind: 'plain'
  readonly sql: string
  readonly repr: Repr
  /** Known when the expression is a constant. */
  readonly constant: ConstantValue | null
  /** A bare column of a relation: its range table's number and attnum. */
  readonly column?: { readonly relation: number; readonly attnum: number }
}

export interface DecimalExpr extends PlainExpr {
  readonly repr: DecimalRepr
}

/** PostgreSQL's numeric division, not yet carried out. */
export interface QuotientExpr {
  readonly kind: 'quotient'
  readonly dividend: DecimalExpr
  readonly divisor: DecimalExpr
  /** The division already carried out by a subquery, to be read where it is computed with. */
  readonly value?: DecimalExpr
}

/** variance and standard deviation, to be finished outside DuckDB; integers or HUGEINT. */
export interface VarianceExpr {
  readonly kind: 'variance'
  readonly count: string
  readonly sum: string
  readonly sumOfSquares: string
  readonly scale: number
  readonly sample: boolean
  readonly root: boolean
}

export type Expr = PlainExpr | QuotientExpr | VarianceExpr

export function plain(sql: string, repr: Repr): PlainExpr {
  return { kind: 'plain', sql, repr, constant: null }
}

export function bool(sql: string): PlainExpr {
  return plain(sql, { kind: 'bool' })
}

/** DuckDB's type for `repr`. */
export function duckdbType(repr: Repr): string {
  switch (repr.kind) {
    case 'int2': return 'SMALLINT'
    case 'int4': return 'INTEGER'
    case 'int8': return 'BIGINT'
    case 'float4': return 'FLOAT'
    case 'float8': return 'DOUBLE'
    case 'bool': return 'BOOLEAN'
    case 'text': case 'uuid': case 'bpchar': case 'opaque': return 'VARCHAR'
    case 'bytea': return 'BLOB'
    case 'interval': return 'INTERVAL'
    case 'date': return 'DATE'
    case 'timestamp': return 'TIMESTAMP'
    case 'timestamptz': return 'TIMESTAMPTZ'
    case 'decimal': return `DECIMAL(${repr.precision},${repr.scale})`
    case 'array': return `${duckdbType(repr.element)}[]`
  }
}

export function cast(sql: string, type: string): string {
  return `CAST(${sql} AS ${type})`
}

/** Marks where a RelationRef stands; NUL cannot occur in PostgreSQL's text. */
export function relationMark(index: number): string {
  return `\0${index}\0`
}

export function isKind<K extends Repr['kind']>(
  expr: PlainExpr, kind: K,
): expr is PlainExpr & { readonly repr: Extract<Repr, { kind: K }> } {
  return expr.repr.kind === kind
}

export function refuseOpaque(expr: PlainExpr): PlainExpr {
  if (expr.repr.kind === 'opaque') {
    refuse('a column of a type with no columnar form is computed with')
  }
  return expr
}
