/**
 * Stats: `add.stats`, a JSON document that every reader prunes files by.
 *
 * S1  Bounds are valid: no row of the file lies below min or above max. Where that cannot be
 *     kept within a reader's limits, the bound is left out.
 * S2  Whole numbers and decimals keep every digit and are plain JSON numbers.
 * S3  Timestamps have three fractional digits (kernel-rs #3073: more shift by minutes), min
 *     rounded down, max up; a year that would pass 9999 is left out.
 * S4  Strings are cut to 32 characters; a max that was cut gets a tiebreaker.
 * S5  NaN or an infinity in a column: no bounds. No bounds for boolean and binary.
 *
 * Source: PROTOCOL.md "Per-file Statistics"; delta-spark StatisticsCollection for S3 and S4.
 */
import { ExactNumber, isJsonObject, parseJson, stringifyJson, type JsonValue }
  from './exact-json.ts'

export type StatValue =
  | { readonly kind: 'integer'; readonly value: bigint }
  /** Plain notation, any number of digits: `-12.50`. */
  | { readonly kind: 'decimal'; readonly text: string }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  /** YYYY-MM-DD, years 0001 to 9999. */
  | { readonly kind: 'date'; readonly text: string }
  /** Microseconds since 1970-01-01; `zoned`: Delta's `timestamp`, else `timestamp_ntz`. */
  | { readonly kind: 'timestamp'; readonly micros: bigint; readonly zoned: boolean }

export interface ColumnStats {
  /** Physical names, outermost first. */
  readonly path: readonly string[]
  readonly min: StatValue | null
  readonly max: StatValue | null
  readonly nullCount: number | bigint | null
  /** S5. */
  readonly hasNaN?: boolean
}

const CHARACTERS_MAX = 32
/** How far S4 looks for a place to cut a max. */
const CUT_MAX = 64
const MIN_MILLIS = BigInt(Date.parse('0001-01-01T00:00:00Z'))
const MAX_MILLIS = BigInt(Date.parse('9999-12-31T23:59:59.999Z'))

/** The text of `add.stats`. Columns whose bound cannot be told keep their null count. */
export function buildStats(options: {
  /** Physical rows of the file, deleted ones included. */
  readonly numRecords: number
  readonly tightBounds: boolean
  readonly columns: readonly ColumnStats[]
}): string {
  const minValues: Tree = {}
  const maxValues: Tree = {}
  const nullCount: Tree = {}
  for (const column of options.columns) {
    if (column.hasNaN !== true) {
      place(minValues, column.path, column.min === null ? null : lowerBound(column.min))
      place(maxValues, column.path, column.max === null ? null : upperBound(column.max))
    }
    place(nullCount, column.path, column.nullCount)
  }
  return stringifyJson({ numRecords: options.numRecords, tightBounds: options.tightBounds,
    minValues, maxValues, nullCount })
}

/** The same stats once rows are deleted: bounds still hold, but may not be reached. */
export function loosenStats(stats: string): string {
  const document = parseJson(stats, { exactNumbers: true })
  if (!isJsonObject(document)) return stats
  return stringifyJson({ ...document, tightBounds: false })
}

/** Physical rows, or null when the stats do not say. */
export function numRecordsOf(stats: string | undefined): number | null {
  if (stats === undefined) return null
  const document = parseJson(stats)
  const count = isJsonObject(document) ? document.numRecords : null
  return typeof count === 'number' ? count : null
}

/**
 * A bound as DuckDB's RETURN_STATS (or PostgreSQL) prints it, for a column of a primitive Delta
 * type; null when it is no usable bound: NaN, infinity, a year outside 1–9999, another type.
 * Timestamps: `2024-03-31 01:59:59.123456`, with `+00` when zoned.
 */
export function statValueOf(deltaType: string, text: string): StatValue | null {
  switch (deltaType) {
    case 'byte': case 'short': case 'integer': case 'long':
      return /^-?\d+$/.test(text) ? { kind: 'integer', value: BigInt(text) } : null
    case 'float': case 'double': {
      const value = Number(text)
      return text === '' || !Number.isFinite(value) ? null : { kind: 'float', value }
    }
    case 'string': return { kind: 'string', value: text }
    case 'date': return /^\d{4}-\d\d-\d\d$/.test(text) && text >= '0001'
      ? { kind: 'date', text } : null
    case 'timestamp': return timestampOf(text, true)
    case 'timestamp_ntz': return timestampOf(text, false)
    default: return deltaType.startsWith('decimal') && /^-?\d+(?:\.\d+)?$/.test(text)
      ? { kind: 'decimal', text } : null
  }
}

const TIMESTAMP = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|\+00(?::?00)?)?$/

function timestampOf(text: string, zoned: boolean): StatValue | null {
  const match = TIMESTAMP.exec(text)
  if (match === null) return null
  const seconds = Date.parse(`${match[1]}T${match[2]}Z`)
  if (Number.isNaN(seconds)) return null
  const fraction = BigInt((match[3] ?? '').padEnd(6, '0'))
  return { kind: 'timestamp', micros: BigInt(seconds) * 1000n + fraction, zoned }
}

interface Tree { [name: string]: JsonValue }

function place(tree: Tree, path: readonly string[], value: JsonValue): void {
  if (value === null) return
  let at = tree
  for (const name of path.slice(0, -1)) {
    const next = Object.hasOwn(at, name) ? at[name] : undefined
    const inner = isJsonObject(next) ? next as Tree : {}
    define(at, name, inner)
    at = inner
  }
  const last = path.at(-1)
  if (last !== undefined) define(at, last, value)
}

/** A plain assignment would drop a column named `__proto__`. */
function define(tree: Tree, name: string, value: JsonValue): void {
  Object.defineProperty(tree, name,
    { value, enumerable: true, configurable: true, writable: true })
}

function lowerBound(value: StatValue): JsonValue {
  switch (value.kind) {
    case 'string': return cutMin(value.value)
    case 'timestamp': return timestampText(floorMillis(value.micros), value.zoned)
    default: return plainBound(value)
  }
}

function upperBound(value: StatValue): JsonValue {
  switch (value.kind) {
    case 'string': return cutMax(value.value)
    case 'timestamp': return timestampText(-floorMillis(-value.micros), value.zoned)
    default: return plainBound(value)
  }
}

function plainBound(value: Exclude<StatValue, { kind: 'string' | 'timestamp' }>): JsonValue {
  switch (value.kind) {
    case 'integer': return value.value
    case 'decimal': return new ExactNumber(value.text)
    case 'date': return value.text
    case 'float':
      if (!Number.isFinite(value.value)) return null
      return Object.is(value.value, -0) ? new ExactNumber('-0.0') : value.value
  }
}

function floorMillis(micros: bigint): bigint {
  const millis = micros / 1000n
  return micros < 0n && micros % 1000n !== 0n ? millis - 1n : millis
}

function timestampText(millis: bigint, zoned: boolean): string | null {
  if (millis < MIN_MILLIS || millis > MAX_MILLIS) return null
  const text = new Date(Number(millis)).toISOString()
  return zoned ? text : text.slice(0, -1)
}

/** A prefix sorts before whatever it begins. */
function cutMin(value: string): string {
  const characters = [...value.slice(0, CHARACTERS_MAX * 2)]
  return wellFormed(characters.slice(0, CHARACTERS_MAX).join(''))
}

/**
 * The prefix and a character that sorts after the first one cut: U+007F when that is ASCII,
 * else U+10FFFF, so the cut must not stand before a U+10FFFF itself.
 */
function cutMax(value: string): string | null {
  const characters = [...value.slice(0, CUT_MAX * 2 + 2)]
  if (characters.length <= CHARACTERS_MAX) return wellFormed(value) === value ? value : null
  for (let cut = CHARACTERS_MAX; cut < Math.min(characters.length, CUT_MAX); cut++) {
    const next = characters[cut]?.codePointAt(0) ?? 0
    if (next >= 0x10ffff) continue
    const prefix = characters.slice(0, cut).join('')
    if (wellFormed(prefix) !== prefix) return null
    return prefix + (next < 0x7f ? '\u007f' : '\u{10ffff}')
  }
  return null
}

/** Lone surrogates have no UTF-8: cut before the first. */
function wellFormed(text: string): string {
  const at = text.search(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/)
  return at === -1 ? text : text.slice(0, at)
}
