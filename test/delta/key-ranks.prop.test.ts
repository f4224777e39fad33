/** KR1 and KR2: ranks never tell another order than the keys themselves. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keyRanks } from '../../src/delta/key-ranks.ts'
import { compareKeys, type Key } from '../../src/delta/value.ts'

const unit = fc.constantFrom('a', 'b', '0', '9', ' ', '~', '\u007f', 'é', '\ud7ff', '\ue000',
  '\uffff', '\u{10000}', '\u{10ffff}')
const text = fc.oneof(fc.string({ unit, maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 5 }))
const KEYS: readonly (readonly [string, fc.Arbitrary<Key>])[] = [
  ['texts', text],
  ['texts that begin alike', fc.tuple(fc.constantFrom('same/', 'same\u{10000}'), text)
    .map(([common, rest]) => common + rest)],
  ['floats', fc.double({ noNaN: true })],
  ['whole numbers, small and big', fc.oneof(fc.integer(),
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)
      .map((big) => Number.isSafeInteger(Number(big)) ? Number(big) : big),
    fc.bigInt(2n ** 60n, 2n ** 60n + 9n))],
]

describe.each(KEYS)('%s', (_, key) => {
  it('have ranks in their order', () => {
    fc.assert(fc.property(fc.array(fc.option(key)), fc.array(fc.option(key)), key,
      (low, high, constant) => {
        const ranks = keyRanks(low, high)
        const rank = ranks.of(constant)
        for (const [side, keys] of [[ranks.low, low], [ranks.high, high]] as const) {
          for (const [at, bound] of keys.entries()) {
            if (bound === null) continue
            if (side[at]! < rank) expect(compareKeys(bound, constant)).toBeLessThan(0)
            if (side[at]! > rank) expect(compareKeys(bound, constant)).toBeGreaterThan(0)
          }
        }
        low.forEach((bound, at) => { if (bound === null) expect(ranks.low[at]).toBe(-Infinity) })
        high.forEach((bound, at) => { if (bound === null) expect(ranks.high[at]).toBe(Infinity) })
      }), { numRuns: Number(process.env.PROP_RUNS ?? 300) })
  })
})

it('tells texts apart that differ early behind what they have in common', () => {
  const names = Array.from({ length: 1000 }, (_, at) => `s3://bucket/name ${10_000 + at}`)
  const { low, of } = keyRanks(names, names)
  expect(new Set(low).size).toBe(names.length)
  expect([of('s3://bucket/'), of('s3://bucket/z'), of('s3://')]).toEqual(
    [-Infinity, Infinity, -Infinity])
})
