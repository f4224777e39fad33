/**
 * ArrowBatch: rows of a DuckDB chunk as an Arrow record batch, no cell boxed.
 *
 * AB1  The schema follows from the Delta types alone; every value keeps its exact meaning.
 * AB2  A batch owns its memory: the chunk may go once it is made.
 */
import {
  Binary, Bool, DataType as ArrowType, DateDay, Decimal, Field, Float32, Float64, Int16, Int32,
  Int64, Int8, List, Map_, makeData, RecordBatch, Schema, Struct, TimestampMicrosecond, Utf8,
  type Data,
} from 'apache-arrow'
import type { DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import { SlipwayError } from '../base/errors.ts'
import { decimalOf, type DataType, type StructField } from '../delta/schema.ts'
import { bytesAt, isNull, readVector, type Vector, type VectorData } from './vector-data.ts'

/** What Arrow's 32-bit offsets can count. */
const TEXT_BYTES_MAX = 2 ** 31 - 1

export function arrowSchema(fields: readonly StructField[]): Schema {
  return new Schema(fields.map(arrowField))
}

function arrowField({ name, type, nullable }: StructField): Field {
  return new Field(name, arrowType(type), nullable)
}

function arrowType(type: DataType): ArrowType {
  if (typeof type === 'string') return arrowScalar(type)
  switch (type.type) {
    case 'struct': return new Struct(type.fields.map(arrowField))
    case 'array': return new List(new Field('element', arrowType(type.elementType),
      type.containsNull))
    case 'map': return new Map_(mapEntries(type.keyType,
      new Field('value', arrowType(type.valueType), type.valueContainsNull)))
  }
}

type Entry = { key: ArrowType; value: ArrowType }

function mapEntries(keyType: DataType, value: Field<ArrowType>): Field<Struct<Entry>> {
  const key: Field<ArrowType> = new Field('key', arrowType(keyType), false)
  return new Field('entries', new Struct<Entry>([key, value]), false)
}

function arrowScalar(type: string): ArrowType {
  switch (type) {
    case 'byte': return new Int8()
    case 'short': return new Int16()
    case 'integer': return new Int32()
    case 'long': return new Int64()
    case 'float': return new Float32()
    case 'double': return new Float64()
    case 'boolean': return new Bool()
    case 'string': return new Utf8()
    case 'binary': return new Binary()
    case 'date': return new DateDay()
    case 'timestamp': return new TimestampMicrosecond('UTC')
    case 'timestamp_ntz': return new TimestampMicrosecond()
    default: {
      const decimal = decimalOf(type)
      if (decimal !== null) return new Decimal(decimal.scale, decimal.precision, 128)
      throw new SlipwayError('internal', 'a Delta type has no Arrow type')
    }
  }
}

/**
 * The rows `rows` of the chunk's first columns, which are those of the schema. AB2.
 * `types`: DuckDB's, column by column.
 */
export function arrowBatch(schema: Schema, chunk: DuckDBDataChunk, types: readonly DuckDBType[],
  rows: Int32Array): RecordBatch {
  const children = schema.fields.map((field, at) => {
    const type = types[at]
    if (type === undefined) throw new SlipwayError('internal', 'a result has too few columns')
    return dataOf(field.type as ArrowType, readVector(chunk, at, type), rows)
  })
  const struct = makeData({ type: new Struct(schema.fields), length: rows.length, nullCount: 0,
    children })
  return new RecordBatch(schema, struct)
}

interface Validity {
  readonly length: number
  readonly nullCount: number
  readonly nullBitmap: Uint8Array | null
}

function dataOf(type: ArrowType, vector: Vector, rows: Int32Array): Data {
  const { data } = vector
  const valid = validityOf(vector, rows)
  switch (data.kind) {
    case 'struct': return makeData({ type: type as Struct, ...valid,
      children: data.children.map((child, at) =>
        dataOf((type as Struct).children[at]?.type as ArrowType, child, rows)) })
    case 'list': return listData(type as List, vector, data, rows, valid)
    case 'bytes': return makeData({ type: type as Utf8, ...valid, ...textData(vector, data, rows) })
    case 'bool': return makeData({ type: type as Bool, ...valid, data: bitsOf(data.items, rows) })
    case 'int': case 'int64': case 'int128':
      if (ArrowType.isDecimal(type)) {
        return makeData({ type, ...valid, data: decimalWords(data, rows) })
      }
      return makeData({ type: type as Int32, ...valid, data: gathered(data, rows) as Int32Array })
    case 'float':
      return makeData({ type: type as Float64, ...valid,
        data: gathered(data, rows) as Float64Array })
    case 'interval': throw new SlipwayError('internal', 'Delta has no intervals')
  }
}

function validityOf(vector: Vector, rows: Int32Array): Validity {
  const length = rows.length
  if (vector.validity === null) return { length, nullCount: 0, nullBitmap: null }
  const nullBitmap = new Uint8Array(Math.ceil(length / 64) * 8)
  let nullCount = 0
  for (let at = 0; at < length; at++) {
    if (isNull(vector, rows[at]!)) nullCount++
    else nullBitmap[at >> 3]! |= 1 << (at & 7)
  }
  return { length, nullCount, nullBitmap: nullCount === 0 ? null : nullBitmap }
}

function gathered(data: Extract<VectorData, { kind: 'int' | 'int64' | 'float' | 'int128' }>,
  rows: Int32Array): Int8Array | Int16Array | Int32Array | BigInt64Array | Float32Array
    | Float64Array {
  if (data.kind === 'int128') throw new SlipwayError('internal', 'Delta has no 128-bit integers')
  const source = data.items as Int32Array
  const out = new (source.constructor as Int32ArrayConstructor)(rows.length)
  for (let at = 0; at < rows.length; at++) out[at] = source[rows[at]!]!
  return out
}

/** 128-bit two's complement, four little-endian words each. */
function decimalWords(data: Extract<VectorData, { kind: 'int' | 'int64' | 'int128' }>,
  rows: Int32Array): Uint32Array {
  const words = new Uint32Array(rows.length * 4)
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!
    const to = at * 4
    if (data.kind === 'int128') {
      for (let word = 0; word < 4; word++) {
        words[to + word] = data.view.getUint32(row * 16 + word * 4, true)
      }
      continue
    }
    if (data.kind === 'int64') {
      const value = data.items[row]!
      words[to] = Number(value & 0xffffffffn)
      words[to + 1] = Number(value >> 32n & 0xffffffffn)
      if (value < 0n) words[to + 2] = words[to + 3] = 0xffffffff
      continue
    }
    const value = data.items[row]!
    words[to] = value
    if (value < 0) words[to + 1] = words[to + 2] = words[to + 3] = 0xffffffff
  }
  return words
}

function bitsOf(items: Uint8Array, rows: Int32Array): Uint8Array {
  const bits = new Uint8Array(Math.ceil(rows.length / 64) * 8)
  for (let at = 0; at < rows.length; at++) {
    if (items[rows[at]!] !== 0) bits[at >> 3]! |= 1 << (at & 7)
  }
  return bits
}

function textData(vector: Vector, data: Extract<VectorData, { kind: 'bytes' }>, rows: Int32Array)
  : { readonly valueOffsets: Int32Array; readonly data: Uint8Array } {
  const valueOffsets = new Int32Array(rows.length + 1)
  let total = 0
  for (let at = 0; at < rows.length; at++) {
    if (!isNull(vector, rows[at]!)) total += data.heap.length(rows[at]!)
    if (total > TEXT_BYTES_MAX) {
      throw new SlipwayError('delta-unsupported', 'a batch of rows holds more than 2 GB of text')
    }
    valueOffsets[at + 1] = total
  }
  const bytes = new Uint8Array(total)
  for (let at = 0; at < rows.length; at++) {
    if (!isNull(vector, rows[at]!)) bytes.set(bytesAt(data, rows[at]!), valueOffsets[at])
  }
  return { valueOffsets, data: bytes }
}

function listData(type: List | Map_, vector: Vector, data: Extract<VectorData, { kind: 'list' }>,
  rows: Int32Array, valid: Validity): Data {
  const valueOffsets = new Int32Array(rows.length + 1)
  for (let at = 0; at < rows.length; at++) {
    const length = isNull(vector, rows[at]!) ? 0 : Number(data.entries[rows[at]! * 2 + 1])
    valueOffsets[at + 1] = valueOffsets[at]! + length
  }
  const inside = new Int32Array(valueOffsets[rows.length]!)
  for (let at = 0; at < rows.length; at++) {
    const from = Number(data.entries[rows[at]! * 2])
    const to = valueOffsets[at]!
    for (let item = 0; item < valueOffsets[at + 1]! - to; item++) inside[to + item] = from + item
  }
  const child = dataOf(type.children[0]?.type as ArrowType, data.child, inside)
  return makeData({ type: type as List, ...valid, valueOffsets, child })
}
