/**
 * ScalarBinary: one non-null DuckDB value in PostgreSQL's binary format (the types' _send).
 *
 * Y1  As X1: an unexpected DuckDB type is refused. A type whose only form in the mirror is
 *     text is refused too, unless its binary form is that text.
 */
import { DuckDBDecimalType, DuckDBTypeId } from '@duckdb/node-api'
import { DATE_INFINITY, TIMESTAMP_INFINITY } from './date-text.ts'
import { numericBinary, parseNumeric } from './numeric.ts'
import { numericScale, PG } from './pg-types.ts'
import { readInteger, readUuid } from './scalar-read.ts'
import { paddedText, unexpected, type ScalarType, type ScalarWriter } from './scalar-text.ts'
import { EncodingRefusal } from './session-format.ts'
import { bytesAt, type Vector, type VectorData } from '../olap/vector-data.ts'
import type { ByteWriter } from './byte-writer.ts'

type Data<K extends VectorData['kind']> = Extract<VectorData, { readonly kind: K }>

/** 2000-01-01, PostgreSQL's epoch, in days and microseconds since 1970-01-01. */
const EPOCH_DAYS = 10_957
const EPOCH_MICROS = 946_684_800_000_000n
const INT32_MIN = -2147483648
const INT32_MAX = 2147483647
const INT64_MIN = -(1n << 63n)
const INT64_MAX = (1n << 63n) - 1n

export function scalarBinary(type: ScalarType): ScalarWriter {
  const id = type.duckdb.typeId
  const expect = (wanted: DuckDBTypeId, writer: ScalarWriter): ScalarWriter => {
    if (id !== wanted) throw unexpected(type)
    return writer
  }
  switch (type.typeOid) {
    case PG.bool: return expect(DuckDBTypeId.BOOLEAN, writeBool)
    case PG.int2: case PG.int4: case PG.int8: return integerBinary(type)
    case PG.float4: return expect(DuckDBTypeId.FLOAT, (vector, row, out) => {
      out.float32((vector.data as Data<'float'>).items[row]!)
    })
    case PG.float8: return expect(DuckDBTypeId.DOUBLE, (vector, row, out) => {
      out.float64((vector.data as Data<'float'>).items[row]!)
    })
    case PG.numeric: return numericColumnBinary(type)
    case PG.text: case PG.varchar: case PG.name: case PG.unknown: case PG.json:
      return expect(DuckDBTypeId.VARCHAR, writeBytes)
    case PG.bpchar: return expect(DuckDBTypeId.VARCHAR, paddedText(type.typmod))
    case PG.bytea: return expect(DuckDBTypeId.BLOB, writeBytes)
    case PG.jsonb: return expect(DuckDBTypeId.VARCHAR, (vector, row, out) => {
      out.byte(1)
      writeBytes(vector, row, out)
    })
    case PG.date: return expect(DuckDBTypeId.DATE, writeDate)
    case PG.timestamp: return expect(DuckDBTypeId.TIMESTAMP, writeMicros)
    case PG.timestamptz: return expect(DuckDBTypeId.TIMESTAMP_TZ, writeMicros)
    case PG.time: return expect(DuckDBTypeId.TIME, (vector, row, out) => {
      out.int64((vector.data as Data<'int64'>).items[row]!)
    })
    case PG.interval: return expect(DuckDBTypeId.INTERVAL, writeInterval)
    case PG.uuid: return id === DuckDBTypeId.UUID ? writeUuid
      : expect(DuckDBTypeId.VARCHAR, writeUuidText)
    default: throw new EncodingRefusal(`no binary format for type ${type.typeOid}`)
  }
}

/** Whether a result column of this type can be sent in binary at all. */
export function hasBinaryFormat(typeOid: number): boolean {
  return BINARY_TYPES.has(typeOid)
}

const BINARY_TYPES = new Set<number>([
  PG.bool, PG.int2, PG.int4, PG.int8, PG.float4, PG.float8, PG.numeric, PG.text, PG.varchar,
  PG.name, PG.unknown, PG.json, PG.bytea, PG.jsonb, PG.date, PG.timestamp, PG.timestamptz,
  PG.time, PG.interval, PG.uuid, PG.bpchar,
])

const writeBool: ScalarWriter = (vector, row, out) => {
  out.byte((vector.data as Data<'bool'>).items[row] === 0 ? 0 : 1)
}

const writeBytes: ScalarWriter = (vector, row, out) => {
  out.bytes(bytesAt(vector.data as Data<'bytes'>, row))
}

const writeDate: ScalarWriter = (vector, row, out) => {
  const days = (vector.data as Data<'int'>).items[row]!
  if (days === DATE_INFINITY) out.int32(INT32_MAX)
  else if (days === -DATE_INFINITY) out.int32(INT32_MIN)
  else out.int32(days - EPOCH_DAYS)
}

const writeMicros: ScalarWriter = (vector, row, out) => {
  const micros = (vector.data as Data<'int64'>).items[row]!
  if (micros === TIMESTAMP_INFINITY) out.int64(INT64_MAX)
  else if (micros === -TIMESTAMP_INFINITY) out.int64(INT64_MIN)
  else out.int64(micros - EPOCH_MICROS)
}

const writeInterval: ScalarWriter = (vector, row, out) => {
  const { view } = vector.data as Data<'interval'>
  const at = row * 16
  out.int64(view.getBigInt64(at + 8, true))
  out.int32(view.getInt32(at + 4, true))
  out.int32(view.getInt32(at, true))
}

const writeUuid: ScalarWriter = (vector, row, out) => {
  out.bytes(Buffer.from(readUuid(vector, row).toString(16).padStart(32, '0'), 'hex'))
}

const writeUuidText: ScalarWriter = (vector, row, out) => {
  const text = Buffer.from(bytesAt(vector.data as Data<'bytes'>, row)).toString('latin1')
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  if (bytes.length !== 16) throw new EncodingRefusal('a uuid is not in its usual form')
  out.bytes(bytes)
}

function integerBinary(type: ScalarType): ScalarWriter {
  const read = readInteger(type)
  switch (type.typeOid) {
    case PG.int2: return (vector, row, out) => out.int16(Number(read(vector, row)))
    case PG.int4: return (vector, row, out) => out.int32(Number(read(vector, row)))
    default: return (vector, row, out) => out.int64(BigInt(read(vector, row)))
  }
}

function numericColumnBinary(type: ScalarType): ScalarWriter {
  if (type.duckdb.typeId === DuckDBTypeId.VARCHAR) return numericFromText
  const scale = numericScale(type.typmod)
  if (!(type.duckdb instanceof DuckDBDecimalType) || type.duckdb.scale !== scale) {
    throw unexpected(type)
  }
  const read = readInteger(type)
  return (vector: Vector, row: number, out: ByteWriter) => {
    out.bytes(numericBinary({ unscaled: BigInt(read(vector, row)), scale }))
  }
}

const numericFromText: ScalarWriter = (vector, row, out) => {
  const text = Buffer.from(bytesAt(vector.data as Data<'bytes'>, row)).toString('latin1')
  const value = parseNumeric(text)
  if (value === null) throw new EncodingRefusal('a numeric without binary form here')
  out.bytes(numericBinary(value))
}
