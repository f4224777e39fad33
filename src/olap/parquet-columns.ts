/**
 * ParquetColumns: how a table's columns are read from files of one schema.
 *
 * PC1  A column is found by its physical name (ignoring case, as every Delta reader does) or, in
 *      mode `id`, by its field id, at every level.
 * PC2  Stored types that a Delta type may be read from are listed; any other is an error that
 *      names the column: DuckDB would cast an integer to text, or round a decimal, without a word.
 * PC3  A field that the file lacks is NULL.
 */
import { SlipwayError } from '../base/errors.ts'
import { mappingId, physicalName, type MappingMode } from '../delta/column-mapping.ts'
import { decimalOf, type DataType, type StructField, type StructType } from '../delta/schema.ts'
import { listElement, mapEntry, type ParquetNode } from './parquet-tree.ts'
import { identifier, literal } from './sql-text.ts'

export interface ColumnReading {
  /** The `schema` argument of read_parquet: columns are c0, c1 … */
  readonly schema: string
  /** Texts stored without being marked as such: read_parquet must be told. */
  readonly binaryAsString: boolean
  /** A field's name in these files. */
  readonly nameOf: (field: StructField) => string
}

/** PC2. Throws `delta-corrupt`, `delta-unsupported`; the caller names the file. */
export function columnReading(columns: readonly StructField[], mapping: MappingMode,
  file: readonly ParquetNode[]): ColumnReading {
  const names = new Map<number, string>()
  const found = new Set<string>()
  const place = { mapping, names, found }
  placeFields(columns, file, place, '')
  const nameOf = (field: StructField): string =>
    names.get(mappingId(field) ?? -1) ?? physicalName(field)
  const binaryAsString = found.has('text-as-bytes')
  if (binaryAsString && found.has('binary')) {
    throw new SlipwayError('delta-unsupported', 'it holds both binary columns and texts that are '
      + 'not marked as such; read them separately')
  }
  const entries = columns.map((field, at) => `${literal(nameOf(field))}: {name: 'c${at}', `
    + `type: ${literal(typeText(field.type, nameOf))}, default_value: NULL}`)
  return { schema: `MAP {${entries.join(', ')}}`, binaryAsString, nameOf }
}

interface Placing {
  readonly mapping: MappingMode
  /** In mode `id`, by id: what the file calls the field. */
  readonly names: Map<number, string>
  readonly found: Set<string>
}

function placeFields(fields: readonly StructField[], nodes: readonly ParquetNode[],
  place: Placing, above: string): void {
  for (const field of fields) {
    const column = `${above}${field.name}`
    const id = place.mapping === 'id' ? mappingId(field) : null
    const node = nodeOf(physicalName(field), id, nodes)
    // PC3. An unrelated column may bear the physical name.
    if (id !== null) place.names.set(id, node?.name ?? absentName(physicalName(field), nodes))
    if (node !== null) check(field.type, node, place, column)
  }
}

/** PC1. */
function nodeOf(name: string, id: number | null, nodes: readonly ParquetNode[])
  : ParquetNode | null {
  if (id !== null) return nodes.find((node) => node.fieldId === id) ?? null
  return nodes.find((node) => node.name === name)
    ?? nodes.find((node) => node.name.toLowerCase() === name.toLowerCase()) ?? null
}

function absentName(name: string, nodes: readonly ParquetNode[]): string {
  let free = name
  while (nodes.some((node) => node.name.toLowerCase() === free.toLowerCase())) free += ' absent'
  return free
}

function check(type: DataType, node: ParquetNode, place: Placing, column: string): void {
  if (typeof type === 'string') {
    if (type === 'binary') place.found.add('binary')
    const stored = node.repeated ? 'a list' : node.leafType
    if (type === 'string' && stored === 'BLOB') place.found.add('text-as-bytes')
    else if (stored === null || !isReadable(type, stored)) throw mismatch(column, type, stored)
    return
  }
  switch (type.type) {
    case 'struct':
      if (node.leafType !== null || node.kind !== 'other' || node.repeated) {
        throw mismatch(column, 'struct', node.leafType)
      }
      placeFields(type.fields, node.children, place, `${column}.`)
      return
    case 'array': {
      const element = listElement(node)
      if (element === null) throw mismatch(column, 'array', node.leafType)
      check(type.elementType, element, place, `${column}.element`)
      return
    }
    case 'map': {
      const entry = mapEntry(node)
      if (entry === null) throw mismatch(column, 'map', node.leafType)
      check(type.keyType, entry[0], place, `${column}.key`)
      check(type.valueType, entry[1], place, `${column}.value`)
    }
  }
}

const INTEGERS = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER',
  'UBIGINT']
const TIMES = ['TIMESTAMP', 'TIMESTAMP_S', 'TIMESTAMP_MS', 'TIMESTAMP_NS',
  'TIMESTAMP WITH TIME ZONE', 'TIMESTAMP_TZ', 'TIMESTAMP WITH TIME ZONE_NS']

/** What each type is read from; wider integers are cast, and fail where a value is too large. */
const READABLE: Readonly<Record<string, readonly string[]>> = {
  byte: INTEGERS, short: INTEGERS, integer: INTEGERS, long: INTEGERS, float: ['FLOAT'],
  double: ['DOUBLE', 'FLOAT', 'TINYINT', 'SMALLINT', 'INTEGER'], boolean: ['BOOLEAN'],
  string: ['VARCHAR', 'JSON', 'UUID', 'ENUM'], binary: ['BLOB', 'GEOMETRY'], date: ['DATE'],
  timestamp: TIMES, timestamp_ntz: [...TIMES, 'DATE'],
}

function isReadable(type: string, stored: string): boolean {
  const wanted = decimalOf(type)
  if (wanted === null) return READABLE[type]?.includes(stored) === true
  if (INTEGERS.includes(stored)) return true
  const decimal = /^DECIMAL\((\d+),\s*(\d+)\)$/.exec(stored)
  return decimal !== null && Number(decimal[2]) <= wanted.scale
}

function mismatch(column: string, type: string, stored: string | null): SlipwayError {
  return new SlipwayError('delta-corrupt',
    `column ${column} is of type ${type} and cannot be read from ${stored ?? 'a group'}`)
}

const DUCKDB_TYPES: Readonly<Record<string, string>> = {
  byte: 'TINYINT', short: 'SMALLINT', integer: 'INTEGER', long: 'BIGINT', float: 'FLOAT',
  double: 'DOUBLE', boolean: 'BOOLEAN', string: 'VARCHAR', binary: 'BLOB', date: 'DATE',
  timestamp: 'TIMESTAMPTZ', timestamp_ntz: 'TIMESTAMP',
}

/** DuckDB's type; decimals have the same form in both. */
export function typeText(type: DataType, nameOf: (field: StructField) => string): string {
  if (typeof type === 'string') return DUCKDB_TYPES[type] ?? type.toUpperCase()
  switch (type.type) {
    case 'struct': return structText(type, nameOf)
    case 'array': return `${typeText(type.elementType, nameOf)}[]`
    case 'map':
      return `MAP(${typeText(type.keyType, nameOf)}, ${typeText(type.valueType, nameOf)})`
  }
}

function structText({ fields }: StructType, nameOf: (field: StructField) => string): string {
  return `STRUCT(${fields.map((field) =>
    `${identifier(nameOf(field))} ${typeText(field.type, nameOf)}`).join(', ')})`
}
