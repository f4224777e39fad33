/**
 * Thrift bounds: whether a structure of Thrift's compact protocol can be decoded in memory and
 * time of the order of its bytes. Parquet's headers and footers are such structures; a decoder
 * that believes their counts can be made to allocate gigabytes by a few bytes.
 *
 * T1  No list counts more elements than bytes are left; no number has more than ten bytes; no
 *     structure is deeper than DEPTH_MAX.
 * T2  Nothing is read past the end.
 *
 * Source: github.com/apache/thrift, doc/specs/thrift-compact-protocol.md.
 */
const DEPTH_MAX = 32
const VARINT_BYTES_MAX = 10

const STOP = 0
const TRUE = 1
const FALSE = 2
const BYTE = 3
const I16 = 4
const I64 = 6
const DOUBLE = 7
const BINARY = 8
const LIST = 9
const SET = 10
const STRUCT = 12

/** Where the structure at `start` ends. Throws an Error when it breaks T1 or T2. */
export function checkThrift(bytes: Uint8Array, start: number): number {
  return skipStruct(bytes, start, 0)
}

function skipStruct(bytes: Uint8Array, start: number, depth: number): number {
  if (depth > DEPTH_MAX) throw new Error('a structure is too deep')
  let at = start
  for (;;) {
    const head = byteAt(bytes, at++)
    const type = head & 0x0f
    if (type === STOP) return at
    if (head >> 4 === 0) at = skipVarint(bytes, at)
    at = type === TRUE || type === FALSE ? at : skipElement(bytes, at, type, depth)
  }
}

function skipElement(bytes: Uint8Array, at: number, type: number, depth: number): number {
  if (type === TRUE || type === FALSE || type === BYTE) return within(bytes, at + 1)
  if (type >= I16 && type <= I64) return skipVarint(bytes, at)
  if (type === DOUBLE) return within(bytes, at + 8)
  if (type === BINARY) {
    const body = skipVarint(bytes, at)
    return within(bytes, body + varint(bytes, at))
  }
  if (type === LIST || type === SET) return skipList(bytes, at, depth)
  if (type === STRUCT) return skipStruct(bytes, at, depth + 1)
  throw new Error('a structure has a type that Parquet does not use')
}

function skipList(bytes: Uint8Array, start: number, depth: number): number {
  const head = byteAt(bytes, start)
  let at = start + 1
  let count = head >> 4
  if (count === 15) {
    count = varint(bytes, at)
    at = skipVarint(bytes, at)
  }
  within(bytes, at + count)
  for (let item = 0; item < count; item++) at = skipElement(bytes, at, head & 0x0f, depth + 1)
  return at
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw new Error('a structure passes the end')
  return byte
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new Error('a structure passes the end')
  return end
}

function skipVarint(bytes: Uint8Array, start: number): number {
  for (let at = start; at < start + VARINT_BYTES_MAX; at++) {
    if (byteAt(bytes, at) < 0x80) return at + 1
  }
  throw new Error('a number is too long')
}

/** Not negative, exact up to 2^53. */
function varint(bytes: Uint8Array, start: number): number {
  let value = 0
  for (let at = start, factor = 1; ; at++, factor *= 128) {
    const byte = byteAt(bytes, at)
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return value
  }
}
