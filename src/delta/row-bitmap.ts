/**
 * RowBitmap: a set of row positions, as 64-bit Roaring in its portable form.
 *
 * B1  Immutable: `with` gives a new set that shares the containers it did not touch.
 * B2  decode accepts only well-formed bytes: keys rise, values rise, counts are exact. Memory
 *     stays within a small multiple of the input, whatever its counts claim.
 * B3  encode writes no run containers, which some readers lack.
 *
 * Sources: RoaringFormatSpec (github.com/RoaringBitmap/RoaringFormatSpec), "64-bit
 * implementations"; PROTOCOL.md "Deletion Vector Format".
 */
import { SlipwayError } from '../base/errors.ts'

type Container =
  | { readonly kind: 'array'; readonly values: Uint16Array }
  | { readonly kind: 'bitmap'; readonly bits: Uint8Array; readonly cardinality: number }
  /** first, last, first, last … both included. */
  | { readonly kind: 'runs'; readonly bounds: Uint16Array; readonly cardinality: number }

const ARRAY_MAX = 4096
const BITMAP_BYTES = 8192
const SPAN = 0x10000
const COOKIE = 12346
const COOKIE_WITH_RUNS = 12347
/** Below this many containers, the form with runs has no offsets. */
const NO_OFFSETS_BELOW = 4

export class RowBitmap {
  readonly cardinality: number
  /** floor(position / 65536), rising; one container each. */
  readonly #keys: readonly number[]
  readonly #containers: readonly Container[]

  private constructor(keys: readonly number[], containers: readonly Container[]) {
    this.#keys = keys
    this.#containers = containers
    this.cardinality = containers.reduce((sum, container) => sum + sizeOf(container), 0)
  }

  static readonly empty: RowBitmap = new RowBitmap([], [])

  static of(positions: Iterable<number>): RowBitmap {
    return RowBitmap.empty.with(positions)
  }

  /** The highest position; null when the set is empty. */
  get last(): number | null {
    const key = this.#keys.at(-1)
    const container = this.#containers.at(-1)
    return key === undefined || container === undefined ? null
      : key * SPAN + lastOf(container)
  }

  has(position: number): boolean {
    const at = this.#find(Math.floor(position / SPAN))
    const container = this.#containers[at]
    return container !== undefined && holds(container, position % SPAN)
  }

  /** The union. Positions: whole numbers from 0, any order, repeats allowed. */
  with(positions: Iterable<number>): RowBitmap {
    const groups = new Map<number, number[]>()
    for (const position of positions) {
      if (!Number.isSafeInteger(position) || position < 0) {
        throw new RangeError('a row position is a whole number from 0')
      }
      const key = Math.floor(position / SPAN)
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [position % SPAN])
      else group.push(position % SPAN)
    }
    const merged = new Map(this.#keys.map((key, at) => [key, this.#containers[at]]))
    for (const [key, low] of groups) merged.set(key, union(merged.get(key), low))
    const keys = [...merged.keys()].sort((a, b) => a - b)
    return new RowBitmap(keys, keys.map((key) => merged.get(key)).filter((c) => c !== undefined))
  }

  /** The positions that `other` has not. */
  without(other: RowBitmap): RowBitmap {
    return RowBitmap.of(this.#positionsWithout(other))
  }

  *#positionsWithout(other: RowBitmap): Generator<number> {
    for (const position of this.positions()) if (!other.has(position)) yield position
  }

  /** In rising order. */
  *positions(): Generator<number> {
    for (const [at, key] of this.#keys.entries()) {
      const container = this.#containers[at]
      if (container === undefined) continue
      for (const low of lowValues(container)) yield key * SPAN + low
    }
  }

  /** Buckets of 2^32: u64 count, then u32 key and 32-bit Roaring bytes each; little-endian. */
  encode(): Buffer {
    const buckets = new Map<number, [number, Container][]>()
    for (const [at, key] of this.#keys.entries()) {
      const container = this.#containers[at]
      if (container === undefined) continue
      const bucket = Math.floor(key / SPAN)
      const entries = buckets.get(bucket)
      if (entries === undefined) buckets.set(bucket, [[key % SPAN, container]])
      else entries.push([key % SPAN, container])
    }
    const count = Buffer.alloc(8)
    count.writeUInt32LE(buckets.size, 0)
    const parts: Buffer[] = [count]
    for (const [bucket, entries] of buckets) {
      const key = Buffer.alloc(4)
      key.writeUInt32LE(bucket, 0)
      parts.push(key, encodeBucket(entries))
    }
    return Buffer.concat(parts)
  }

  /** B2. Throws `delta-corrupt`. */
  static decode(bytes: Uint8Array): RowBitmap {
    const input = new Input(bytes)
    const count = input.u32()
    if (input.u32() !== 0) throw malformed('bucket count')
    const keys: number[] = []
    const containers: Container[] = []
    for (let bucket = 0, last = -1; bucket < count; bucket++) {
      const high = input.u32()
      if (high <= last || high >= 2 ** 21) throw malformed('bucket key')
      last = high
      for (const [key, container] of decodeBucket(input)) {
        keys.push(high * SPAN + key)
        containers.push(container)
      }
    }
    input.end()
    return new RowBitmap(keys, containers)
  }

  /** Place of `key`, or -1. */
  #find(key: number): number {
    let low = 0
    let high = this.#keys.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const found = this.#keys[middle] ?? 0
      if (found === key) return middle
      if (found < key) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
}

function malformed(what: string): SlipwayError {
  return new SlipwayError('delta-corrupt', `a deletion vector is malformed: ${what}`)
}

/** Little-endian reading that refuses to pass the end. */
class Input {
  readonly #bytes: Buffer
  #at = 0
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw malformed('it ends too soon')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  u16(): number { return this.take(2).readUInt16LE(0) }
  u32(): number { return this.take(4).readUInt32LE(0) }

  u16s(count: number): Uint16Array {
    const bytes = this.take(count * 2)
    return Uint16Array.from({ length: count }, (_, at) => bytes.readUInt16LE(at * 2))
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw malformed('bytes follow its end')
  }
}

function sizeOf(container: Container): number {
  return container.kind === 'array' ? container.values.length : container.cardinality
}

function holds(container: Container, low: number): boolean {
  switch (container.kind) {
    case 'bitmap': return ((container.bits[low >> 3] ?? 0) & (1 << (low & 7))) !== 0
    case 'array': {
      const at = lowerBound(container.values, low)
      return container.values[at] === low
    }
    case 'runs':
      for (let at = 0; at < container.bounds.length; at += 2) {
        const [first = 0, last = 0] = container.bounds.subarray(at, at + 2)
        if (low >= first && low <= last) return true
      }
      return false
  }
}

function lastOf(container: Container): number {
  switch (container.kind) {
    case 'array': return container.values.at(-1) ?? 0
    case 'runs': return container.bounds.at(-1) ?? 0
    case 'bitmap': {
      let byte = BITMAP_BYTES - 1
      while (byte > 0 && container.bits[byte] === 0) byte--
      return byte * 8 + 31 - Math.clz32(container.bits[byte] ?? 0)
    }
  }
}

function lowerBound(values: Uint16Array, wanted: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((values[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return low
}

function* lowValues(container: Container): Generator<number> {
  switch (container.kind) {
    case 'array': yield* container.values; return
    case 'bitmap':
      for (let byte = 0; byte < BITMAP_BYTES; byte++) {
        const bits = container.bits[byte] ?? 0
        for (let bit = 0; bits >> bit !== 0; bit++) {
          if ((bits >> bit & 1) !== 0) yield byte * 8 + bit
        }
      }
      return
    case 'runs':
      for (let at = 0; at < container.bounds.length; at += 2) {
        const last = container.bounds[at + 1] ?? 0
        for (let low = container.bounds[at] ?? 0; low <= last; low++) yield low
      }
  }
}

function union(container: Container | undefined, added: readonly number[]): Container {
  const bits = new Uint8Array(BITMAP_BYTES)
  if (container?.kind === 'bitmap') bits.set(container.bits)
  else if (container !== undefined) setBits(bits, lowValues(container))
  setBits(bits, added)
  return compact(bits)
}

function setBits(bits: Uint8Array, values: Iterable<number>): void {
  for (const low of values) bits[low >> 3] = (bits[low >> 3] ?? 0) | (1 << (low & 7))
}

const POPCOUNT = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0
  for (let rest = byte; rest !== 0; rest &= rest - 1) count++
  return count
})

function popcount(bits: Uint8Array): number {
  let count = 0
  for (const byte of bits) count += POPCOUNT[byte] ?? 0
  return count
}

/** An array up to ARRAY_MAX values, else the bitmap: the form that Roaring demands. */
function compact(bits: Uint8Array): Container {
  const cardinality = popcount(bits)
  if (cardinality > ARRAY_MAX) return { kind: 'bitmap', bits, cardinality }
  const values = new Uint16Array(cardinality)
  let at = 0
  for (const low of lowValues({ kind: 'bitmap', bits, cardinality })) values[at++] = low
  return { kind: 'array', values }
}

function encodeBucket(entries: readonly [number, Container][]): Buffer {
  const head = Buffer.alloc(8 + entries.length * 8)
  head.writeUInt32LE(COOKIE, 0)
  head.writeUInt32LE(entries.length, 4)
  const bodies: Buffer[] = []
  let offset = head.length
  for (const [at, [key, container]] of entries.entries()) {
    const plain = container.kind === 'runs' ? union(container, []) : container
    const body = encodeContainer(plain)
    head.writeUInt16LE(key, 8 + at * 4)
    head.writeUInt16LE(sizeOf(plain) - 1, 10 + at * 4)
    head.writeUInt32LE(offset, 8 + entries.length * 4 + at * 4)
    offset += body.length
    bodies.push(body)
  }
  return Buffer.concat([head, ...bodies])
}

function encodeContainer(container: Container): Buffer {
  if (container.kind === 'bitmap') return Buffer.from(container.bits)
  if (container.kind === 'runs') throw new Error('invariant broken: B3')
  const bytes = Buffer.alloc(container.values.length * 2)
  for (const [at, value] of container.values.entries()) bytes.writeUInt16LE(value, at * 2)
  return bytes
}

function decodeBucket(input: Input): [number, Container][] {
  const cookie = input.u32()
  const withRuns = (cookie & 0xffff) === COOKIE_WITH_RUNS
  if (!withRuns && cookie !== COOKIE) throw malformed('cookie')
  const count = withRuns ? (cookie >>> 16) + 1 : input.u32()
  if (count > SPAN) throw malformed('container count')
  const runFlags = withRuns ? input.take((count + 7) >> 3) : null
  const heads = input.u16s(count * 2)
  if (!withRuns || count >= NO_OFFSETS_BELOW) input.take(count * 4)
  const entries: [number, Container][] = []
  for (let at = 0, last = -1; at < count; at++) {
    const key = heads[at * 2] ?? 0
    if (key <= last) throw malformed('container keys do not rise')
    last = key
    const cardinality = (heads[at * 2 + 1] ?? 0) + 1
    const isRuns = runFlags !== null && ((runFlags[at >> 3] ?? 0) >> (at & 7) & 1) === 1
    entries.push([key, decodeContainer(input, cardinality, isRuns)])
  }
  return entries
}

function decodeContainer(input: Input, cardinality: number, isRuns: boolean): Container {
  if (isRuns) return decodeRuns(input, cardinality)
  if (cardinality > ARRAY_MAX) {
    const bits = Uint8Array.from(input.take(BITMAP_BYTES))
    if (popcount(bits) !== cardinality) throw malformed('a bitmap\'s count is wrong')
    return { kind: 'bitmap', bits, cardinality }
  }
  const values = input.u16s(cardinality)
  for (let at = 1; at < values.length; at++) {
    if ((values[at] ?? 0) <= (values[at - 1] ?? 0)) throw malformed('values do not rise')
  }
  return { kind: 'array', values }
}

function decodeRuns(input: Input, claimed: number): Container {
  const pairs = input.u16s(input.u16() * 2)
  const bounds = new Uint16Array(pairs.length)
  let cardinality = 0
  for (let at = 0, last = -1; at < pairs.length; at += 2) {
    const first = pairs[at] ?? 0
    const end = first + (pairs[at + 1] ?? 0)
    if (first <= last || end >= SPAN) throw malformed('runs overlap')
    last = end
    bounds[at] = first
    bounds[at + 1] = end
    cardinality += end - first + 1
  }
  if (cardinality !== claimed) throw malformed('a run container\'s count is wrong')
  return { kind: 'runs', bounds, cardinality }
}
