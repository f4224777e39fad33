/**
 * StatsReader: what `add.stats` says of one column, taken from its text without parsing all.
 *
 * SR1  What it finds is what a JSON parser would find; text that it cannot be sure about goes
 *      through the parser.
 * SR2  Numbers come as their own text, so no digit is lost.
 * SR3  Text that is no JSON says nothing: statistics are advice, not data.
 */
import { ExactNumber, isJsonObject, parseJson, type JsonValue } from './exact-json.ts'

/** A scalar: a JSON text decoded (`isText`), or a number, true or false as it stands. */
export interface Token {
  readonly text: string
  readonly isText: boolean
}

const TOP_LEVEL: ReadonlySet<string> =
  new Set(['numRecords', 'tightBounds', 'minValues', 'maxValues', 'nullCount'])
const MIN = '"minValues":{'
const MAX = '"maxValues":{'
const NULLS = '"nullCount":{'
const ROWS = '"numRecords":'

/** One object for many texts: `read` replaces what it last found. */
export class StatsReader {
  min: Token | null = null
  max: Token | null = null
  /** Not known: null. */
  nullCount: string | null = null
  rows: string | null = null
  readonly #path: readonly string[]
  readonly #key: string
  readonly #isPlain: boolean

  /** `path`: physical names, outermost first. */
  constructor(path: readonly string[]) {
    const [name = ''] = path
    this.#path = path
    this.#key = `${JSON.stringify(name)}:`
    this.#isPlain = path.length === 1 && !TOP_LEVEL.has(name)
  }

  read(text: string | undefined): void {
    this.min = this.max = this.nullCount = this.rows = null
    if (text === undefined) return
    // SR1: without a backslash every quote delimits, so a quoted name before a colon is a key.
    if (!this.#isPlain || text.includes('\\') || !this.#scan(text)) this.#parse(text)
  }

  /** false: not sure. */
  #scan(text: string): boolean {
    const rowsAt = text.indexOf(ROWS)
    const minAt = onlyPlaceOf(MIN, text)
    const maxAt = onlyPlaceOf(MAX, text)
    const nullsAt = onlyPlaceOf(NULLS, text)
    if (rowsAt === -1 || minAt === -1 || maxAt === -1 || nullsAt === -1) return false
    const end = text.length
    const min = this.#member(text, minAt + MIN.length, nearest(minAt, maxAt, nullsAt, end))
    const max = this.#member(text, maxAt + MAX.length, nearest(maxAt, minAt, nullsAt, end))
    const nulls = this.#member(text, nullsAt + NULLS.length, nearest(nullsAt, minAt, maxAt, end))
    if (min === undefined || max === undefined || nulls === undefined) return false
    this.min = min
    this.max = max
    this.nullCount = nulls?.text ?? null
    this.rows = tokenAt(text, rowsAt + ROWS.length)?.text ?? null
    return true
  }

  /** The column's member of the object that begins before `from`; undefined: not sure. */
  #member(text: string, from: number, end: number): Token | null | undefined {
    const at = text.indexOf(this.#key, from)
    if (at === -1 || at >= end) return null
    // A struct before it may have a field of the same name.
    const inner = text.indexOf('{', from)
    if (inner !== -1 && inner < at) return undefined
    // The object may have ended before it (or a text have a brace).
    if (text.indexOf('}', from) < at) return undefined
    return tokenAt(text, at + this.#key.length)
  }

  #parse(text: string): void {
    let document: JsonValue
    try {
      document = parseJson(text, { exactNumbers: true })
    } catch {
      return
    }
    if (!isJsonObject(document)) return
    const inside = (name: string): Token | null => {
      let at: JsonValue | undefined = document[name]
      for (const step of this.#path) at = isJsonObject(at) ? at[step] : undefined
      return tokenOf(at)
    }
    this.min = inside('minValues')
    this.max = inside('maxValues')
    this.nullCount = inside('nullCount')?.text ?? null
    this.rows = tokenOf(document['numRecords'])?.text ?? null
  }
}

/** -1: nowhere, or more than once, as for a struct of that name. */
function onlyPlaceOf(key: string, text: string): number {
  const at = text.indexOf(key)
  return at === -1 || text.indexOf(key, at + key.length) === -1 ? at : -1
}

/** Which of the others, or the end, comes first after `at`. */
function nearest(at: number, one: number, other: number, end: number): number {
  const first = one > at ? one : end
  return other > at && other < first ? other : first
}

const QUOTE = 0x22
const COMMA = 0x2c
const CLOSE = 0x7d
const LETTER_N = 0x6e

/** undefined: not a scalar that stands right there. */
function tokenAt(text: string, start: number): Token | null | undefined {
  const first = text.charCodeAt(start)
  if (first === QUOTE) {
    const end = text.indexOf('"', start + 1)
    return { text: text.slice(start + 1, end), isText: true }
  }
  if (first === LETTER_N) return null
  let end = start
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end)
    if (code === COMMA || code === CLOSE) break
    // A space or a nested value.
    if (code <= 0x20 || code === 0x7b || code === 0x5b) return undefined
  }
  return { text: text.slice(start, end), isText: false }
}

/** null: not a scalar, or NULL. `value`: parsed with exact numbers. */
export function tokenOf(value: JsonValue | undefined): Token | null {
  if (value instanceof ExactNumber) return { text: value.text, isText: false }
  if (typeof value === 'string') return { text: value, isText: true }
  return typeof value === 'boolean' ? { text: String(value), isText: false } : null
}
