/**
 * Predicate: a condition on a table's columns, as a caller writes it and as the library uses it.
 *
 * PD1  Three-valued, as SQL: a comparison with NULL is neither true nor false, NOT keeps that.
 * PD2  Binding finds each column (the exact name, else the only one that equals it ignoring
 *      case) and gives each literal its column's type, exactly: what the type cannot hold (1.5
 *      for an integer, a number of more digits) becomes the comparison that means the same.
 * PD3  A literal that is no value of its column's type is an error of the caller, never false.
 *
 * Floats compare as doubles; NaN equals itself and is above all else (value.ts, V2).
 */
import { SlipwayError } from '../base/errors.ts'
import type { ExactNumber } from './exact-json.ts'
import { literalOperand, type Operand } from './literal-operand.ts'
import type { DataType, StructField, StructType } from './schema.ts'
import { nearestName } from './nearest-name.ts'
import type { Value } from './value.ts'

export type ComparisonOp = '=' | '<>' | '<' | '<=' | '>' | '>='

/** ExactNumber: a number of any digits, as text. Dates: JavaScript's, for dates and times. */
export type Literal =
  null | boolean | number | bigint | string | Date | Uint8Array | ExactNumber

/** A top-level column by name, or the path to a field of a struct. */
export type ColumnName = string | readonly string[]

export type Predicate =
  | { readonly kind: 'comparison'; readonly column: ColumnName; readonly op: ComparisonOp
      readonly value: Literal }
  | { readonly kind: 'in'; readonly column: ColumnName; readonly values: readonly Literal[] }
  /** Both ends included. */
  | { readonly kind: 'between'; readonly column: ColumnName; readonly low: Literal
      readonly high: Literal }
  | { readonly kind: 'is-null'; readonly column: ColumnName }
  /** `%`: any text, `_`: any character, `\`: the next character itself. */
  | { readonly kind: 'like'; readonly column: ColumnName; readonly pattern: string }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Predicate[] }
  | { readonly kind: 'not'; readonly operand: Predicate }

/** Root to leaf: the column and, for a field of a struct, what leads to it. */
export type FieldPath = readonly [StructField, ...StructField[]]

export type BoundPredicate =
  | { readonly kind: 'compare'; readonly path: FieldPath
      readonly op: '=' | '<' | '<=' | '>' | '>='; readonly value: Value }
  | { readonly kind: 'in'; readonly path: FieldPath; readonly values: readonly Value[] }
  | { readonly kind: 'like'; readonly path: FieldPath; readonly pattern: string }
  | { readonly kind: 'is-null'; readonly path: FieldPath }
  /** The same for every value; NULL for NULL. */
  | { readonly kind: 'decided'; readonly path: FieldPath; readonly answer: boolean }
  /** null: neither true nor false. */
  | { readonly kind: 'constant'; readonly answer: boolean | null }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly BoundPredicate[] }
  | { readonly kind: 'not'; readonly operand: BoundPredicate }

/** PD2. Throws `usage` (PD3, unknown columns, columns of a type that is not compared). */
export function bindPredicate(schema: StructType, predicate: Predicate): BoundPredicate {
  switch (predicate.kind) {
    case 'and': case 'or': return { kind: predicate.kind,
      operands: predicate.operands.map((operand) => bindPredicate(schema, operand)) }
    case 'not': return { kind: 'not', operand: bindPredicate(schema, predicate.operand) }
    case 'is-null': return { kind: 'is-null', path: findField(schema, predicate.column) }
    case 'like': return bindLike(findField(schema, predicate.column), predicate.pattern)
    case 'comparison':
      return compare(findField(schema, predicate.column), predicate.op, predicate.value)
    case 'between': {
      const path = findField(schema, predicate.column)
      return { kind: 'and', operands: [compare(path, '>=', predicate.low),
        compare(path, '<=', predicate.high)] }
    }
    case 'in': return bindIn(findField(schema, predicate.column), predicate.values)
  }
}

/** PD2. Throws `usage` with the nearest name. */
export function findField(schema: StructType, column: ColumnName): FieldPath {
  const names = typeof column === 'string' ? [column] : column
  const found: StructField[] = []
  let type: DataType = schema
  for (const name of names) {
    if (typeof type === 'string' || type.type !== 'struct') {
      throw new SlipwayError('usage', `${found.at(-1)?.name ?? ''} is no struct: it has no field `
        + name)
    }
    const field = fieldNamed(type, name)
    found.push(field)
    type = field.type
  }
  const [first, ...rest] = found
  if (first === undefined) throw new SlipwayError('usage', 'a predicate names no column')
  return [first, ...rest]
}

function fieldNamed({ fields }: StructType, name: string): StructField {
  const exact = fields.find((field) => field.name === name)
  if (exact !== undefined) return exact
  const folded = name.toLowerCase()
  const [only, other] = fields.filter((field) => field.name.toLowerCase() === folded)
  if (only !== undefined && other === undefined) return only
  const nearest = nearestName(name, fields.map((field) => field.name))
  throw new SlipwayError('usage', `there is no column ${name}`
    + (nearest === null ? '' : `; did you mean ${nearest}?`),
  { hint: `Columns are: ${fields.map((field) => field.name).join(', ')}` })
}

/** The fields that the predicate asks for, each once for each place. */
export function pathsOf(predicate: BoundPredicate): readonly FieldPath[] {
  switch (predicate.kind) {
    case 'and': case 'or': return predicate.operands.flatMap(pathsOf)
    case 'not': return pathsOf(predicate.operand)
    case 'constant': return []
    case 'compare': case 'in': case 'like': case 'is-null': case 'decided':
      return [predicate.path]
  }
}

function leafOf(path: FieldPath): StructField {
  return path.at(-1) ?? path[0]
}

function compare(path: FieldPath, op: ComparisonOp, literal: Literal): BoundPredicate {
  if (op === '<>') return { kind: 'not', operand: compare(path, '=', literal) }
  if (literal === null) {
    leafType(path)
    return { kind: 'constant', answer: null }
  }
  return settled(path, op, literalOperand(leafOf(path).name, leafType(path), literal))
}

/** The comparison with what stands nearest the literal in the column's type. */
function settled(path: FieldPath, op: Exclude<ComparisonOp, '<>'>, operand: Operand)
  : BoundPredicate {
  switch (operand.kind) {
    case 'exact': return { kind: 'compare', path, op, value: operand.value }
    case 'above-all': return { kind: 'decided', path, answer: op === '<' || op === '<=' }
    case 'below-all': return { kind: 'decided', path, answer: op === '>' || op === '>=' }
    case 'between':
      if (op === '=') return { kind: 'decided', path, answer: false }
      return op === '<' || op === '<='
        ? { kind: 'compare', path, op: '<=', value: operand.below }
        : { kind: 'compare', path, op: '>', value: operand.below }
  }
}

function bindIn(path: FieldPath, literals: readonly Literal[]): BoundPredicate {
  const type = leafType(path)
  const values: Value[] = []
  for (const literal of literals) {
    if (literal === null) continue
    const operand = literalOperand(leafOf(path).name, type, literal)
    if (operand.kind === 'exact') values.push(operand.value)
  }
  const found: BoundPredicate = { kind: 'in', path, values }
  // `x IN (1, NULL)` is true for 1, and unknown for everything else.
  return literals.includes(null)
    ? { kind: 'or', operands: [found, { kind: 'constant', answer: null }] } : found
}

function bindLike(path: FieldPath, pattern: string): BoundPredicate {
  if (leafOf(path).type !== 'string') {
    throw new SlipwayError('usage', `LIKE needs a string column; ${leafOf(path).name} is none`)
  }
  if (/^(?:[^\\]|\\.)*\\$/s.test(pattern)) {
    throw new SlipwayError('usage', 'a LIKE pattern ends with a single backslash')
  }
  return { kind: 'like', path, pattern }
}

function leafType(path: FieldPath): string {
  const { name, type } = leafOf(path)
  if (typeof type === 'string') return type
  throw new SlipwayError('usage',
    `column ${name} is ${type.type === 'array' ? 'an array' : `a ${type.type}`}: only IS NULL and `
    + 'IS NOT NULL ask about it')
}
