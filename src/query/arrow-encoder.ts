/**
 * ArrowEncoder: rows of PostgreSQL's text as an Arrow IPC stream.
 *
 * A1  The schema depends on the result's PostgreSQL types alone, not on who answered.
 * A2  A value that its Arrow type cannot hold (infinite dates) is refused, never changed.
 * A3  numeric(p,s) up to 38 digits is Decimal128; numeric without typmod is Utf8, since its
 *     scale belongs to the value. Types not listed are Utf8 with PostgreSQL's text.
 */
import {
  Binary, Bool, DataType, DateDay, Decimal, Field, Float32, Float64, Int16, Int32, Int64, List,
  makeData, RecordBatch, RecordBatchStreamWriter, Schema, Struct, TimestampMicrosecond, Utf8,
  type Data,
} from 'apache-arrow'
import { SlipwayError } from '../base/errors.ts'
import { parseArrayText } from './array-text.ts'
import { parseDate, parseTimestamp } from './date-parse.ts'
import { parseNumeric, rescale } from './numeric.ts'
import { elementOf, numericScale, PG } from './pg-types.ts'
import type { ResultColumn, TextRow } from './text-rows.ts'

type Texts = readonly (string | null)[]

/** Continuation marker and length 0: the end of a stream. */
const END_BYTES = 8
const DECIMAL_DIGITS_MAX = 38

export class ArrowEncoder {
  readonly #types: readonly DataType[]
  readonly #schema: Schema
  readonly #columns: readonly ResultColumn[]
  /** The schema message, with which every stream of this writer begins. */
  readonly #header: Uint8Array

  constructor(columns: readonly ResultColumn[]) {
    this.#columns = columns
    this.#types = columns.map((column) => arrowType(column.typeOid, column.typmod))
    this.#schema = new Schema(columns.map((column, index) =>
      new Field(column.name, this.#types[index]!, true)))
    const empty = this.#stream([])
    this.#header = empty.subarray(0, empty.length - END_BYTES)
  }

  header(): Uint8Array {
    return this.#header
  }

  /** One record batch message. */
  batch(rows: readonly TextRow[]): Uint8Array {
    const children = this.#types.map((type, index) =>
      columnData(type, this.#columns[index]!.name, rows.map((row) => row[index] ?? null)))
    const struct = makeData({
      type: new Struct(this.#schema.fields), length: rows.length, nullCount: 0, children,
    })
    const stream = this.#stream([new RecordBatch(this.#schema, struct)])
    return stream.subarray(this.#header.length, stream.length - END_BYTES)
  }

  end(): Uint8Array {
    return Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
  }

  #stream(batches: readonly RecordBatch[]): Uint8Array {
    const writer = new RecordBatchStreamWriter()
    writer.reset(undefined, this.#schema)
    for (const batch of batches) writer.write(batch)
    writer.finish()
    return writer.toUint8Array(true)
  }
}

function arrowType(typeOid: number, typmod: number): DataType {
  switch (typeOid) {
    case PG.bool: return new Bool()
    case PG.int2: return new Int16()
    case PG.int4: return new Int32()
    case PG.int8: return new Int64()
    case PG.float4: return new Float32()
    case PG.float8: return new Float64()
    case PG.numeric: return decimalType(typmod)
    case PG.bytea: return new Binary()
    case PG.date: return new DateDay()
    case PG.timestamp: return new TimestampMicrosecond()
    case PG.timestamptz: return new TimestampMicrosecond('UTC')
    default: {
      const element = elementOf(typeOid)
      if (element === null) return new Utf8()
      return new List(new Field('item', arrowType(element, typmod), true))
    }
  }
}

function decimalType(typmod: number): DataType {
  const scale = numericScale(typmod)
  const precision = ((typmod - 4) >> 16) & 0xffff
  if (scale === null || scale < 0 || precision > DECIMAL_DIGITS_MAX) return new Utf8()
  return new Decimal(scale, precision, 128)
}

function columnData(type: DataType, name: string, texts: Texts): Data {
  const length = texts.length
  const { nullBitmap, nullCount } = nulls(texts)
  const common = { length, nullCount, nullBitmap }
  if (DataType.isUtf8(type)) {
    return makeData({ type, ...common, ...variable(texts, (text) => Buffer.from(text)) })
  }
  if (DataType.isBinary(type)) {
    return makeData({ type, ...common, ...variable(texts, (text) => byteaBytes(text, name)) })
  }
  if (DataType.isList(type)) return listData(type, name, texts, common)
  return makeData({ type, ...common, data: fixedData(type, name, texts) } as
    Parameters<typeof makeData>[0])
}

type FixedData = Int16Array | Int32Array | BigInt64Array | Float32Array | Float64Array |
  Uint8Array | Uint32Array

function fixedData(type: DataType, name: string, texts: Texts): FixedData {
  const fill = <A extends { [index: number]: V }, V>(into: A, read: (text: string) => V): A => {
    texts.forEach((text, index) => { if (text !== null) into[index] = read(text) })
    return into
  }
  const count = texts.length
  if (DataType.isBool(type)) return bits(texts, (text) => text === 't')
  if (DataType.isInt(type)) {
    if (type.bitWidth === 64) return fill(new BigInt64Array(count), BigInt)
    return fill(type.bitWidth === 16 ? new Int16Array(count) : new Int32Array(count), Number)
  }
  if (DataType.isFloat(type)) {
    const single = type instanceof Float32
    return fill(single ? new Float32Array(count) : new Float64Array(count), Number)
  }
  if (DataType.isDate(type)) {
    return fill(new Int32Array(count), (text) => parseDate(text) ?? refuse(name))
  }
  if (DataType.isTimestamp(type)) {
    return fill(new BigInt64Array(count), (text) => parseTimestamp(text) ?? refuse(name))
  }
  if (DataType.isDecimal(type)) return decimals(type, name, texts)
  return refuse(name)
}

/** 128-bit two's complement, four little-endian words each. */
function decimals(type: Decimal, name: string, texts: Texts): Uint32Array {
  const words = new Uint32Array(texts.length * 4)
  texts.forEach((text, index) => {
    if (text === null) return
    const parsed = parseNumeric(text)
    const value = parsed === null ? null : rescale(parsed, type.scale)
    if (value === null) { refuse(name); return }
    let rest = BigInt.asUintN(128, value.unscaled)
    for (let word = 0; word < 4; word++) {
      words[index * 4 + word] = Number(rest & 0xffffffffn)
      rest >>= 32n
    }
  })
  return words
}

function listData(
  type: List, name: string, texts: Texts,
  common: { readonly length: number; readonly nullCount: number
    readonly nullBitmap: Uint8Array },
): Data {
  const valueOffsets = new Int32Array(texts.length + 1)
  const items: (string | null)[] = []
  texts.forEach((text, index) => {
    if (text !== null) items.push(...parseArrayText(text) ?? refuse(name))
    valueOffsets[index + 1] = items.length
  })
  const child = columnData(type.valueType as DataType, name, items)
  return makeData({ type, ...common, valueOffsets, child })
}

function variable(texts: Texts, read: (text: string) => Buffer): {
  readonly valueOffsets: Int32Array
  readonly data: Uint8Array
} {
  const valueOffsets = new Int32Array(texts.length + 1)
  const parts: Buffer[] = []
  let at = 0
  texts.forEach((text, index) => {
    if (text !== null) {
      const part = read(text)
      parts.push(part)
      at += part.length
    }
    valueOffsets[index + 1] = at
  })
  return { valueOffsets, data: Buffer.concat(parts) }
}

function byteaBytes(text: string, name: string): Buffer {
  return text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex') : refuse(name)
}

function nulls(texts: Texts): { readonly nullBitmap: Uint8Array; readonly nullCount: number } {
  const nullBitmap = bits(texts, () => true)
  let nullCount = 0
  for (const text of texts) if (text === null) nullCount++
  return { nullBitmap, nullCount }
}

function bits(texts: Texts, isSet: (text: string) => boolean): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(texts.length / 64) * 8)
  texts.forEach((text, index) => {
    if (text !== null && isSet(text)) bitmap[index >> 3]! |= 1 << (index & 7)
  })
  return bitmap
}

function refuse(column: string): never {
  throw new SlipwayError('usage', `column ${column} holds a value that Arrow's type cannot hold`, {
    hint: 'Cast the column to text, or ask for JSON.',
  })
}
