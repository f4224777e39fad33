/**
 * ParquetValues: the values of one page, kept as they are stored until one is asked for. A
 * checkpoint has hundreds of thousands of rows, of which most are never looked at as objects.
 *
 * V1  A value is what Parquet stores: numbers, bigints, booleans, bytes.
 * V2  Bytes that do not hold what the page counts are refused when the page is opened.
 *
 * Source: apache/parquet-format, Encodings.md.
 */
import type { ParquetType } from 'hyparquet'
import { deltaBinaryUnpack, deltaByteArray, deltaLengthByteArray } from 'hyparquet/src/delta.js'
import { byteStreamSplit } from 'hyparquet/src/encoding.js'
import { readPlain } from 'hyparquet/src/plain.js'
import { viewOf } from './parquet-page.ts'

export type RawValue = number | bigint | boolean | Uint8Array

/** `at`: from 0 to count - 1. */
export interface PageValues {
  readonly count: number
  raw(at: number): RawValue
  /** null when the values are no texts. */
  readonly text: ((at: number) => string) | null
  /** null when the values are no numbers; beyond 2^53 it gives a bigint. */
  readonly number: ((at: number) => number | bigint) | null
}

export interface ValuesSpec {
  readonly encoding: string
  readonly type: ParquetType
  readonly typeLength: number | undefined
  readonly body: Uint8Array
  readonly count: number
  readonly dictionary: PageValues | null
}

/** Throws when the bytes are not what they must be. */
export function pageValues(spec: ValuesSpec): PageValues {
  const { encoding, body, count } = spec
  switch (encoding) {
    case 'PLAIN': return plainValues(spec)
    case 'PLAIN_DICTIONARY':
    case 'RLE_DICTIONARY': return dictionaryValues(spec)
    case 'RLE': return new StoredValues(booleansOf(body, count))
    default: return new StoredValues(rareValues(spec))
  }
}

function plainValues({ type, typeLength, body, count }: ValuesSpec): PageValues {
  if (type === 'BYTE_ARRAY') return new TextValues(body, count)
  const bits = bitsOf(type, typeLength)
  if (count * bits > body.length * 8) throw new Error('a page has too few values')
  if (type === 'INT64') return new LongValues(body, count)
  return new StoredValues(readPlain({ view: viewOf(body), offset: 0 }, type, count, typeLength))
}

function bitsOf(type: ParquetType, typeLength: number | undefined): number {
  switch (type) {
    case 'BOOLEAN': return 1
    case 'INT32': case 'FLOAT': return 32
    case 'INT64': case 'DOUBLE': return 64
    case 'INT96': return 96
    default: return (typeLength ?? 0) * 8
  }
}

/** Written by few; decoded at once. */
function rareValues({ encoding, type, typeLength, body, count }: ValuesSpec): Decoded {
  const reader = { view: viewOf(body), offset: 0 }
  switch (encoding) {
    case 'DELTA_BINARY_PACKED': {
      const out = type === 'INT32' ? new Int32Array(count) : new BigInt64Array(count)
      if (count > 0) deltaBinaryUnpack(reader, count, out)
      return out
    }
    case 'DELTA_LENGTH_BYTE_ARRAY':
    case 'DELTA_BYTE_ARRAY': {
      const out = new Array<Uint8Array>(count)
      if (count > 0) {
        const unpack = encoding === 'DELTA_BYTE_ARRAY' ? deltaByteArray : deltaLengthByteArray
        unpack(reader, count, out)
      }
      return out
    }
    case 'BYTE_STREAM_SPLIT': {
      if (count * bitsOf(type, typeLength) > body.length * 8) {
        throw new Error('a page has too few values')
      }
      return byteStreamSplit(reader, count, type, typeLength) as Decoded
    }
    default: throw new Error('a page has an unknown encoding')
  }
}

function booleansOf(body: Uint8Array, count: number): Decoded {
  const length = body.length < 4 ? 0 : viewOf(body).getUint32(0, true)
  const bits = new Int32Array(count)
  decodeHybrid(body.subarray(4, 4 + length), 1, bits)
  return Array.from(bits, (bit) => bit !== 0)
}

type Decoded = ArrayLike<RawValue>

/** Texts and other byte strings, each behind its length of four bytes. */
class TextValues implements PageValues {
  readonly count: number
  readonly number = null
  readonly #bytes: Buffer
  /** Where each length stands, and the end. */
  readonly #starts: Uint32Array

  constructor(body: Uint8Array, count: number) {
    this.count = count
    this.#bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    if (count * 4 > body.length) throw new Error('a page has too few values')
    this.#starts = new Uint32Array(count + 1)
    const view = viewOf(body)
    let at = 0
    for (let value = 0; value < count; value++) {
      this.#starts[value] = at
      at += 4 + (at + 4 <= body.length ? view.getUint32(at, true) : 0)
      if (at > body.length) throw new Error('a page has too few values')
    }
    this.#starts[count] = at
  }

  raw(at: number): RawValue {
    return this.#bytes.subarray((this.#starts[at] ?? 0) + 4, this.#starts[at + 1])
  }

  readonly text = (at: number): string =>
    this.#bytes.toString('utf8', (this.#starts[at] ?? 0) + 4, this.#starts[at + 1])
}

/** Whole numbers of 64 bits, of which nearly all are safe as numbers. */
class LongValues implements PageValues {
  readonly count: number
  readonly text = null
  readonly #view: DataView

  constructor(body: Uint8Array, count: number) {
    this.count = count
    this.#view = viewOf(body)
  }

  raw(at: number): RawValue {
    return this.#view.getBigInt64(at * 8, true)
  }

  readonly number = (at: number): number | bigint => {
    const high = this.#view.getInt32(at * 8 + 4, true)
    if (high >= 0x200000 || high < -0x200000) return this.#view.getBigInt64(at * 8, true)
    return high * 0x100000000 + this.#view.getUint32(at * 8, true)
  }
}

class StoredValues implements PageValues {
  readonly count: number
  readonly text: PageValues['text']
  readonly number: PageValues['number']
  readonly #values: Decoded

  constructor(values: Decoded) {
    this.count = values.length
    this.#values = values
    const first = values[0]
    this.text = first instanceof Uint8Array ? (at): string => textOf(this.raw(at)) : null
    this.number = first instanceof Uint8Array || typeof first === 'boolean' ? null
      : (at): number | bigint => safeNumber(this.raw(at))
  }

  raw(at: number): RawValue {
    const value = this.#values[at]
    if (value === undefined) throw new Error('a value is not there')
    return value
  }
}

function textOf(value: RawValue): string {
  if (!(value instanceof Uint8Array)) throw new Error('a value is no text')
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
}

function safeNumber(value: RawValue): number | bigint {
  if (typeof value !== 'bigint') return Number(value)
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** Few values used again and again; each text is made once. */
class DictionaryValues implements PageValues {
  readonly count: number
  readonly text: PageValues['text']
  readonly number: PageValues['number']
  readonly #indexes: Int32Array
  readonly #dictionary: PageValues

  constructor(indexes: Int32Array, dictionary: PageValues) {
    this.count = indexes.length
    this.#indexes = indexes
    this.#dictionary = dictionary
    const { text, number } = dictionary
    const made: (string | undefined)[] = []
    this.text = text === null ? null
      : (at): string => made[this.#index(at)] ??= text(this.#index(at))
    this.number = number === null ? null : (at): number | bigint => number(this.#index(at))
  }

  raw(at: number): RawValue {
    return this.#dictionary.raw(this.#index(at))
  }

  #index(at: number): number {
    return this.#indexes[at] ?? 0
  }
}

function dictionaryValues({ body, count, dictionary }: ValuesSpec): PageValues {
  if (dictionary === null) throw new Error('a page has no dictionary')
  const indexes = new Int32Array(count)
  const width = body[0] ?? 0
  if (width > 32) throw new Error('a page has too wide indexes')
  if (width > 0) decodeHybrid(body.subarray(1), width, indexes)
  for (const index of indexes) {
    if (!(index >= 0 && index < dictionary.count)) throw new Error('an index passes the dictionary')
  }
  return new DictionaryValues(indexes, dictionary)
}

/**
 * Runs of one value and of packed bits, mixed, until `out` is full (Encodings.md "RLE / Bit-Packing
 * Hybrid"). Throws when the bytes end before.
 */
export function decodeHybrid(bytes: Uint8Array, width: number, out: Int32Array): void {
  let at = 0
  for (let done = 0; done < out.length;) {
    let head = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined || shift > 28) throw new Error('levels end too soon')
      head |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    const count = head >>> 1
    if (count === 0) throw new Error('a run is empty')
    if ((head & 1) === 0) {
      const size = width + 7 >> 3
      if (at + size > bytes.length) throw new Error('levels end too soon')
      let value = 0
      for (let byte = 0; byte < size; byte++) value |= (bytes[at++] ?? 0) << byte * 8
      const end = Math.min(out.length, done + count)
      out.fill(value, done, end)
      done = end
    } else {
      const end = Math.min(out.length, done + count * 8)
      unpackBits(bytes, { at, width, from: done, to: end }, out)
      at += count * width
      done = end
    }
  }
}

function unpackBits(bytes: Uint8Array,
  run: { readonly at: number; readonly width: number; readonly from: number; readonly to: number },
  out: Int32Array): void {
  const { at, width } = run
  if (at + Math.ceil((run.to - run.from) * width / 8) > bytes.length) {
    throw new Error('levels end too soon')
  }
  const mask = width === 32 ? -1 : (1 << width) - 1
  let bit = 0
  for (let place = run.from; place < run.to; place++, bit += width) {
    const byte = at + (bit >> 3)
    const low = (bytes[byte] ?? 0) | (bytes[byte + 1] ?? 0) << 8 | (bytes[byte + 2] ?? 0) << 16
      | (bytes[byte + 3] ?? 0) << 24
    const shift = bit & 7
    // A width above 24 may reach into a fifth byte.
    const value = shift === 0 ? low
      : low >>> shift | (shift + width > 32 ? (bytes[byte + 4] ?? 0) << 32 - shift : 0)
    out[place] = value & mask
  }
}
