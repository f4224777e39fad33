/**
 * ArrayWriter: a DuckDB list as a one-dimensional PostgreSQL array, text or binary.
 *
 * Source: utils/adt/arrayfuncs.c, array_out and array_send. A PostgreSQL array with more
 * dimensions or another lower bound than 1 is not held by the mirror.
 */
import { DuckDBListType } from '@duckdb/node-api'
import { ByteWriter } from './byte-writer.ts'
import { scalarBinary } from './scalar-binary.ts'
import { scalarText, unexpected, type ScalarType, type ScalarWriter } from './scalar-text.ts'
import { isNull, type Vector, type VectorData } from '../olap/vector-data.ts'
import type { SessionFormat } from './session-format.ts'

type ListData = Extract<VectorData, { readonly kind: 'list' }>

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** array_isspace's blanks, braces, the delimiter, quote and backslash. */
const SPECIAL = new Set([...' \t\n\r\v\f{},"\\'].map((character) => character.charCodeAt(0)))

export function arrayText(
  type: ScalarType, elementOid: number, format: SessionFormat,
): ScalarWriter {
  const write = scalarText(elementType(type, elementOid), format)
  const scratch = new ByteWriter()
  return (vector, row, out) => {
    const { from, to, child } = bounds(vector, row)
    out.byte(0x7b)
    for (let at = from; at < to; at++) {
      if (at > from) out.byte(0x2c)
      if (isNull(child, at)) { out.ascii('NULL'); continue }
      scratch.truncate(0)
      write(child, at, scratch)
      writeElement(scratch.view(0, scratch.length), out)
    }
    out.byte(0x7d)
  }
}

export function arrayBinary(type: ScalarType, elementOid: number): ScalarWriter {
  const write = scalarBinary(elementType(type, elementOid))
  return (vector, row, out) => {
    const { from, to, child } = bounds(vector, row)
    const empty = from === to
    let hasNull = false
    for (let at = from; at < to && !hasNull; at++) hasNull = isNull(child, at)
    out.int32(empty ? 0 : 1)
    out.int32(hasNull ? 1 : 0)
    out.int32(elementOid)
    if (empty) return
    out.int32(to - from)
    out.int32(1)
    for (let at = from; at < to; at++) {
      const start = out.length
      out.int32(-1)
      if (isNull(child, at)) continue
      write(child, at, out)
      out.int32At(start, out.length - start - 4)
    }
  }
}

function elementType(type: ScalarType, elementOid: number): ScalarType {
  if (!(type.duckdb instanceof DuckDBListType)) throw unexpected(type)
  return { typeOid: elementOid, typmod: type.typmod, duckdb: type.duckdb.valueType }
}

function bounds(vector: Vector, row: number): {
  readonly from: number
  readonly to: number
  readonly child: Vector
} {
  const { entries, child } = vector.data as ListData
  const from = Number(entries[row * 2]!)
  return { from, to: from + Number(entries[row * 2 + 1]!), child }
}

function writeElement(text: Buffer, out: ByteWriter): void {
  if (!needsQuotes(text)) { out.bytes(text); return }
  out.byte(QUOTE)
  for (const byte of text) {
    if (byte === QUOTE || byte === BACKSLASH) out.byte(BACKSLASH)
    out.byte(byte)
  }
  out.byte(QUOTE)
}

function needsQuotes(text: Buffer): boolean {
  if (text.length === 0) return true
  if (text.length === 4 && text.toString('latin1').toUpperCase() === 'NULL') return true
  return text.some((byte) => SPECIAL.has(byte))
}
