/**
 * StatBound: how far a statistic of a file really bounds its values.
 *
 * SB1  No value of the file lies below the low bound or above the high one, whoever wrote the
 *      statistic: what writers are known to cut or round is taken as cut or rounded. null: no
 *      bound.
 *
 * Texts: a min may be cut anywhere; a max that may have been cut (32 characters, or a last
 * character that stands for `more follows`: U+007F, U+FFFD of older writers, U+10FFFF) bounds
 * everything that begins like it. Times are cut to milliseconds, towards zero or down. Floats are
 * printed with a float's digits. Before 1582-10-15 old writers counted days by another calendar;
 * before 1900 they printed offsets of local mean time without its seconds.
 *
 * Sources: PROTOCOL.md "Per-file Statistics"; delta-spark's StatisticsCollection and DataSkipping
 * readers of several versions.
 */
import type { StructField } from './schema.ts'
import { decimalOf } from './schema.ts'
import type { Token } from './stats-reader.ts'
import { parseDays, parseDecimal, parseMoment, type Key } from './value.ts'

export interface Bounds {
  readonly low: Key | null
  readonly high: Key | null
}

type Read = (token: Token, side: 'low' | 'high') => Key | null

const CUT_CHARACTERS = 32
const TIEBREAKERS: ReadonlySet<string> = new Set(['\u007f', '\ufffd', '\u{10ffff}'])
/** 1582-10-15 and 1900-01-01. */
const GREGORIAN_DAYS = -141_427
const GREGORIAN_MICROS = BigInt(GREGORIAN_DAYS) * 86_400_000_000n
const STANDARD_TIME_MICROS = -25_567n * 86_400_000_000n
const MILLISECOND_REST = 999n
/** 100 years. */
const RECENT_MS = 36_500 * 86_400_000
const PLAIN = /^-?\d+(?:\.\d+)?$/

/**
 * Reads min and max of the field's type; null: such statistics bound nothing. `writer`: `own`
 * (this library's stats.ts) cuts times down and knows one calendar.
 */
export function boundReader({ type, metadata }: StructField, writer: 'any' | 'own' = 'any')
  : Read | null {
  switch (type) {
    case 'byte': case 'short': case 'integer': case 'long':
      return (token, side) => scaled(token.text, 0, side)
    case 'float': return (token) => floatKey(Math.fround(numberOf(token)))
    case 'double':
      return 'delta.typeChanges' in metadata ? widenedDouble : (token) => floatKey(numberOf(token))
    case 'boolean': return (token) => token.text === 'true' ? 1 : token.text === 'false' ? 0 : null
    case 'string': return (token, side) => !token.isText ? null
      : side === 'low' ? lowText(token.text) : highText(token.text)
    case 'date': return (token) => {
      const days = parseDays(token.text)
      return days !== null && writer === 'any' && days < GREGORIAN_DAYS ? null : days
    }
    case 'timestamp': case 'timestamp_ntz':
      return (token, side) => momentKey(token.text, type === 'timestamp', side, writer)
    default: {
      const decimal = decimalOf(type)
      return decimal === null ? null : (token, side) => scaled(token.text, decimal.scale, side)
    }
  }
}

/** The number times 10^scale; digits beyond are rounded outwards. */
function scaled(text: string, scale: number, side: 'low' | 'high'): Key | null {
  const plain = text.length <= 15 ? plainNumber(text, scale) : null
  if (plain !== null) return plain
  const number = parseDecimal(text)
  if (number === null) return null
  const shift = scale - number.scale
  let value = number.unscaled * 10n ** BigInt(Math.max(0, shift))
  if (shift < 0) {
    const factor = 10n ** BigInt(-shift)
    const rest = number.unscaled % factor
    value = number.unscaled / factor
    if (side === 'low' && rest < 0n) value--
    if (side === 'high' && rest > 0n) value++
  }
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** What needs no bigint: a number of few digits and no more decimals than `scale`. */
function plainNumber(text: string, scale: number): number | null {
  const point = text.indexOf('.')
  const decimals = point === -1 ? 0 : text.length - point - 1
  if (decimals > scale || text.length + scale - decimals > 15 || !PLAIN.test(text)) return null
  return point === -1 ? Number(text) * 10 ** scale
    : Number(text.slice(0, point) + text.slice(point + 1)) * 10 ** (scale - decimals)
}

function numberOf({ text, isText }: Token): number {
  if (!isText) return Number(text)
  return text === 'Infinity' ? Infinity : text === '-Infinity' ? -Infinity : NaN
}

/** NaN as a bound says nothing of the other values. */
function floatKey(value: number): Key | null {
  return Number.isNaN(value) ? null : value
}

/** A float column made double: files of then have floats, printed with a float's digits. */
function widenedDouble(token: Token, side: 'low' | 'high'): Key | null {
  const value = numberOf(token)
  const single = Math.fround(value)
  return floatKey(side === 'low' ? Math.min(value, single) : Math.max(value, single))
}

/** U+FFFD at the end is what is left of a character that was cut in two. */
function lowText(text: string): string {
  if (!text.endsWith('\ufffd')) return text
  return text.replace(/\ufffd+$/, '')
}

function highText(text: string): string | null {
  const last16 = text.charCodeAt(text.length - 1)
  // A tiebreaker is U+007F or above; characters are no more than units.
  if (text.length < CUT_CHARACTERS && !(last16 >= 0x7f)) return text
  const characters = [...text]
  const last = characters.at(-1) ?? ''
  if (TIEBREAKERS.has(last)) return successor(characters.slice(0, -1))
  return characters.length < CUT_CHARACTERS ? text : successor(characters)
}

/** Above every text that begins with these characters; null when there is no such text. */
function successor(characters: readonly string[]): string | null {
  for (let at = characters.length - 1; at >= 0; at--) {
    const code = characters[at]?.codePointAt(0) ?? 0
    if (code >= 0x10ffff) continue
    // Surrogates are no characters.
    const next = code === 0xd7ff ? 0xe000 : code + 1
    return characters.slice(0, at).join('') + String.fromCodePoint(next)
  }
  return null
}

/**
 * `2026-11-23T22:00:00.123Z`, as nearly every writer prints it, in milliseconds; null: some other
 * form, or so far from 1970 that its own rules apply.
 */
function recentMs(text: string): number | null {
  if (text.length !== 24 || !text.endsWith('Z')) return null
  const ms = Date.parse(text)
  return Math.abs(ms) < RECENT_MS ? ms : null
}

function momentKey(text: string, zoned: boolean, side: 'low' | 'high', writer: 'any' | 'own')
  : Key | null {
  const recent = zoned ? recentMs(text) : null
  if (recent !== null) {
    return recent * 1000 + (side === 'high' ? 999 : writer === 'own' ? 0 : -999)
  }
  const moment = parseMoment(text)
  if (moment?.zoned !== zoned) return null
  const { micros } = moment
  if (writer === 'any') {
    if (micros < GREGORIAN_MICROS) return null
    if (zoned && micros < STANDARD_TIME_MICROS && !/(?:Z|[+-]00:?00)$/.test(text)) return null
  }
  const loose = side === 'high' ? micros + MILLISECOND_REST
    : writer === 'own' ? micros : micros - MILLISECOND_REST
  return Number.isSafeInteger(Number(loose)) ? Number(loose) : loose
}
