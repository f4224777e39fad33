/**
 * DeltaRelation: a Delta table's data files as a relation of DuckDB.
 *
 * DR1  Columns are found as the table's mapping mode says, whatever order a file has them in,
 *      and come under their physical names with the table's own types.
 * DR2  A column or nested field that a file was written without is NULL in its rows.
 */
import { physicalName, mappingId, type MappingMode } from '../delta/column-mapping.ts'
import type { DataType, StructField } from '../delta/schema.ts'
import { SlipwayError } from '../base/errors.ts'
import { identifier, listOf, literal } from './sql-text.ts'

const TYPES: Readonly<Record<string, string>> = {
  string: 'VARCHAR', long: 'BIGINT', integer: 'INTEGER', short: 'SMALLINT', byte: 'TINYINT',
  float: 'FLOAT', double: 'DOUBLE', boolean: 'BOOLEAN', binary: 'BLOB', date: 'DATE',
  timestamp: 'TIMESTAMPTZ', timestamp_ntz: 'TIMESTAMP',
}

/** Nested fields have their physical names. Throws `delta-unsupported`. */
export function duckdbTypeOfDelta(type: DataType): string {
  if (typeof type === 'string') {
    const name = TYPES[type] ?? (type.startsWith('decimal(') ? type.toUpperCase() : undefined)
    if (name !== undefined) return name
    throw new SlipwayError('delta-unsupported', `type ${type} is not supported`)
  }
  switch (type.type) {
    case 'struct': return `STRUCT(${type.fields.map((field) =>
      `${identifier(physicalName(field))} ${duckdbTypeOfDelta(field.type)}`).join(', ')})`
    case 'array': return `${duckdbTypeOfDelta(type.elementType)}[]`
    case 'map':
      return `MAP(${duckdbTypeOfDelta(type.keyType)}, ${duckdbTypeOfDelta(type.valueType)})`
  }
}

/** A table function call; `file_row_number` and `file_index` can be asked for beside. */
export function deltaRelation(paths: readonly string[], fields: readonly StructField[],
  mapping: MappingMode): string {
  const entries = fields.map((field) => `${keyOf(field, mapping)}: {name: `
    + `${literal(physicalName(field))}, type: ${literal(duckdbTypeOfDelta(field.type))}, `
    + 'default_value: NULL}')
  return `read_parquet(${listOf(paths)}, schema = MAP {${entries.join(', ')}})`
}

/** `FIELD_IDS` for COPY; empty without mapping. */
export function fieldIds(fields: readonly StructField[]): string {
  return `{${fields.flatMap((field) => {
    const id = mappingId(field)
    return id === null ? [] : [`${identifier(physicalName(field))}: `
      + idsInside(field.type, `__duckdb_field_id: ${id}`, String(id))]
  }).join(', ')}}`
}

function idsInside(type: DataType, own: string | null, plain: string): string {
  if (typeof type === 'string') return plain
  const inner = childrenOf(type).flatMap(([name, child, id]) => {
    const text = idsInside(child, id === null ? null : `__duckdb_field_id: ${id}`,
      id === null ? '' : String(id))
    return text === '' ? [] : [`${identifier(name)}: ${text}`]
  })
  if (own === null && inner.length === 0) return ''
  return `{${[...own === null ? [] : [own], ...inner].join(', ')}}`
}

function childrenOf(type: Exclude<DataType, string>)
  : readonly (readonly [string, DataType, number | null])[] {
  switch (type.type) {
    case 'struct': return type.fields.map((field) =>
      [physicalName(field), field.type, mappingId(field)] as const)
    case 'array': return [['element', type.elementType, null]]
    case 'map': return [['key', type.keyType, null], ['value', type.valueType, null]]
  }
}

function keyOf(field: StructField, mapping: MappingMode): string {
  const id = mapping === 'id' ? mappingId(field) : null
  return id === null ? literal(physicalName(field)) : String(id)
}
