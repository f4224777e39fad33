/**
 * Parameter: a value as the client bound it, text or binary, read as PostgreSQL reads it.
 *
 * Text input of PostgreSQL is lenient (`1_000`, `Jan 5`, `t`); only the canonical forms are
 * taken here, everything else is refused and PostgreSQL answers.
 */
import {
  type ConstantValue, NULL_CONSTANT, dateOf, numericOf, timestampOf, US_TO_2000, utf8, uuidText,
} from './constant.ts'
import { ARRAY_ELEMENT, PgType, typeName } from './pg-type.ts'
import type { RouterParameter } from './plan.ts'
import { refuse } from './refusal.ts'

/** `typeOid`: the type that the analysed tree gives the parameter. */
export function decodeParameter(typeOid: number, parameter: RouterParameter): ConstantValue {
  if (parameter.typeOid !== 0 && parameter.typeOid !== typeOid) {
    refuse('a parameter has another type than the statement was analysed with')
  }
  if (parameter.value === null) return NULL_CONSTANT
  try {
    return parameter.format === 1
      ? binaryValue(typeOid, parameter.value)
      : textValue(typeOid, utf8(parameter.value))
  } catch (error) {
    if (error instanceof RangeError) refuse(`a ${typeName(typeOid)} parameter is malformed`)
    throw error
  }
}

/** The send functions' formats: big-endian. */
function binaryValue(typeOid: number, value: Buffer): ConstantValue {
  switch (typeOid) {
    case PgType.bool: return { kind: 'bool', value: sized(value, 1).readUInt8(0) !== 0 }
    case PgType.int2: return { kind: 'int', value: BigInt(sized(value, 2).readInt16BE(0)) }
    case PgType.int4: return { kind: 'int', value: BigInt(sized(value, 4).readInt32BE(0)) }
    case PgType.int8: return { kind: 'int', value: sized(value, 8).readBigInt64BE(0) }
    case PgType.float4: return { kind: 'float', value: sized(value, 4).readFloatBE(0) }
    case PgType.float8: return { kind: 'float', value: sized(value, 8).readDoubleBE(0) }
    case PgType.text: case PgType.varchar: return { kind: 'text', value: utf8(value) }
    case PgType.bpchar: return { kind: 'text', value: utf8(value).replace(/ +$/, '') }
    case PgType.bytea: return { kind: 'bytea', value }
    case PgType.uuid: return { kind: 'text', value: uuidText(value) }
    case PgType.date: return dateOf(sized(value, 4).readInt32BE(0))
    case PgType.timestamp: case PgType.timestamptz:
      return timestampOf(sized(value, 8).readBigInt64BE(0))
    case PgType.numeric: return binaryNumeric(value)
    default: return binaryArray(typeOid, value)
  }
}

function sized(value: Buffer, size: number): Buffer {
  if (value.length !== size) throw new RangeError('size')
  return value
}

function binaryNumeric(value: Buffer): ConstantValue {
  const count = value.readInt16BE(0), weight = value.readInt16BE(2)
  const sign = value.readUInt16BE(4), scale = value.readInt16BE(6)
  if (sign !== 0 && sign !== 0x4000) refuse('a numeric parameter is NaN or infinite')
  if (value.length !== 8 + 2 * count || scale < 0) throw new RangeError('numeric')
  const digits: number[] = []
  for (let index = 0; index < count; index++) digits.push(value.readInt16BE(8 + 2 * index))
  return numericOf({ digits, weight, scale, negative: sign !== 0 })
}

function binaryArray(typeOid: number, value: Buffer): ConstantValue {
  const elementOid = ARRAY_ELEMENT.get(typeOid)
  if (elementOid === undefined) refuse(`a parameter of ${typeName(typeOid)} is not understood`)
  const dimensions = value.readInt32BE(0)
  if (value.readUInt32BE(8) !== elementOid) throw new RangeError('element type')
  if (dimensions === 0) return { kind: 'array', elementOid, items: [] }
  if (dimensions !== 1) refuse('an array parameter has more than one dimension')
  const count = value.readInt32BE(12)
  if (value.readInt32BE(16) !== 1) refuse('an array parameter does not start at 1')
  const items: ConstantValue[] = []
  let at = 20
  for (let index = 0; index < count; index++) {
    const length = value.readInt32BE(at)
    at += 4
    if (length < 0) { items.push(NULL_CONSTANT); continue }
    if (at + length > value.length) throw new RangeError('array data')
    items.push(binaryValue(elementOid, value.subarray(at, at + length)))
    at += length
  }
  return { kind: 'array', elementOid, items }
}

const INT_RANGE: ReadonlyMap<number, bigint> = new Map([
  [PgType.int2, 1n << 15n], [PgType.int4, 1n << 31n], [PgType.int8, 1n << 63n],
])
const NUMERIC = /^([+-]?)(\d{1,200})(?:\.(\d{1,200}))?$/
const FLOAT = /^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/
const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/
const TIMESTAMP =
  /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::?\d\d)?)?$/

function textValue(typeOid: number, text: string): ConstantValue {
  switch (typeOid) {
    case PgType.text: case PgType.varchar: case PgType.unknown:
      return { kind: 'text', value: text }
    case PgType.bpchar: return { kind: 'text', value: text.replace(/ +$/, '') }
    case PgType.bool: return boolText(text)
    case PgType.int2: case PgType.int4: case PgType.int8: return intText(typeOid, text)
    case PgType.numeric: return numericText(text)
    case PgType.float4: case PgType.float8: {
      if (!FLOAT.test(text)) break
      const value = typeOid === PgType.float4 ? Math.fround(Number(text)) : Number(text)
      // The decimal is rounded twice for float4, and range errors are PostgreSQL's.
      if (typeOid === PgType.float4 || !Number.isFinite(value) || value === 0) break
      return { kind: 'float', value }
    }
    case PgType.uuid: if (UUID.test(text)) return { kind: 'text', value: text.toLowerCase() }; break
    case PgType.date: case PgType.timestamp: case PgType.timestamptz:
      return timeText(typeOid, text)
    default: break
  }
  refuse(`a ${typeName(typeOid)} parameter is not in its canonical form`)
}

function boolText(text: string): ConstantValue {
  if (text === 't' || text === 'true') return { kind: 'bool', value: true }
  if (text === 'f' || text === 'false') return { kind: 'bool', value: false }
  refuse('a bool parameter is not in its canonical form')
}

function intText(typeOid: number, text: string): ConstantValue {
  if (!/^-?\d{1,19}$/.test(text)) refuse('an integer parameter is not in its canonical form')
  const value = BigInt(text), limit = INT_RANGE.get(typeOid) ?? 0n
  if (value < -limit || value >= limit) refuse('an integer parameter is out of range')
  return { kind: 'int', value }
}

function numericText(text: string): ConstantValue {
  const match = NUMERIC.exec(text)
  if (match === null) refuse('a numeric parameter is not in its canonical form')
  const fraction = match[3] ?? ''
  const unscaled = BigInt((match[2] ?? '') + fraction)
  return { kind: 'numeric', unscaled: match[1] === '-' ? -unscaled : unscaled,
    scale: fraction.length }
}

function timeText(typeOid: number, text: string): ConstantValue {
  const whole = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text} 00:00:00` : text
  const match = TIMESTAMP.exec(whole)
  const zoned = match?.[8] !== undefined
  // Without a zone the session's applies, and a zone on a date or timestamp is dropped.
  if (match === null || zoned !== (typeOid === PgType.timestamptz) ||
    (typeOid === PgType.date && whole === text)) {
    refuse(`a ${typeName(typeOid)} parameter is not in its canonical form`)
  }
  const us = calendarUs(match)
  if (typeOid === PgType.date) return { kind: 'date', days: Number(us / 86_400_000_000n) }
  return timestampOf(us - zoneUs(match[8] ?? 'Z') - US_TO_2000)
}

function calendarUs(match: RegExpExecArray): bigint {
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number)
  const ms = Date.UTC(2000, (month ?? 0) - 1, day, hour, minute, second)
  const date = new Date(ms)
  date.setUTCFullYear(year ?? 0, (month ?? 0) - 1, day)
  if (year === 0 || date.getUTCMonth() + 1 !== month || date.getUTCDate() !== day ||
    (hour ?? 0) > 23 || (minute ?? 0) > 59 || (second ?? 0) > 59) {
    refuse('a time parameter is out of range')
  }
  return BigInt(date.getTime()) * 1000n + BigInt((match[7] ?? '').padEnd(6, '0'))
}

function zoneUs(zone: string): bigint {
  if (zone === 'Z') return 0n
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(':', '') || 0)
  if (minutes > 15 * 60) refuse('a time parameter is out of range')
  return BigInt(zone.startsWith('-') ? -minutes : minutes) * 60_000_000n
}
