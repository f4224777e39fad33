/**
 * ScalarRead: integers out of DuckDB vectors, checked against PostgreSQL's range.
 */
import { DuckDBDecimalType, DuckDBTypeId, type DuckDBType } from '@duckdb/node-api'
import { PG } from './pg-types.ts'
import { EncodingRefusal } from './session-format.ts'
import { int128At, type Vector, type VectorData } from '../olap/vector-data.ts'

/** The stored integer of a value that is not NULL; a DECIMAL's is unscaled. */
export type IntegerReader = (vector: Vector, row: number) => number | bigint

type Data<K extends VectorData['kind']> = Extract<VectorData, { readonly kind: K }>

interface Range { readonly low: bigint; readonly high: bigint; readonly bits: number }

const RANGES: ReadonlyMap<number, Range> = new Map([
  [PG.int2, rangeOf(16)], [PG.int4, rangeOf(32)], [PG.int8, rangeOf(64)],
])

const WIDTHS: ReadonlyMap<DuckDBTypeId, number> = new Map([
  [DuckDBTypeId.TINYINT, 8], [DuckDBTypeId.SMALLINT, 16], [DuckDBTypeId.INTEGER, 32],
  [DuckDBTypeId.BIGINT, 64], [DuckDBTypeId.HUGEINT, 128],
])

/** For int2, int4, int8 within their range; for other types whatever integer is stored. */
export function readInteger(type: {
  readonly typeOid: number
  readonly duckdb: DuckDBType
}): IntegerReader {
  const range = RANGES.get(type.typeOid)
  const width = WIDTHS.get(type.duckdb.typeId)
  if (range !== undefined && width === undefined) {
    const name = DuckDBTypeId[type.duckdb.typeId]
    throw new EncodingRefusal(`DuckDB type ${name} for PostgreSQL type ${type.typeOid}`)
  }
  const read = readStored(type.duckdb)
  if (range === undefined || width! <= range.bits) return read
  return (vector, row) => {
    const value = read(vector, row)
    if (value < range.low || value > range.high) {
      throw new EncodingRefusal('an integer is out of its type\'s range')
    }
    return value
  }
}

/** Scale of an integer or DECIMAL type; null for every other type. */
export function storedScale(type: DuckDBType): number | null {
  if (type instanceof DuckDBDecimalType) return type.scale
  return WIDTHS.has(type.typeId) ? 0 : null
}

/** DuckDB keeps a UUID as a signed integer with its first bit flipped, so that it sorts. */
export function readUuid(vector: Vector, row: number): bigint {
  const stored = int128At((vector.data as Data<'int128'>).view, row)
  return BigInt.asUintN(128, stored) ^ (1n << 127n)
}

function readStored(type: DuckDBType): IntegerReader {
  const width = type instanceof DuckDBDecimalType
    ? decimalWidth(type.width)
    : WIDTHS.get(type.typeId)
  switch (width) {
    case 8: case 16: case 32:
      return (vector, row) => (vector.data as Data<'int'>).items[row]!
    case 64: return (vector, row) => (vector.data as Data<'int64'>).items[row]!
    case 128: return (vector, row) => int128At((vector.data as Data<'int128'>).view, row)
    default: throw new EncodingRefusal(`DuckDB type ${DuckDBTypeId[type.typeId]} for an integer`)
  }
}

function decimalWidth(digits: number): number {
  if (digits <= 4) return 16
  if (digits <= 9) return 32
  return digits <= 18 ? 64 : 128
}

function rangeOf(bits: number): Range {
  const half = 1n << BigInt(bits - 1)
  return { low: -half, high: half - 1n, bits }
}
