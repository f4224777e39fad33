/**
 * Type widening: a column takes a wider type, and the files of before stay as they are.
 *
 * W1  Only changes of PROTOCOL.md "Type Widening" are made: every old value is kept exactly.
 * W2  The change is recorded in the field's `delta.typeChanges`, oldest first, and the property
 *     is set, which brings the feature `typeWidening` into the protocol with the same commit.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Metadata } from './actions.ts'
import type { JsonObject, JsonValue } from './exact-json.ts'
import { checkSchema, decimalOf, editField, parseSchema, printSchema, type DataType,
  type FieldPath, type PrimitiveType, type StructField } from './schema.ts'

export const WIDENING_ENABLED = 'delta.enableTypeWidening'
const CHANGES = 'delta.typeChanges'

const WHOLE_DIGITS: Readonly<Record<string, number>> = { byte: 3, short: 5, integer: 10, long: 20 }
const WIDER: Readonly<Record<string, readonly string[]>> = {
  byte: ['short', 'integer', 'long', 'double'],
  short: ['integer', 'long', 'double'],
  integer: ['long', 'double'],
  float: ['double'],
  date: ['timestamp_ntz'],
}

/** Throws `not-found`, and `usage` for a change that is no widening. */
export function widenColumn(metadata: Metadata, column: FieldPath, type: PrimitiveType)
  : Metadata {
  const names = typeof column === 'string' ? [column] : column
  if (metadata.partitionColumns.includes(names.join('.'))) {
    throw new SlipwayError('usage', 'the type of a partition column cannot be changed')
  }
  const { holder, inside } = splitPath(names)
  const schema = editField(parseSchema(metadata.schemaString), holder,
    (field) => widened(field, inside, type))
  checkSchema(schema)
  return { ...metadata, schemaString: printSchema(schema),
    configuration: { ...metadata.configuration, [WIDENING_ENABLED]: 'true' } }
}

/** W1. */
export function isWidening(from: DataType, to: DataType): boolean {
  if (typeof from !== 'string' || typeof to !== 'string') return false
  if (WIDER[from]?.includes(to) === true) return true
  const target = decimalOf(to)
  if (target === null) return false
  const source = decimalOf(from)
  const whole = target.precision - target.scale
  if (source !== null) {
    return from !== to && target.scale >= source.scale && whole >= source.precision - source.scale
  }
  // PROTOCOL.md: byte, short and integer to decimal(10 + k, k), long to decimal(20 + k, k).
  const digits = WHOLE_DIGITS[from]
  return digits !== undefined && whole >= Math.max(10, digits)
}

function widened(field: StructField, inside: readonly string[], type: PrimitiveType)
  : StructField {
  const from = typeInside(field.type, inside)
  if (!isWidening(from, type)) {
    const shown = typeof from === 'string' ? from : from.type
    throw new SlipwayError('usage', `${field.name} cannot be widened from ${shown} to ${type}`)
  }
  const change: JsonObject = { fromType: from as string, toType: type,
    ...inside.length === 0 ? {} : { fieldPath: inside.join('.') } }
  const before = field.metadata[CHANGES]
  const changes = [...Array.isArray(before) ? before as JsonValue[] : [], change]
  return { ...field, type: replaceInside(field.type, inside, type),
    metadata: { ...field.metadata, [CHANGES]: changes } }
}

/** The innermost struct field, and the steps from its type: `element`, `key`, `value`. */
function splitPath(path: readonly string[]): { readonly holder: readonly string[]
  readonly inside: readonly string[] } {
  let end = path.length
  while (end > 1 && ['element', 'key', 'value'].includes(path[end - 1] ?? '')) end--
  return { holder: path.slice(0, end), inside: path.slice(end) }
}

function typeInside(type: DataType, path: readonly string[]): DataType {
  const [step, ...rest] = path
  if (step === undefined) return type
  if (typeof type !== 'string') {
    if (type.type === 'array' && step === 'element') return typeInside(type.elementType, rest)
    if (type.type === 'map' && step === 'key') return typeInside(type.keyType, rest)
    if (type.type === 'map' && step === 'value') return typeInside(type.valueType, rest)
  }
  throw new SlipwayError('not-found', `there is no ${step} in that column`)
}

function replaceInside(type: DataType, path: readonly string[], wanted: PrimitiveType): DataType {
  const [step, ...rest] = path
  if (step === undefined || typeof type === 'string') return wanted
  if (type.type === 'array') {
    return { ...type, elementType: replaceInside(type.elementType, rest, wanted) }
  }
  if (type.type !== 'map') return wanted
  return step === 'key' ? { ...type, keyType: replaceInside(type.keyType, rest, wanted) }
    : { ...type, valueType: replaceInside(type.valueType, rest, wanted) }
}
