/**
 * Value: one scalar of a primitive Delta type, and its text in partition values and predicates.
 *
 * V1  Exact: integers and decimals keep every digit, times are whole microseconds.
 * V2  `compareKeys` is the order that every Delta reader filters by: texts and bytes by their
 *     bytes (UTF-8), NaN equal to itself and above all else, -0.0 equal to 0.0.
 *
 * Source: PROTOCOL.md "Partition Value Serialization".
 */
import { decimalOf, type PrimitiveType } from './schema.ts'

export type Value =
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: bigint }
  | { readonly kind: 'decimal'; readonly unscaled: bigint; readonly scale: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'binary'; readonly value: Uint8Array }
  /** Since 1970-01-01. */
  | { readonly kind: 'date'; readonly days: number }
  /** Since 1970-01-01 00:00:00, UTC or of no zone. */
  | { readonly kind: 'timestamp'; readonly micros: bigint }

/** What values of one type are ordered by; `number` and `bigint` mix within a type. */
export type Key = number | bigint | string

const DAY_MS = 86_400_000
const DAY_MICROS = 86_400_000_000n

const INTEGER_BITS: Readonly<Record<string, number>> = { byte: 8, short: 16, integer: 32, long: 64 }

/** Least and greatest value of an integer type; null for any other type. */
export function integerRange(type: PrimitiveType): { min: bigint; max: bigint } | null {
  const bits = INTEGER_BITS[type]
  if (bits === undefined) return null
  const half = 1n << BigInt(bits - 1)
  return { min: -half, max: half - 1n }
}

/** null when the text is no value of the type, or one that the type cannot hold. */
export function parseValue(type: PrimitiveType, text: string): Value | null {
  switch (type) {
    case 'string': return { kind: 'string', value: text }
    case 'binary': return { kind: 'binary', value: Buffer.from(text, 'utf8') }
    case 'boolean': return booleanOf(text)
    case 'byte': case 'short': case 'integer': case 'long': return integerOf(type, text)
    case 'float': case 'double': return floatOf(type, text)
    case 'date': return dateOf(text)
    case 'timestamp': case 'timestamp_ntz': return timestampOf(type, text)
    default: return decimalValueOf(type, text)
  }
}

function booleanOf(text: string): Value | null {
  const folded = text.toLowerCase()
  return folded === 'true' || folded === 'false'
    ? { kind: 'boolean', value: folded === 'true' } : null
}

function integerOf(type: PrimitiveType, text: string): Value | null {
  const range = integerRange(type)
  if (range === null || !/^[+-]?\d{1,20}$/.test(text)) return null
  const value = BigInt(text.replace(/^\+/, ''))
  return value < range.min || value > range.max ? null : { kind: 'integer', value }
}

const INFINITY = /^([+-]?)inf(?:inity)?$/i

function floatOf(type: PrimitiveType, text: string): Value | null {
  const infinite = INFINITY.exec(text)
  if (infinite !== null) return { kind: 'float', value: infinite[1] === '-' ? -Infinity : Infinity }
  if (/^nan$/i.test(text)) return { kind: 'float', value: NaN }
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/.test(text)) return null
  const value = Number(text)
  return { kind: 'float', value: type === 'float' ? Math.fround(value) : value }
}

/** A number's digits: value = unscaled / 10^scale; null for what is no plain number. */
export function parseDecimal(text: string): { unscaled: bigint; scale: number } | null {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/.exec(text)
  if (match === null) return null
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  if (whole + fraction === '' || whole.length + fraction.length > 400) return null
  const digits = BigInt(whole + fraction)
  const signed = sign === '-' ? -digits : digits
  const scale = fraction.length - Number(exponent)
  if (scale > 800 || scale < -800) return null
  return scale >= 0 ? { unscaled: signed, scale }
    : { unscaled: signed * 10n ** BigInt(-scale), scale: 0 }
}

/** The same number at another scale; null when digits would be lost. */
export function rescaled(unscaled: bigint, from: number, to: number): bigint | null {
  if (to >= from) return unscaled * 10n ** BigInt(to - from)
  const factor = 10n ** BigInt(from - to)
  return unscaled % factor === 0n ? unscaled / factor : null
}

function decimalValueOf(type: PrimitiveType, text: string): Value | null {
  const shape = decimalOf(type)
  const parsed = parseDecimal(text)
  if (shape === null || parsed === null) return null
  const unscaled = rescaled(parsed.unscaled, parsed.scale, shape.scale)
  if (unscaled === null || abs(unscaled) >= 10n ** BigInt(shape.precision)) return null
  return { kind: 'decimal', unscaled, scale: shape.scale }
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value
}

const DATE = /^([+-]?\d{4,6})-(\d\d?)-(\d\d?)$/

function dateOf(text: string): Value | null {
  const days = parseDays(text)
  return days === null ? null : { kind: 'date', days }
}

/** Days since 1970-01-01 of a proleptic Gregorian date; null when there is no such date. */
export function parseDays(text: string): number | null {
  const match = DATE.exec(text)
  if (match === null) return null
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (Number.isNaN(date.getTime()) || date.getUTCMonth() !== month - 1
    || date.getUTCDate() !== day) return null
  return date.getTime() / DAY_MS
}

const TIME = /^(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?$/
const ZONE = /(?:Z| ?UTC|([+-])(\d\d):?(\d\d)?(?::?(\d\d))?)$/

/** A moment as in `1970-01-01 00:00:00.123456` or ISO 8601; `zoned`: it named its offset. */
export function parseMoment(text: string): { micros: bigint; zoned: boolean } | null {
  const cut = text.search(/[T ]/)
  const days = parseDays(cut === -1 ? text : text.slice(0, cut))
  if (days === null) return null
  if (cut === -1) return { micros: BigInt(days) * DAY_MICROS, zoned: false }
  const rest = text.slice(cut + 1)
  const zone = ZONE.exec(rest)
  const time = TIME.exec(zone === null ? rest : rest.slice(0, zone.index))
  if (time === null) return null
  const [hours, minutes, seconds] = [Number(time[1]), Number(time[2]), Number(time[3] ?? '0')]
  const fraction = (time[4] ?? '').replace(/0+$/, '')
  if (hours > 23 || minutes > 59 || seconds > 59 || fraction.length > 6) return null
  const micros = BigInt(days) * DAY_MICROS
    + BigInt((hours * 60 + minutes) * 60 + seconds) * 1_000_000n
    + BigInt(fraction.padEnd(6, '0')) - offsetMicros(zone)
  return { micros, zoned: zone !== null }
}

function offsetMicros(zone: RegExpExecArray | null): bigint {
  if (zone?.[1] === undefined) return 0n
  const seconds = Number(zone[2]) * 3600 + Number(zone[3] ?? '0') * 60 + Number(zone[4] ?? '0')
  return BigInt(zone[1] === '-' ? -seconds : seconds) * 1_000_000n
}

/** A `timestamp` without a zone is UTC; a `timestamp_ntz` with one is no value. */
function timestampOf(type: PrimitiveType, text: string): Value | null {
  const moment = parseMoment(text)
  if (moment === null || (type === 'timestamp_ntz' && moment.zoned)) return null
  return { kind: 'timestamp', micros: moment.micros }
}

/** V2. Values of one column's type are in the order of their keys. */
export function keyOf(value: Value): Key {
  switch (value.kind) {
    case 'boolean': return value.value ? 1 : 0
    case 'integer': return smallest(value.value)
    case 'decimal': return smallest(value.unscaled)
    case 'float': case 'string': return value.value
    case 'binary': return Buffer.from(value.value).toString('latin1')
    case 'date': return value.days
    case 'timestamp': return smallest(value.micros)
  }
}

/** Numbers are much faster than bigints, and order the same among them. */
function smallest(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** V2: below 0, 0, above 0. Both keys are of one type. */
export function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (a < b) return -1
  if (a > b) return 1
  // Equal, or NaN is among them.
  const [aIsNaN, bIsNaN] = [Number.isNaN(a), Number.isNaN(b)]
  return aIsNaN === bIsNaN ? 0 : aIsNaN ? 1 : -1
}

/** As UTF-8 bytes compare: by code point, where JavaScript compares UTF-16 units. */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  let at = 0
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  if (at === length) return a.length - b.length
  const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)]
  // Surrogates (D800–DFFF) stand for what is above every other unit.
  const [xIsSurrogate, yIsSurrogate] = [(x & 0xf800) === 0xd800, (y & 0xf800) === 0xd800]
  if (xIsSurrogate !== yIsSurrogate) return xIsSurrogate ? 1 : -1
  return x - y
}
