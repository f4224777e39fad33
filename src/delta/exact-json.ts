/**
 * Exact JSON: numbers keep every digit, which JSON.parse and JSON.stringify do not.
 *
 * J1  A whole number beyond ±(2^53-1) is a bigint.
 * J2  With `exactNumbers` every number is an ExactNumber: its own text, unread.
 * J3  Parsing is bounded: depth at most 256; no key ever reaches a prototype.
 */
import { SlipwayError } from '../base/errors.ts'

/** A number as it stands in the text: decimals of 38 digits, -0, 1e400. */
export class ExactNumber {
  readonly text: string
  constructor(text: string) { this.text = text }

  /** JSON.stringify has no exact numbers: it must give up here as it does at a bigint. */
  toJSON(): never { throw new TypeError('an exact number is not JSON.stringify\'s to write') }
}

export type JsonValue =
  | null | boolean | number | bigint | string | ExactNumber | readonly JsonValue[] | JsonObject
export interface JsonObject { readonly [key: string]: JsonValue | undefined }

const DEPTH_MAX = 256
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const PLAIN = /[^"\\\u0000-\u001f]*/y
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t',
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    && !(value instanceof ExactNumber)
}

/** Throws `delta-corrupt` for text that is not JSON; the message holds none of it. */
export function parseJson(text: string, options: { readonly exactNumbers?: boolean } = {})
  : JsonValue {
  // No run of 16 digits, no __proto__: the native parser gives the same answer, 10 times faster.
  if (options.exactNumbers !== true && !/\d{16}|__proto__|\\u/.test(text)) {
    if (hasOpenings(text, DEPTH_MAX) && isTooDeep(text)) throw notJson()
    try { return JSON.parse(text) as JsonValue } catch { throw notJson() }
  }
  const parser = new Parser(text, options.exactNumbers === true)
  return parser.document()
}

/** Whether more than `max` brackets open, in texts or outside: less cannot be too deep. */
function hasOpenings(text: string, max: number): boolean {
  let count = 0
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++count > max) return true
    }
  }
  return false
}

/** J3, for text that need not be JSON. */
function isTooDeep(text: string): boolean {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const mark = text[at]
    if (mark === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === '\\') at++
    } else if (mark === '{' || mark === '[') {
      if (++depth > DEPTH_MAX) return true
    } else if (mark === '}' || mark === ']') {
      depth--
    }
  }
  return false
}

/** undefined members are left out, as JSON.stringify does. */
export function stringifyJson(value: JsonValue): string {
  // Most documents have no number that needs more; several times faster.
  try { return JSON.stringify(value) } catch { return stringifyExactly(value) }
}

function stringifyExactly(value: JsonValue): string {
  if (typeof value === 'bigint') return value.toString()
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (value instanceof ExactNumber) return value.text
  if (Array.isArray(value)) {
    return `[${(value as readonly JsonValue[]).map(stringifyExactly).join(',')}]`
  }
  const members: string[] = []
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${stringifyExactly(member)}`)
  }
  return `{${members.join(',')}}`
}

function notJson(): SlipwayError {
  return new SlipwayError('delta-corrupt', 'text of the log is not valid JSON')
}

class Parser {
  readonly #text: string
  readonly #exactNumbers: boolean
  #at = 0

  constructor(text: string, exactNumbers: boolean) {
    this.#text = text
    this.#exactNumbers = exactNumbers
  }

  document(): JsonValue {
    const value = this.#value(0)
    this.#blank()
    if (this.#at !== this.#text.length) throw notJson()
    return value
  }

  #blank(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #take(wanted: string): boolean {
    if (!this.#text.startsWith(wanted, this.#at)) return false
    this.#at += wanted.length
    return true
  }

  #value(depth: number): JsonValue {
    if (depth > DEPTH_MAX) throw notJson()
    this.#blank()
    switch (this.#text[this.#at]) {
      case '{': return this.#object(depth)
      case '[': return this.#array(depth)
      case '"': return this.#string()
      case 't': if (this.#take('true')) return true; break
      case 'f': if (this.#take('false')) return false; break
      case 'n': if (this.#take('null')) return null; break
      default: return this.#number()
    }
    throw notJson()
  }

  #object(depth: number): JsonObject {
    this.#at++
    const members: Record<string, JsonValue> = Object.create(null) as Record<string, JsonValue>
    this.#blank()
    if (this.#take('}')) return members
    for (;;) {
      this.#blank()
      if (this.#text[this.#at] !== '"') throw notJson()
      const key = this.#string()
      this.#blank()
      if (!this.#take(':')) throw notJson()
      members[key] = this.#value(depth + 1)
      this.#blank()
      if (this.#take('}')) return members
      if (!this.#take(',')) throw notJson()
    }
  }

  #array(depth: number): JsonValue[] {
    this.#at++
    const items: JsonValue[] = []
    this.#blank()
    if (this.#take(']')) return items
    for (;;) {
      items.push(this.#value(depth + 1))
      this.#blank()
      if (this.#take(']')) return items
      if (!this.#take(',')) throw notJson()
    }
  }

  #string(): string {
    this.#at++
    let out = ''
    for (;;) {
      PLAIN.lastIndex = this.#at
      const plain = PLAIN.exec(this.#text)?.[0] ?? ''
      out += plain
      this.#at += plain.length
      if (this.#take('"')) return out
      if (!this.#take('\\')) throw notJson()
      out += this.#escape()
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at] ?? ''
    this.#at++
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at, this.#at + 4)
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw notJson()
      this.#at += 4
      return String.fromCharCode(parseInt(digits, 16))
    }
    const meant = ESCAPES[letter]
    if (meant === undefined) throw notJson()
    return meant
  }

  #number(): JsonValue {
    NUMBER.lastIndex = this.#at
    const text = NUMBER.exec(this.#text)?.[0]
    if (text === undefined) throw notJson()
    this.#at += text.length
    if (this.#exactNumbers) return new ExactNumber(text)
    const value = Number(text)
    return /[.eE]/.test(text) || Number.isSafeInteger(value) ? value : BigInt(text)
  }
}
