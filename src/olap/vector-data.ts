/**
 * VectorData: a DuckDB vector's memory as typed arrays, with no boxed value per cell.
 *
 * V1  Arrays point into the chunk: they are valid only while the chunk is referenced, so
 *     nothing here outlives the chunk that it came from.
 * V2  VARCHAR is read as bytes: the client library's string reader drops a leading U+FEFF.
 * Source: duckdb.h (string_t: 4-byte length, then 12 bytes inline or prefix and pointer).
 */
import duckdb from '@duckdb/node-bindings'
import { StringHeap } from './string-heap.ts'
import { DuckDBTypeId, STRUCT, type DuckDBDataChunk, type DuckDBType } from '@duckdb/node-api'

export type VectorData =
  | { readonly kind: 'bool'; readonly items: Uint8Array }
  | { readonly kind: 'int'; readonly items: Int8Array | Int16Array | Int32Array }
  | { readonly kind: 'int64'; readonly items: BigInt64Array }
  | { readonly kind: 'int128'; readonly view: DataView }
  | { readonly kind: 'float'; readonly items: Float32Array | Float64Array }
  | { readonly kind: 'bytes'; readonly memory: Uint8Array; readonly heap: StringHeap }
  | { readonly kind: 'interval'; readonly view: DataView }
  /** A map is a list of structs of key and value. */
  | { readonly kind: 'list'; readonly entries: BigUint64Array; readonly child: Vector }
  | { readonly kind: 'struct'; readonly children: readonly Vector[] }

export interface Vector {
  /** Keeps the memory alive (V1). */
  readonly chunk: DuckDBDataChunk
  readonly data: VectorData
  /** null: no row is NULL. One bit a row, 1 = not NULL. */
  readonly validity: Uint8Array | null
}

const STRING_BYTES = 16
const INLINE_BYTES_MAX = 12

/** Column `index` of a chunk that has at least one row. */
export function readVector(chunk: DuckDBDataChunk, index: number, type: DuckDBType): Vector {
  const raw = duckdb.data_chunk_get_vector(chunk.chunk, index)
  return fromRaw(chunk, raw, chunk.rowCount, type)
}

export function isNull(vector: { readonly validity: Uint8Array | null }, row: number): boolean {
  const bits = vector.validity
  return bits !== null && (bits[row >> 3]! & (1 << (row & 7))) === 0
}

export function int128At(view: DataView, row: number): bigint {
  return (view.getBigInt64(row * 16 + 8, true) << 64n) | view.getBigUint64(row * 16, true)
}

/** The bytes of a string or blob; inline ones are a view into the vector. */
export function bytesAt(
  data: { readonly memory: Uint8Array; readonly heap: StringHeap }, row: number,
): Uint8Array {
  const length = data.heap.length(row)
  if (length > INLINE_BYTES_MAX) return data.heap.bytes(row)
  const at = row * STRING_BYTES + 4
  return data.memory.subarray(at, at + length)
}

function fromRaw(
  chunk: DuckDBDataChunk, raw: duckdb.Vector, rows: number, type: DuckDBType,
): Vector {
  const validityBytes = Math.ceil(rows / 64) * 8
  const validity = rows === 0
    ? null
    : duckdb.vector_get_validity(raw, validityBytes) as Uint8Array | null | undefined
  const known = { chunk, validity: validity ?? null }
  return { ...known, data: dataOf(known, raw, rows, type) }
}

function dataOf(
  known: Omit<Vector, 'data'>, raw: duckdb.Vector, rows: number, type: DuckDBType,
): VectorData {
  const memory = (width: number): Uint8Array =>
    rows === 0 ? new Uint8Array(0) : duckdb.vector_get_data(raw, rows * width)
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN: return { kind: 'bool', items: memory(1) }
    case DuckDBTypeId.TINYINT: return { kind: 'int', items: typed(Int8Array, memory(1), rows) }
    case DuckDBTypeId.SMALLINT: return { kind: 'int', items: typed(Int16Array, memory(2), rows) }
    case DuckDBTypeId.INTEGER: case DuckDBTypeId.DATE:
      return { kind: 'int', items: typed(Int32Array, memory(4), rows) }
    case DuckDBTypeId.BIGINT: case DuckDBTypeId.TIMESTAMP: case DuckDBTypeId.TIMESTAMP_TZ:
    case DuckDBTypeId.TIME:
      return { kind: 'int64', items: typed(BigInt64Array, memory(8), rows) }
    case DuckDBTypeId.HUGEINT: case DuckDBTypeId.UUID:
      return { kind: 'int128', view: viewOf(memory(16)) }
    case DuckDBTypeId.FLOAT: return { kind: 'float', items: typed(Float32Array, memory(4), rows) }
    case DuckDBTypeId.DOUBLE:
      return { kind: 'float', items: typed(Float64Array, memory(8), rows) }
    case DuckDBTypeId.VARCHAR: case DuckDBTypeId.BLOB: {
      const bytes = memory(STRING_BYTES)
      const heap = new StringHeap(viewOf(bytes), rows, (row) => isNull(known, row))
      return { kind: 'bytes', memory: bytes, heap }
    }
    case DuckDBTypeId.INTERVAL: return { kind: 'interval', view: viewOf(memory(16)) }
    case DuckDBTypeId.DECIMAL: return decimalData(memory, rows, (type).width)
    case DuckDBTypeId.LIST: {
      const child = duckdb.list_vector_get_child(raw)
      const { valueType } = type
      return {
        kind: 'list', entries: typed(BigUint64Array, memory(16), rows * 2),
        child: fromRaw(known.chunk, child, duckdb.list_vector_get_size(raw), valueType),
      }
    }
    case DuckDBTypeId.MAP: {
      const child = duckdb.list_vector_get_child(raw)
      const pair = STRUCT({ key: type.keyType, value: type.valueType })
      return {
        kind: 'list', entries: typed(BigUint64Array, memory(16), rows * 2),
        child: fromRaw(known.chunk, child, duckdb.list_vector_get_size(raw), pair),
      }
    }
    case DuckDBTypeId.STRUCT:
      return { kind: 'struct', children: type.entryTypes.map((entry, at) =>
        fromRaw(known.chunk, duckdb.struct_vector_get_child(raw, at), rows, entry)) }
    default: throw new TypeError(`no reader for DuckDB type ${DuckDBTypeId[type.typeId]}`)
  }
}

/** DuckDB stores a DECIMAL in the smallest integer that holds its width. */
function decimalData(
  memory: (width: number) => Uint8Array, rows: number, width: number,
): VectorData {
  if (width <= 4) return { kind: 'int', items: typed(Int16Array, memory(2), rows) }
  if (width <= 9) return { kind: 'int', items: typed(Int32Array, memory(4), rows) }
  if (width <= 18) return { kind: 'int64', items: typed(BigInt64Array, memory(8), rows) }
  return { kind: 'int128', view: viewOf(memory(16)) }
}

function typed<T>(
  make: new (buffer: ArrayBuffer, offset: number, length: number) => T,
  bytes: Uint8Array, length: number,
): T {
  return new make(bytes.buffer as ArrayBuffer, bytes.byteOffset, length)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
