/**
 * Schema: Delta's struct type and its JSON form (`metaData.schemaString`).
 *
 * S1  Parsing then printing keeps every field's name, type, nullability and metadata.
 * S2  Names are unique ignoring case, at every level; anything else is refused.
 * S3  A type that we do not know is refused by its name, never read as something else.
 */
import { SlipwayError } from '../base/errors.ts'
import { isJsonObject, parseJson, stringifyJson, type JsonObject, type JsonValue }
  from './exact-json.ts'

/** `string`, `long`, …, `decimal(p,s)`. */
export type PrimitiveType = string

export type DataType =
  | PrimitiveType
  | StructType
  | { readonly type: 'array'; readonly elementType: DataType; readonly containsNull: boolean }
  | { readonly type: 'map'; readonly keyType: DataType; readonly valueType: DataType
      readonly valueContainsNull: boolean }

export type FieldMetadata = JsonObject

export interface StructField {
  readonly name: string
  readonly type: DataType
  readonly nullable: boolean
  readonly metadata: FieldMetadata
}

export interface StructType {
  readonly type: 'struct'
  readonly fields: readonly StructField[]
}

const PRIMITIVES: ReadonlySet<string> = new Set(['string', 'long', 'integer', 'short', 'byte',
  'float', 'double', 'boolean', 'binary', 'date', 'timestamp', 'timestamp_ntz'])

const DEPTH_MAX = 64

/** Throws `delta-corrupt` for what is no schema, `delta-unsupported` for an unknown type. */
export function parseSchema(schemaString: string): StructType {
  const type = parseType(parseJson(schemaString), 0)
  if (typeof type === 'string' || type.type !== 'struct') throw malformed('a struct')
  return type
}

export function printSchema(schema: StructType): string {
  return stringifyJson(schema as unknown as JsonValue)
}

/** S2. Throws `usage`, naming no value but the column. */
export function checkSchema(schema: StructType): void {
  const seen = new Set<string>()
  for (const field of schema.fields) {
    const folded = field.name.toLowerCase()
    if (field.name === '' || seen.has(folded)) {
      throw new SlipwayError('usage', field.name === ''
        ? 'a column has no name' : `two columns are named ${field.name}, ignoring case`)
    }
    seen.add(folded)
    for (const nested of structsIn(field.type)) checkSchema(nested)
  }
}

/**
 * Throws `usage`: each partition column is a column of a plain type, named once, and some column
 * is left for the files.
 */
export function checkPartitioning(schema: StructType, partitionColumns: readonly string[]): void {
  for (const [at, name] of partitionColumns.entries()) {
    const field = schema.fields.find((candidate) => candidate.name === name)
    if (field === undefined) {
      throw new SlipwayError('usage', `the partition column ${name} is no column of the table`)
    }
    if (typeof field.type !== 'string' || field.type === 'binary') {
      throw new SlipwayError('usage', `a table cannot be partitioned by ${name}: its type`)
    }
    if (partitionColumns.indexOf(name) !== at) {
      throw new SlipwayError('usage', `the partition column ${name} is named twice`)
    }
  }
  if (partitionColumns.length > 0 && partitionColumns.length === schema.fields.length) {
    throw new SlipwayError('usage', 'a table needs a column that is no partition column')
  }
}

/** Precision and scale of `decimal(p,s)`; null for any other type. */
export function decimalOf(type: DataType): { precision: number; scale: number } | null {
  if (typeof type !== 'string') return null
  const match = /^decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)$/.exec(type)
  return match === null ? null : { precision: Number(match[1]), scale: Number(match[2]) }
}

/** Whether `wanted` occurs anywhere in the type. */
export function containsPrimitive(type: DataType, wanted: PrimitiveType): boolean {
  if (typeof type === 'string') return type === wanted
  switch (type.type) {
    case 'struct': return type.fields.some((field) => containsPrimitive(field.type, wanted))
    case 'array': return containsPrimitive(type.elementType, wanted)
    case 'map': return containsPrimitive(type.keyType, wanted)
      || containsPrimitive(type.valueType, wanted)
  }
}

export function structsIn(type: DataType): readonly StructType[] {
  if (typeof type === 'string') return []
  switch (type.type) {
    case 'struct': return [type]
    case 'array': return structsIn(type.elementType)
    case 'map': return [...structsIn(type.keyType), ...structsIn(type.valueType)]
  }
}

/**
 * A column's name, or the names down to a nested field; inside arrays and maps the steps are
 * `element`, `key` and `value`.
 */
export type FieldPath = string | readonly string[]

/**
 * The schema with one field changed, or without it (null). Throws `not-found` for a path that
 * leads nowhere, `usage` when a struct would be left without fields.
 */
export function editField(schema: StructType, path: FieldPath,
  edit: (field: StructField) => StructField | null): StructType {
  const [name = '', ...rest] = typeof path === 'string' ? [path] : path
  const at = schema.fields.findIndex((field) => field.name === name)
  const field = schema.fields[at]
  if (field === undefined) throw new SlipwayError('not-found', `there is no column ${name}`)
  const next = rest.length === 0 ? edit(field)
    : { ...field, type: editInside(field.type, rest, edit) }
  if (next === null && schema.fields.length === 1) {
    throw new SlipwayError('usage', `${name} is the only column and cannot be dropped`)
  }
  return { type: 'struct', fields: schema.fields.toSpliced(at, 1, ...next === null ? [] : [next]) }
}

function editInside(type: DataType, path: readonly string[],
  edit: (field: StructField) => StructField | null): DataType {
  const [step = '', ...rest] = path
  if (typeof type !== 'string') {
    if (type.type === 'struct') return editField(type, path, edit)
    if (type.type === 'array' && step === 'element') {
      return { ...type, elementType: editInside(type.elementType, rest, edit) }
    }
    if (type.type === 'map' && step === 'key') {
      return { ...type, keyType: editInside(type.keyType, rest, edit) }
    }
    if (type.type === 'map' && step === 'value') {
      return { ...type, valueType: editInside(type.valueType, rest, edit) }
    }
  }
  throw new SlipwayError('not-found', `there is no column ${step || 'of that path'}`)
}

/** A nullable top-level column without metadata. */
export function column(name: string, type: DataType): StructField {
  return { name, type, nullable: true, metadata: {} }
}

function malformed(wanted: string): SlipwayError {
  return new SlipwayError('delta-corrupt', `the table's schema is malformed: expected ${wanted}`)
}

function parseType(value: JsonValue | undefined, depth: number): DataType {
  if (depth > DEPTH_MAX) throw malformed(`at most ${DEPTH_MAX} levels`)
  if (typeof value === 'string') return parsePrimitive(value)
  if (!isJsonObject(value)) throw malformed('a type')
  switch (value.type) {
    case 'struct':
      if (!Array.isArray(value.fields)) throw malformed('fields')
      return { type: 'struct', fields: (value.fields as readonly JsonValue[])
        .map((field) => parseField(field, depth + 1)) }
    case 'array':
      return { type: 'array', elementType: parseType(value.elementType, depth + 1),
        containsNull: value.containsNull !== false }
    case 'map':
      return { type: 'map', keyType: parseType(value.keyType, depth + 1),
        valueType: parseType(value.valueType, depth + 1),
        valueContainsNull: value.valueContainsNull !== false }
    default:
      throw new SlipwayError('delta-unsupported', 'a column has a type that is not supported')
  }
}

function parsePrimitive(name: string): PrimitiveType {
  if (PRIMITIVES.has(name)) return name
  // Spark writes decimal without arguments for decimal(10,0).
  if (name === 'decimal') return 'decimal(10,0)'
  const decimal = decimalOf(name)
  if (decimal !== null && decimal.precision >= 1 && decimal.precision <= 38
    && decimal.scale <= decimal.precision) return `decimal(${decimal.precision},${decimal.scale})`
  throw new SlipwayError('delta-unsupported', `type ${name.slice(0, 64)} is not supported`)
}

function parseField(value: JsonValue, depth: number): StructField {
  if (!isJsonObject(value) || typeof value.name !== 'string') throw malformed('a named field')
  return {
    name: value.name,
    type: parseType(value.type, depth),
    nullable: value.nullable !== false,
    metadata: isJsonObject(value.metadata) ? value.metadata : {},
  }
}
