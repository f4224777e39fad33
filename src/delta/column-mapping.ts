/**
 * Column mapping (PROTOCOL.md "Column Mapping", mode `name`): renames and drops that touch no file.
 *
 * M1  Enabling keeps the data readable: a field's physical name becomes the name it has now.
 * M2  An id, once given, is never given again: `delta.columnMapping.maxColumnId` only grows.
 * M3  A physical name, once used, never comes back for another column.
 */
import { randomUUID } from 'node:crypto'
import { SlipwayError } from '../base/errors.ts'
import type { Metadata } from './actions.ts'
import { checkSchema, editField, parseSchema, printSchema, type DataType, type FieldPath,
  type StructField, type StructType } from './schema.ts'

export type MappingMode = 'none' | 'name' | 'id'

export const MAPPING_MODE = 'delta.columnMapping.mode'
const MAX_ID = 'delta.columnMapping.maxColumnId'
const ID = 'delta.columnMapping.id'
const PHYSICAL = 'delta.columnMapping.physicalName'

/** Throws `delta-unsupported` for a mode that PROTOCOL.md does not know. */
export function mappingMode(metadata: Metadata): MappingMode {
  const mode = metadata.configuration[MAPPING_MODE] ?? 'none'
  if (mode === 'none' || mode === 'name' || mode === 'id') return mode
  throw new SlipwayError('delta-unsupported', 'the column mapping mode is not supported')
}

/** The column's name in data files, statistics and partition values. */
export function physicalName(field: StructField): string {
  const name = field.metadata[PHYSICAL]
  return typeof name === 'string' ? name : field.name
}

/** The Parquet field id that mapping assigned, or null. */
export function mappingId(field: StructField): number | null {
  const id = field.metadata[ID]
  return typeof id === 'number' ? id : null
}

/**
 * Metadata with mode `name`; unchanged when a mode is set already. `idOf`: the Parquet field id
 * of a top-level column (attnum), else its place; nested fields get ids above all of them.
 */
export function enableColumnMapping(metadata: Metadata, idOf?: (name: string) => number)
  : Metadata {
  if (mappingMode(metadata) !== 'none') return metadata
  const schema = parseSchema(metadata.schemaString)
  const ids = schema.fields.map((field, at) => idOf?.(field.name) ?? at + 1)
  if (new Set(ids).size !== ids.length || ids.some((id) => !Number.isInteger(id) || id < 1)) {
    throw new SlipwayError('usage', 'column ids are distinct whole numbers from 1')
  }
  const next = { id: Math.max(0, ...ids) + 1 }
  const fields = schema.fields.map((field, index) => {
    const mapped = withMapping(field, ids[index] ?? 0, field.name)
    return { ...mapped, type: mapNested(mapped.type, next) }
  })
  return withSchema(metadata, { type: 'struct', fields }, next.id - 1, { [MAPPING_MODE]: 'name' })
}

/**
 * `own`: the Parquet field id when the caller keeps its own numbering, else the next free one;
 * and the physical name, which must be new to the table (M3), else a random one. `into`: the
 * struct that gets the field, else the table. Throws `usage` for a column that is not nullable:
 * the rows of before have no value for it.
 */
export function addColumn(metadata: Metadata, field: StructField,
  own: { readonly id?: number; readonly physicalName?: string
    readonly into?: FieldPath } = {}): Metadata {
  if (!field.nullable) {
    throw new SlipwayError('usage', `a column that is added must be nullable: ${field.name}`)
  }
  const schema = parseSchema(metadata.schemaString)
  if (mappingMode(metadata) === 'none') {
    return withSchema(metadata, appendField(schema, own.into, field), null)
  }
  const next = { id: maxColumnId(metadata) + 1 }
  const id = own.id ?? next.id++
  // A column of that id exists: ids of dropped columns may be below the maximum all the same.
  if (schema.fields.some((other) => mappingId(other) === id)) {
    throw new SlipwayError('usage', `column id ${id} is in use`)
  }
  const mapped = withMapping(field, id, own.physicalName ?? `col-${randomUUID()}`)
  const added = { ...mapped, type: mapNested(mapped.type, next) }
  const last = Math.max(id, next.id - 1)
  return withSchema(metadata, appendField(schema, own.into, added), last)
}

/**
 * Enables column mapping where it is not. `to`: the new last part of the path.
 * Throws `not-found` for an unknown column, `usage` for a taken name.
 */
export function renameColumn(metadata: Metadata, from: FieldPath, to: string): Metadata {
  const mapped = enableColumnMapping(metadata)
  const schema = editField(parseSchema(mapped.schemaString), from,
    (field) => ({ ...field, name: to }))
  const partitionColumns = mapped.partitionColumns.map((name) =>
    isTopLevel(from, name) ? to : name)
  return withSchema({ ...mapped, partitionColumns }, schema, null)
}

/**
 * Enables column mapping where it is not. The files keep the values; no reader finds them any
 * more. Throws `not-found`, `usage` for a partition column and for the last column.
 */
export function dropColumn(metadata: Metadata, column: FieldPath): Metadata {
  const mapped = enableColumnMapping(metadata)
  const partition = metadata.partitionColumns.find((name) => isTopLevel(column, name))
  if (partition !== undefined) {
    throw new SlipwayError('usage', `${partition} is a partition column and cannot be dropped`)
  }
  const schema = editField(parseSchema(mapped.schemaString), column, () => null)
  return withSchema(mapped, schema, null)
}

/** `null` takes the comment away. */
export function commentOn(metadata: Metadata, column: FieldPath, comment: string | null)
  : Metadata {
  const schema = editField(parseSchema(metadata.schemaString), column, (field) => {
    const others = Object.entries(field.metadata).filter(([key]) => key !== 'comment')
    return { ...field, metadata: { ...Object.fromEntries(others),
      ...comment === null ? {} : { comment } } }
  })
  return withSchema(metadata, schema, null)
}

/**
 * M2, M3. `wanted`, an older state of the same table, as the table's metadata after `current`:
 * mapping stays on, a column has the id that it has in `current`, and no id is given twice.
 */
export function mergeMapping(current: Metadata, wanted: Metadata): Metadata {
  if (mappingMode(current) === 'none') return wanted
  const last = Math.max(maxColumnId(current), maxColumnId(wanted))
  const next = { id: last + 1 }
  const schema = parseSchema(wanted.schemaString)
  const merged = mappingMode(wanted) !== 'none' ? schema
    : mergeFields(schema, parseSchema(current.schemaString), next)
  return withSchema(wanted, merged, next.id - 1,
    { [MAPPING_MODE]: mappingMode(current), [MAX_ID]: String(last) })
}

/** Before mapping was enabled a field's physical name was its name. */
function mergeFields(wanted: StructType, current: StructType, next: { id: number }): StructType {
  return { type: 'struct', fields: wanted.fields.map((field) => {
    const same = current.fields.find((other) => physicalName(other) === field.name)
    const mapped = withMapping(field, (same === undefined ? null : mappingId(same)) ?? next.id++,
      field.name)
    const inside = same?.type
    return { ...mapped, type: typeof field.type !== 'string' && field.type.type === 'struct'
      && typeof inside === 'object' && inside.type === 'struct'
      ? mergeFields(field.type, inside, next) : mapNested(field.type, next) }
  }) }
}

function isTopLevel(path: FieldPath, name: string): boolean {
  return typeof path === 'string' ? path === name : path.length === 1 && path[0] === name
}

function appendField(schema: StructType, into: FieldPath | undefined, field: StructField)
  : StructType {
  if (into === undefined) return { type: 'struct', fields: [...schema.fields, field] }
  return editField(schema, into, (struct) => {
    if (typeof struct.type === 'string' || struct.type.type !== 'struct') {
      throw new SlipwayError('usage', `${struct.name} is no struct`)
    }
    return { ...struct, type: appendField(struct.type, undefined, field) }
  })
}

function maxColumnId(metadata: Metadata): number {
  const id = Number(metadata.configuration[MAX_ID] ?? '0')
  return Number.isSafeInteger(id) ? id : 0
}

function withMapping(field: StructField, id: number, physical: string): StructField {
  return { ...field, metadata: { ...field.metadata, [ID]: id, [PHYSICAL]: physical } }
}

/** Fields inside structs, arrays and maps need ids and physical names too. */
function mapNested(type: DataType, next: { id: number }): DataType {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct': return { ...type, fields: type.fields.map((field) => {
      const mapped = withMapping(field, next.id++, field.name)
      return { ...mapped, type: mapNested(mapped.type, next) }
    }) }
    case 'array': return { ...type, elementType: mapNested(type.elementType, next) }
    case 'map': return { ...type, keyType: mapNested(type.keyType, next),
      valueType: mapNested(type.valueType, next) }
  }
}

function withSchema(metadata: Metadata, schema: StructType, lastId: number | null,
  configuration: Readonly<Record<string, string>> = {}): Metadata {
  checkSchema(schema)
  const ids = lastId === null ? {}
    : { [MAX_ID]: String(Math.max(lastId, maxColumnId(metadata))) }
  return { ...metadata, schemaString: printSchema(schema),
    configuration: { ...metadata.configuration, ...configuration, ...ids } }
}
