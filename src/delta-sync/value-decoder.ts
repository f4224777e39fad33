/**
 * ValueDecoder: PostgreSQL's text of one column as a MirrorValue.
 *
 * V1  The value is exact, or UnmirrorableValue is thrown: nothing is rounded, clamped or nulled.
 * V2  The error names no value.
 *
 * Text is of a session with datestyle ISO, timezone UTC, extra_float_digits 1, bytea_output hex.
 */
import { unreachable } from '../base/assert.ts'
import type { MirrorScalar, MirrorType } from '../mirror/mirror-type.ts'
import type { MirrorScalarValue, MirrorValue } from '../mirror/mirror-value.ts'

/** V1. `why` is safe to show; the table adds its column's name. */
export class UnmirrorableValue extends Error {
  override readonly name = 'UnmirrorableValue'
  readonly why: string
  constructor(why: string) {
    super(`a value cannot be mirrored: ${why}`)
    this.why = why
  }
}

export type Decode = (text: Buffer) => MirrorValue

export function decoderOf(type: MirrorType): Decode {
  if (type.kind === 'array') {
    const element = scalarDecoder(type.element)
    return (text) => parseArray(text.toString('utf8')).map(
      (item) => item === null ? null : element(item))
  }
  const scalar = scalarDecoder(type)
  switch (type.kind) {
    case 'text': case 'bpchar': case 'uuid': case 'opaque':
      return (text) => scalar(text.toString('utf8'))
    case 'int2': case 'int4': return decodeSmallInteger
    default: return (text) => scalar(text.toString('latin1'))
  }
}

function scalarDecoder(type: MirrorScalar): (text: string) => MirrorScalarValue {
  switch (type.kind) {
    case 'int2': case 'int4': return Number
    case 'int8': return BigInt
    case 'float4': case 'float8': return decodeFloat
    case 'bool': return (text) => text === 't'
    case 'decimal': {
      const { precision, scale } = type
      return (text) => decodeDecimal(text, precision, scale)
    }
    case 'date': return decodeDate
    case 'timestamp': case 'timestamptz': return decodeTimestamp
    case 'bytea': return (text) => Buffer.from(text.slice(2), 'hex')
    case 'bpchar': return trimBlanks
    case 'text': case 'uuid': case 'opaque': return (text) => text
    default: return unreachable(type)
  }
}

/** ASCII digits with a sign, without a string between. */
function decodeSmallInteger(text: Buffer): number {
  let value = 0
  const negative = text[0] === 0x2d
  for (let at = negative ? 1 : 0; at < text.length; at++) {
    value = value * 10 + (text[at] ?? 0) - 0x30
  }
  return negative ? -value : value
}

function decodeFloat(text: string): number {
  // Number reads PostgreSQL's NaN, Infinity and -Infinity as well.
  return Number(text)
}

function trimBlanks(text: string): string {
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) === 0x20) end--
  return end === text.length ? text : text.slice(0, end)
}

/** Unscaled, with exactly `scale` decimals. */
function decodeDecimal(text: string, precision: number, scale: number): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null) throw new UnmirrorableValue('numeric NaN or infinity')
  const written = match[3] ?? ''
  // Zeros that end it are PostgreSQL's display scale, not the value.
  const fraction = written.length > scale ? written.replace(/0+$/, '') : written
  if (fraction.length > scale) {
    throw new UnmirrorableValue(`numeric with more than ${scale} decimals`)
  }
  const digits = `${match[2]}${fraction}${'0'.repeat(scale - fraction.length)}`
  const significant = digits.replace(/^0+/, '')
  if (significant.length > precision) {
    throw new UnmirrorableValue(
      `numeric with more than ${precision - scale} digits before the point`)
  }
  const value = BigInt(digits)
  return match[1] === '-' ? -value : value
}

/** Days since 1970-01-01 (proleptic Gregorian), after Howard Hinnant's days_from_civil. */
function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100)
    + dayOfYear
  return era * 146097 + dayOfEra - 719468
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/
const OUT_OF_RANGE = 'date or time outside the years 0001 to 9999, or infinite'

function decodeDate(text: string): number {
  const match = DATE.exec(text)
  if (match === null) throw new UnmirrorableValue(OUT_OF_RANGE)
  return daysFromCivil(Number(match[1]), Number(match[2]), Number(match[3]))
}

const TIMESTAMP = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(?:\+00)?$/

function decodeTimestamp(text: string): bigint {
  const match = TIMESTAMP.exec(text)
  if (match === null) throw new UnmirrorableValue(OUT_OF_RANGE)
  const days = daysFromCivil(Number(match[1]), Number(match[2]), Number(match[3]))
  const seconds = days * 86400 + Number(match[4]) * 3600 + Number(match[5]) * 60 + Number(match[6])
  // Seconds of the years 0001..9999 times 10^6 pass 2^53: only the last step is a bigint.
  return BigInt(seconds) * 1000000n + BigInt((match[7] ?? '').padEnd(6, '0'))
}

/** Elements of a one-dimensional array that begins at 1; null for NULL. */
function parseArray(text: string): (string | null)[] {
  if (!text.startsWith('{') || text.startsWith('{{')) {
    throw new UnmirrorableValue('array of several dimensions or with other bounds than 1')
  }
  const elements: (string | null)[] = []
  let at = 1
  while (at < text.length && text[at] !== '}') {
    if (text[at] === '"') {
      let element = ''
      at++
      while (at < text.length && text[at] !== '"') {
        if (text[at] === '\\') at++
        element += text[at]
        at++
      }
      at++
      elements.push(element)
    } else {
      const start = at
      while (at < text.length && text[at] !== ',' && text[at] !== '}') at++
      const element = text.slice(start, at)
      elements.push(element === 'NULL' ? null : element)
    }
    if (text[at] === ',') at++
  }
  return elements
}
