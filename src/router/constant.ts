/**
 * Constant: the value of a Const node, read from the server's memory image.
 *
 * K1  What is decoded equals PostgreSQL's value bit for bit; anything else is refused.
 * K2  No constant's value is ever part of a reason or an error.
 *
 * Source: little-endian servers; utils/adt/numeric.c (short and long header),
 * utils/timestamp.h (µs since 2000-01-01), c.h (varlena, 4-byte header), utils/array.h.
 */
import { refuse } from './refusal.ts'
import { ARRAY_ELEMENT, PgType, typeName } from './pg-type.ts'

export type ConstantValue =
  | { readonly kind: 'null' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'numeric'; readonly unscaled: bigint; readonly scale: number }
  | { readonly kind: 'text'; readonly value: string }
  /** Days since 1970-01-01. */
  | { readonly kind: 'date'; readonly days: number | 'infinity' | '-infinity' }
  /** Microseconds since 1970-01-01, UTC for timestamptz. */
  | { readonly kind: 'timestamp'; readonly us: bigint | 'infinity' | '-infinity' }
  | { readonly kind: 'interval'; readonly months: number; readonly days: number
      readonly us: bigint }
  | { readonly kind: 'bytea'; readonly value: Buffer }
  | { readonly kind: 'array'; readonly elementOid: number
      readonly items: readonly ConstantValue[] }

export const NULL_CONSTANT: ConstantValue = { kind: 'null' }
const DAYS_TO_2000 = 10_957
export const US_TO_2000 = BigInt(DAYS_TO_2000) * 86_400_000_000n
const INT8_MAX = (1n << 63n) - 1n
const INT8_MIN = -(1n << 63n)
const INT4_MAX = 0x7fffffff
const INT4_MIN = -0x80000000

/** `image`: Const.constvalue; null is SQL NULL. */
export function decodeConstant(typeOid: number, image: Buffer | null): ConstantValue {
  if (image === null) return NULL_CONSTANT
  try {
    return decodeImage(typeOid, image)
  } catch (error) {
    if (error instanceof RangeError) refuse('a constant has an unknown layout')
    throw error
  }
}

function decodeImage(typeOid: number, image: Buffer): ConstantValue {
  switch (typeOid) {
    case PgType.bool: return { kind: 'bool', value: image.readUInt8(0) !== 0 }
    case PgType.int2: return { kind: 'int', value: BigInt(image.readInt16LE(0)) }
    case PgType.int4: return { kind: 'int', value: BigInt(image.readInt32LE(0)) }
    case PgType.int8: return { kind: 'int', value: image.readBigInt64LE(0) }
    case PgType.float4: return { kind: 'float', value: image.readFloatLE(0) }
    case PgType.float8: return { kind: 'float', value: image.readDoubleLE(0) }
    case PgType.numeric: return decodeNumeric(varlena(image))
    case PgType.text: case PgType.varchar:
      return { kind: 'text', value: utf8(varlena(image)) }
    case PgType.bpchar:
      return { kind: 'text', value: utf8(varlena(image)).replace(/ +$/, '') }
    case PgType.name: case PgType.unknown: {
      const end = image.indexOf(0)
      return { kind: 'text', value: utf8(end < 0 ? image : image.subarray(0, end)) }
    }
    case PgType.date: return dateOf(image.readInt32LE(0))
    case PgType.timestamp: case PgType.timestamptz: return timestampOf(image.readBigInt64LE(0))
    case PgType.interval: return intervalOf(image)
    case PgType.bytea: return { kind: 'bytea', value: Buffer.from(varlena(image)) }
    case PgType.uuid: return { kind: 'text', value: uuidText(image.subarray(0, 16)) }
    default: {
      const elementOid = ARRAY_ELEMENT.get(typeOid)
      if (elementOid === undefined) refuse(`a constant of ${typeName(typeOid)} is not understood`)
      return decodeArray(elementOid, varlena(image))
    }
  }
}

/** Only the plain 4-byte header: a Const is never compressed, external or packed. */
function varlena(image: Buffer): Buffer {
  const header = image.readUInt32LE(0)
  if ((header & 3) !== 0 || header >>> 2 > image.length || header >>> 2 < 4) {
    throw new RangeError('varlena header')
  }
  return image.subarray(4, header >>> 2)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8(bytes: Buffer): string {
  let text: string
  try { text = decoder.decode(bytes) } catch { refuse('a constant is not UTF-8') }
  if (text.includes('\0')) refuse('a constant holds a zero byte')
  return text
}

export function dateOf(daysSince2000: number): ConstantValue {
  if (daysSince2000 === INT4_MAX) return { kind: 'date', days: 'infinity' }
  if (daysSince2000 === INT4_MIN) return { kind: 'date', days: '-infinity' }
  return { kind: 'date', days: daysSince2000 + DAYS_TO_2000 }
}

export function timestampOf(usSince2000: bigint): ConstantValue {
  if (usSince2000 === INT8_MAX) return { kind: 'timestamp', us: 'infinity' }
  if (usSince2000 === INT8_MIN) return { kind: 'timestamp', us: '-infinity' }
  return { kind: 'timestamp', us: usSince2000 + US_TO_2000 }
}

function intervalOf(image: Buffer): ConstantValue {
  const us = image.readBigInt64LE(0), days = image.readInt32LE(8), months = image.readInt32LE(12)
  // 17 and later: all fields at their extremes mean infinity.
  if (us === INT8_MAX || us === INT8_MIN) refuse('an interval constant is infinite')
  return { kind: 'interval', us, days, months }
}

export function uuidText(bytes: Buffer): string {
  if (bytes.length !== 16) throw new RangeError('uuid')
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-` +
    hex.slice(20)
}

function decodeNumeric(data: Buffer): ConstantValue {
  const header = data.readUInt16LE(0)
  let negative: boolean, scale: number, weight: number, digitsAt: number
  if ((header & 0xc000) === 0xc000) refuse('a numeric constant is NaN or infinite')
  if ((header & 0x8000) !== 0) {
    negative = (header & 0x2000) !== 0
    scale = (header & 0x1f80) >> 7
    weight = (header & 0x3f) - ((header & 0x40) !== 0 ? 0x40 : 0)
    digitsAt = 2
  } else {
    negative = (header & 0xc000) === 0x4000
    scale = header & 0x3fff
    weight = data.readInt16LE(2)
    digitsAt = 4
  }
  const digits: number[] = []
  for (let at = digitsAt; at + 1 < data.length; at += 2) digits.push(data.readInt16LE(at))
  return numericOf({ digits, weight, scale, negative })
}

/** Base-10000 digits, the first of weight 10000^weight; `scale` decimals are shown. */
export function numericOf(parts: {
  readonly digits: readonly number[]; readonly weight: number
  readonly scale: number; readonly negative: boolean
}): ConstantValue {
  if (parts.scale > 1000 || Math.abs(parts.weight) > 300) {
    refuse('a numeric constant is too long')
  }
  let value = 0n
  for (const digit of parts.digits) {
    if (digit < 0 || digit > 9999) throw new RangeError('numeric digit')
    value = value * 10_000n + BigInt(digit)
  }
  // value counts units of 10000^(weight - digits + 1); shift it to 10^-scale.
  const shift = 4 * (parts.weight - parts.digits.length + 1) + parts.scale
  if (shift >= 0) value *= 10n ** BigInt(shift)
  else {
    const divisor = 10n ** BigInt(-shift)
    if (value % divisor !== 0n) throw new RangeError('numeric digits below its scale')
    value /= divisor
  }
  return { kind: 'numeric', unscaled: parts.negative ? -value : value, scale: parts.scale }
}

const FIXED_SIZE: ReadonlyMap<number, number> = new Map([
  [PgType.bool, 1], [PgType.int2, 2], [PgType.int4, 4], [PgType.int8, 8],
  [PgType.float4, 4], [PgType.float8, 8], [PgType.date, 4], [PgType.timestamp, 8],
  [PgType.timestamptz, 8], [PgType.uuid, 16],
])

/** utils/array.h, after the varlena header: ndim, dataoffset, elemtype, dims, lower bounds. */
function decodeArray(elementOid: number, data: Buffer): ConstantValue {
  const dimensions = data.readInt32LE(0), dataOffset = data.readInt32LE(4)
  if (data.readUInt32LE(8) !== elementOid) throw new RangeError('array element type')
  if (dimensions === 0) return { kind: 'array', elementOid, items: [] }
  if (dimensions !== 1) refuse('an array constant has more than one dimension')
  const count = data.readInt32LE(12)
  if (data.readInt32LE(16) !== 1) refuse('an array constant does not start at 1')
  // dataoffset counts from the varlena header; 0 means that there is no null bitmap.
  let at = dataOffset === 0 ? 20 : dataOffset - 4
  const items: ConstantValue[] = []
  for (let index = 0; index < count; index++) {
    if (dataOffset !== 0 && (data.readUInt8(20 + (index >> 3)) & (1 << (index & 7))) === 0) {
      items.push(NULL_CONSTANT)
      continue
    }
    const element = elementAt(elementOid, data, at)
    items.push(decodeImage(elementOid, element.image))
    at = element.next
  }
  return { kind: 'array', elementOid, items }
}

function elementAt(elementOid: number, data: Buffer, at: number): {
  readonly image: Buffer; readonly next: number
} {
  const size = FIXED_SIZE.get(elementOid)
  if (size !== undefined) {
    // Alignment equals size for these, but for uuid (1) and what is wider than a Datum.
    const align = elementOid === PgType.uuid ? 1 : size
    const start = alignUp(at + 4, align) - 4
    if (start + size > data.length) throw new RangeError('array data')
    return { image: data.subarray(start, start + size), next: start + size }
  }
  const first = data.readUInt8(at)
  if ((first & 1) === 1 && first !== 1) {
    // A packed element: one header byte, (length << 1) | 1, unaligned.
    const length = first >> 1
    const image = Buffer.alloc(length + 3)
    image.writeUInt32LE((length + 3) << 2, 0)
    data.copy(image, 4, at + 1, at + length)
    return { image, next: at + length }
  }
  const start = alignUp(at + 4, 4) - 4
  const length = data.readUInt32LE(start) >>> 2
  if (start + length > data.length) throw new RangeError('array data')
  return { image: data.subarray(start, start + length), next: start + length }
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to
}
