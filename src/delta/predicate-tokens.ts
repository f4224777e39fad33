/**
 * PredicateTokens: the words, names, literals and signs of a condition, with their places.
 *
 * PK1  Every character belongs to a token or to the blanks between them, or is refused with its
 *      place.
 */
import { SlipwayError } from '../base/errors.ts'

export type Token =
  /** Unquoted: a keyword or a name. */
  | { readonly kind: 'word'; readonly text: string; readonly at: number }
  | { readonly kind: 'name'; readonly text: string; readonly at: number }
  | { readonly kind: 'text'; readonly text: string; readonly at: number }
  | { readonly kind: 'bytes'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly text: string; readonly at: number }
  | { readonly kind: 'sign'; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number }

const TOKEN = new RegExp([
  /(?<bytes>[xX]'[0-9a-fA-F]*')/, /(?<text>'(?:[^']|'')*')/,
  /(?<name>"(?:[^"]|"")+"|`(?:[^`]|``)+`)/,
  /(?<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/, /(?<word>[\p{L}_][\p{L}\p{N}_$]*)/u,
  /(?<sign><=|>=|<>|!=|==|[=<>(),.+-])/,
].map(({ source }) => source).join('|'), 'uy')

/** PK1. Throws `usage`. */
export function predicateTokens(source: string): readonly Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < source.length;) {
    const blank = /\s*/y
    blank.lastIndex = at
    at += blank.exec(source)?.[0].length ?? 0
    if (at === source.length) break
    TOKEN.lastIndex = at
    const match = TOKEN.exec(source)
    if (match === null) throw refusalAt(at, 'this is not understood')
    tokens.push(tokenOf(match.groups ?? {}, at))
    at += match[0].length
  }
  tokens.push({ kind: 'end', text: '', at: source.length })
  return tokens
}

function tokenOf(groups: Readonly<Record<string, string | undefined>>, at: number): Token {
  const { bytes, text, name, number, word, sign } = groups
  if (bytes !== undefined) {
    if (bytes.length % 2 === 0) throw refusalAt(at, 'bytes have two hexadecimal digits each')
    return { kind: 'bytes', text: bytes.slice(2, -1), at }
  }
  if (text !== undefined) {
    return { kind: 'text', text: text.slice(1, -1).replaceAll('\'\'', '\''), at }
  }
  if (name !== undefined) {
    const quote = name.charAt(0)
    return { kind: 'name', text: name.slice(1, -1).replaceAll(quote + quote, quote), at }
  }
  if (number !== undefined) return { kind: 'number', text: number, at }
  if (word !== undefined) return { kind: 'word', text: word, at }
  return { kind: 'sign', text: sign ?? '', at }
}

/** `at`: from 0. The message shows the place, never the text. */
export function refusalAt(at: number, what: string): SlipwayError {
  return new SlipwayError('usage', `the condition is wrong at character ${at + 1}: ${what}`, {
    hint: 'Write conditions such as: id >= 5 AND (name LIKE \'a%\' OR address.city IN (\'Ulm\') OR '
      + 'day IS NULL)',
  })
}
