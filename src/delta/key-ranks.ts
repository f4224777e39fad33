/**
 * KeyRanks: bounds of many files as plain numbers, so that comparing a constant with all of them
 * is a loop over numbers.
 *
 * KR1  What has a lower rank has a lower key (`compareKeys`); equal ranks say nothing.
 * KR2  No bound ranks as -Infinity when it is a low one, as Infinity when it is a high one.
 *
 * A text's rank is its first characters behind what all texts have in common, as digits; the
 * digits are as many as there are different characters there, so that few texts share a rank.
 */
import { compareKeys, type Key } from './value.ts'

export interface KeyRanks {
  readonly low: Float64Array
  readonly high: Float64Array
  /** NaN: comparing ranks says nothing. */
  readonly of: (key: Key) => number
}

type Keys = readonly (Key | null)[]

export function keyRanks(low: Keys, high: Keys): KeyRanks {
  const sample = low.find((key) => key !== null) ?? high.find((key) => key !== null)
  // Rounding a bigint keeps order, but not difference: KR1.
  const of = typeof sample === 'string' ? textRank(low, high) : Number
  return { low: Float64Array.from(low, (key) => key === null ? -Infinity : of(key)),
    high: Float64Array.from(high, (key) => key === null ? Infinity : of(key)), of }
}

/** Characters that are looked at behind the common ones. */
const DIGITS_MAX = 15

function textRank(low: Keys, high: Keys): (key: Key) => number {
  const common = commonPrefix(low, high)
  const [first, last] = unitRange(low, high, common.length)
  // Digit 0 is the end of the text.
  const base = Math.max(2, last - first + 2)
  const digits = Math.max(1, Math.min(DIGITS_MAX, Math.floor(53 / Math.log2(base))))
  return (key) => {
    if (typeof key !== 'string') return NaN
    if (!key.startsWith(common)) return compareKeys(key, common) < 0 ? -Infinity : Infinity
    let rank = 0
    for (let at = 0; at < digits; at++) {
      const unit = orderedUnit(key, common.length + at)
      const digit = unit - first + 1
      // Others than the bounds' characters are between two digits: as near as KR1 allows.
      if (unit === -1 || digit < 1) return rank * base ** (digits - at)
      if (digit >= base) return (rank + 1) * base ** (digits - at) - 1
      rank = rank * base + digit
    }
    return rank
  }
}

/** UTF-16 units in the order of the characters that they are of; -1: the text has ended. */
function orderedUnit(text: string, at: number): number {
  const unit = text.charCodeAt(at)
  if (Number.isNaN(unit)) return -1
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

function commonPrefix(low: Keys, high: Keys): string {
  let common: string | null = null
  for (const keys of [low, high]) {
    for (const key of keys) {
      if (typeof key !== 'string') continue
      if (common === null) common = key
      if (key.startsWith(common)) continue
      let end = 0
      while (common.charCodeAt(end) === key.charCodeAt(end)) end++
      common = common.slice(0, end)
    }
  }
  return common ?? ''
}

/** The least and greatest unit within DIGITS_MAX characters from `from` on. */
function unitRange(low: Keys, high: Keys, from: number): readonly [number, number] {
  let [least, greatest] = [0xffff, 0]
  for (const keys of [low, high]) {
    for (const key of keys) {
      if (typeof key !== 'string') continue
      const end = Math.min(key.length, from + DIGITS_MAX)
      for (let at = from; at < end; at++) {
        const unit = orderedUnit(key, at)
        if (unit < least) least = unit
        if (unit > greatest) greatest = unit
      }
    }
  }
  return [Math.min(least, greatest), greatest]
}
