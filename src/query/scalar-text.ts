/**
 * ScalarText: one non-null DuckDB value as PostgreSQL's text, by PostgreSQL's type.
 *
 * X1  A DuckDB type that is not expected for the PostgreSQL type is refused, never converted.
 */
import { DuckDBDecimalType, DuckDBTypeId, type DuckDBType } from '@duckdb/node-api'
import { intervalText, writeDate, writeTime, writeTimestamp, writeTimestampTz,
  TIMESTAMP_INFINITY } from './date-text.ts'
import { float4Text, float8Text } from './float-text.ts'
import { numericText } from './numeric.ts'
import { numericScale, opaqueRule, PG, type OpaqueRule } from './pg-types.ts'
import { readInteger, readUuid, type IntegerReader } from './scalar-read.ts'
import { EncodingRefusal, type SessionFormat } from './session-format.ts'
import { bytesAt, type Vector, type VectorData } from '../olap/vector-data.ts'
import type { ByteWriter } from './byte-writer.ts'

/** Writes the value at `row`, which is not NULL. */
export type ScalarWriter = (vector: Vector, row: number, out: ByteWriter) => void

export interface ScalarType {
  readonly typeOid: number
  readonly typmod: number
  readonly duckdb: DuckDBType
}

type Data<K extends VectorData['kind']> = Extract<VectorData, { readonly kind: K }>

export function scalarText(type: ScalarType, format: SessionFormat): ScalarWriter {
  const id = type.duckdb.typeId
  switch (type.typeOid) {
    case PG.bool: return expect(type, id === DuckDBTypeId.BOOLEAN, writeBool)
    case PG.int2: case PG.int4: case PG.int8: return integerText(readInteger(type))
    case PG.float4:
      return expect(type, id === DuckDBTypeId.FLOAT, floatText(float4Text, format))
    case PG.float8:
      return expect(type, id === DuckDBTypeId.DOUBLE, floatText(float8Text, format))
    case PG.numeric: return numericColumnText(type)
    case PG.text: case PG.varchar: case PG.name: case PG.unknown:
      return expect(type, id === DuckDBTypeId.VARCHAR, writeBytes)
    case PG.bpchar: return expect(type, id === DuckDBTypeId.VARCHAR, paddedText(type.typmod))
    case PG.bytea: return expect(type, id === DuckDBTypeId.BLOB, byteaText(format))
    case PG.date: case PG.timestamp: case PG.timestamptz: return dateLikeText(type, format)
    case PG.uuid: return id === DuckDBTypeId.UUID ? writeUuid : opaqueText(type, format)
    case PG.time: return id === DuckDBTypeId.TIME ? writeClock : opaqueText(type, format)
    case PG.interval:
      if (id !== DuckDBTypeId.INTERVAL) return opaqueText(type, format)
      return settings(format.postgresIntervals, 'IntervalStyle', writeInterval)
    default: return opaqueText(type, format)
  }
}

/** `value` may be a safe integer or a bigint of any size. */
export function writeScaled(value: number | bigint, scale: number, out: ByteWriter): void {
  if (typeof value === 'bigint') {
    if (value > MAX_SAFE || value < -MAX_SAFE) {
      out.ascii(numericText({ unscaled: value, scale }))
      return
    }
    value = Number(value)
  }
  if (scale === 0) { out.integer(value); return }
  if (scale > SCALE_MAX) {
    out.ascii(numericText({ unscaled: BigInt(value), scale }))
    return
  }
  const size = Math.abs(value)
  const unit = POWERS[scale]!
  const whole = Math.floor(size / unit)
  if (value < 0) out.byte(0x2d)
  out.integer(whole)
  out.byte(0x2e)
  out.padded(size - whole * unit, scale)
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)
const SCALE_MAX = 15
const POWERS = Array.from({ length: SCALE_MAX + 1 }, (_, exponent) => 10 ** exponent)

function expect(type: ScalarType, holds: boolean, writer: ScalarWriter): ScalarWriter {
  if (!holds) throw unexpected(type)
  return writer
}

export function unexpected(type: ScalarType): EncodingRefusal {
  const name = DuckDBTypeId[type.duckdb.typeId]
  return new EncodingRefusal(`DuckDB type ${name} for PostgreSQL type ${type.typeOid}`)
}

function settings(holds: boolean, name: string, writer: ScalarWriter): ScalarWriter {
  if (!holds) throw new EncodingRefusal(`${name} is not one that the columnar engine prints`)
  return writer
}

const writeBool: ScalarWriter = (vector, row, out) => {
  out.byte((vector.data as Data<'bool'>).items[row] === 0 ? 0x66 : 0x74)
}

const writeBytes: ScalarWriter = (vector, row, out) => {
  out.bytes(bytesAt(vector.data as Data<'bytes'>, row))
}

const writeUuid: ScalarWriter = (vector, row, out) => {
  const hex = readUuid(vector, row).toString(16).padStart(32, '0')
  out.ascii(`${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-` +
    `${hex.slice(16, 20)}-${hex.slice(20)}`)
}

const writeClock: ScalarWriter = (vector, row, out) => {
  writeTime(Number((vector.data as Data<'int64'>).items[row]!), out)
}

const writeInterval: ScalarWriter = (vector, row, out) => {
  const { view } = vector.data as Data<'interval'>
  const at = row * 16
  out.ascii(intervalText(
    view.getInt32(at, true), view.getInt32(at + 4, true), view.getBigInt64(at + 8, true)))
}

function integerText(read: IntegerReader): ScalarWriter {
  return (vector, row, out) => writeScaled(read(vector, row), 0, out)
}

function floatText(
  text: (value: number, extraFloatDigits: number) => string, format: SessionFormat,
): ScalarWriter {
  const digits = format.extraFloatDigits
  return (vector, row, out) => {
    out.ascii(text((vector.data as Data<'float'>).items[row]!, digits))
  }
}

/** numeric as it is: the column's own scale must be the one that PostgreSQL prints. */
function numericColumnText(type: ScalarType): ScalarWriter {
  if (type.duckdb.typeId === DuckDBTypeId.VARCHAR) return writeBytes
  const scale = numericScale(type.typmod)
  if (!(type.duckdb instanceof DuckDBDecimalType) || type.duckdb.scale !== scale) {
    throw unexpected(type)
  }
  const read = readInteger(type)
  return (vector, row, out) => writeScaled(read(vector, row), scale, out)
}

/** char(n): the mirror keeps it without trailing blanks. */
export function paddedText(typmod: number): ScalarWriter {
  if (typmod < 4) return writeBytes
  const length = typmod - 4
  return (vector, row, out) => {
    const bytes = bytesAt(vector.data as Data<'bytes'>, row)
    out.bytes(bytes)
    for (let have = characters(bytes); have < length; have++) out.byte(0x20)
  }
}

function characters(utf8: Uint8Array): number {
  let count = 0
  for (let i = 0; i < utf8.length; i++) if ((utf8[i]! & 0xc0) !== 0x80) count++
  return count
}

function byteaText(format: SessionFormat): ScalarWriter {
  if (format.byteaOutput === 'hex') {
    return (vector, row, out) => {
      const bytes = bytesAt(vector.data as Data<'bytes'>, row)
      out.ascii(`\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}`)
    }
  }
  if (format.byteaOutput === null) throw new EncodingRefusal('bytea_output is not known')
  return (vector, row, out) => {
    for (const byte of bytesAt(vector.data as Data<'bytes'>, row)) {
      if (byte === 0x5c) out.ascii('\\\\')
      else if (byte < 0x20 || byte > 0x7e) out.ascii(`\\${byte.toString(8).padStart(3, '0')}`)
      else out.byte(byte)
    }
  }
}

function dateLikeText(type: ScalarType, format: SessionFormat): ScalarWriter {
  const id = type.duckdb.typeId
  if (!format.isoDates) return settings(false, 'DateStyle', writeBytes)
  if (type.typeOid === PG.date) {
    return expect(type, id === DuckDBTypeId.DATE, (vector, row, out) => {
      writeDate((vector.data as Data<'int'>).items[row]!, out)
    })
  }
  if (type.typeOid === PG.timestamp) {
    return expect(type, id === DuckDBTypeId.TIMESTAMP, (vector, row, out) => {
      writeTimestamp((vector.data as Data<'int64'>).items[row]!, out)
    })
  }
  const { zone } = format
  return expect(type, id === DuckDBTypeId.TIMESTAMP_TZ, (vector, row, out) => {
    const micros = (vector.data as Data<'int64'>).items[row]!
    const infinite = micros === TIMESTAMP_INFINITY || micros === -TIMESTAMP_INFINITY
    const offset = infinite ? 0 : zone.at(micros)
    if (offset === null) throw new EncodingRefusal('a timestamptz beyond the known zone changes')
    writeTimestampTz(micros, offset, out)
  })
}

/** A type without a columnar home: the mirror holds PostgreSQL's own text. */
function opaqueText(type: ScalarType, format: SessionFormat): ScalarWriter {
  if (type.duckdb.typeId !== DuckDBTypeId.VARCHAR) throw unexpected(type)
  if (!faithful(opaqueRule(type.typeOid), format)) {
    throw new EncodingRefusal(`text of type ${type.typeOid} depends on the session's settings`)
  }
  return writeBytes
}

function faithful(rule: OpaqueRule, format: SessionFormat): boolean {
  switch (rule) {
    case 'always': return true
    case 'date-style': return format.isoDates
    case 'interval-style': return format.postgresIntervals
    case 'all-settings': return format.likeMirror
    case 'never': return false
  }
}
