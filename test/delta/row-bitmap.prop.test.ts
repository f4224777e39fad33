/** RowBitmap against a plain Set, and its bytes against the reference implementation. */
import fc from 'fast-check'
import { RoaringBitmap32, SerializationFormat } from 'roaring-wasm'
import { describe, expect, it } from 'vitest'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'

/** Sparse values, dense runs and values beyond 32 bits. */
const POSITIONS = fc.array(fc.oneof(
  fc.nat({ max: 200_000 }).map((at) => [at]),
  fc.tuple(fc.nat({ max: 300_000 }), fc.nat({ max: 6000 }))
    .map(([from, count]) => Array.from({ length: count }, (_, at) => from + at)),
  fc.maxSafeNat().map((at) => [at]),
), { maxLength: 12 }).map((groups) => groups.flat())

describe('RowBitmap', () => {
  it('is a set: members, order, union, encode and decode', () => {
    fc.assert(fc.property(POSITIONS, POSITIONS, (first, second) => {
      const before = RowBitmap.of(first)
      const both = before.with(second)
      const expected = [...new Set([...first, ...second])].sort((a, b) => a - b)
      expect([...both.positions()]).toEqual(expected)
      expect(both.cardinality).toBe(expected.length)
      for (const at of expected.slice(0, 50)) {
        expect(both.has(at)).toBe(true)
        expect(both.has(at + 1)).toBe(expected.includes(at + 1))
      }
      expect([...before.positions()]).toEqual([...new Set(first)].sort((a, b) => a - b))
      const decoded = RowBitmap.decode(both.encode())
      expect([...decoded.positions()]).toEqual(expected)
    }), { numRuns: 60 })
  })

  it('reads and writes the portable format of roaring, run containers included', () => {
    fc.assert(fc.property(POSITIONS, (positions) => {
      const low = positions.map((at) => at % 2 ** 32)
      const reference = new RoaringBitmap32(low)
      reference.runOptimize()
      const bytes = Buffer.from(reference.serialize(SerializationFormat.portable))
      const framed = Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), bytes])
      if (low.length > 0) {
        expect([...RowBitmap.decode(framed).positions()]).toEqual([...reference])
        const ours = RowBitmap.of(low).encode().subarray(12)
        const back = RoaringBitmap32.deserialize(ours, 'portable')
        expect([...back]).toEqual([...reference])
        back.dispose()
      }
      reference.dispose()
    }), { numRuns: 60 })
  })

  it('B2: damaged bytes are refused or are another set, never a crash', () => {
    const good = RowBitmap.of([1, 2, 3, 70_000, 5_000_000_000,
      ...Array.from({ length: 5000 }, (_, at) => 200_000 + at * 2)]).encode()
    fc.assert(fc.property(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }),
      fc.nat({ max: good.length }), (at, byte, length) => {
        const bad = Buffer.from(good.subarray(0, length))
        if (at < bad.length) bad[at] = byte
        try {
          expect(RowBitmap.decode(bad).cardinality).toBeGreaterThanOrEqual(0)
        } catch (error) {
          expect(error).toMatchObject({ code: 'delta-corrupt' })
        }
      }), { numRuns: 500 })
  })

  it('B2: a short input that claims much is refused at once', () => {
    const claims = Buffer.alloc(24)
    claims.writeUInt32LE(1, 0)
    claims.writeUInt32LE(12346, 12)
    claims.writeUInt32LE(65536, 16)
    expect(() => RowBitmap.decode(claims)).toThrow('ends too soon')
  })

  it('refuses positions that are no row numbers', () => {
    expect(() => RowBitmap.of([-1])).toThrow(RangeError)
    expect(() => RowBitmap.of([1.5])).toThrow(RangeError)
    expect(() => RowBitmap.of([2 ** 53])).toThrow(RangeError)
  })
})
