/**
 * Candidate: the cheap look at a statement's text that decides whether it is analysed at
 * all, and the text by which a decision is remembered.
 *
 * C1  A look, not a parser: a false yes costs one analysis, a false no leaves the statement
 *     in PostgreSQL, which is always right.
 * C2  Time is linear in the text with one pass, and constant for what is no SELECT.
 */

/** First letters of the words that make a statement worth analysing, lower case. */
const WORDS: ReadonlySet<string> = new Set([
  'group', 'join', 'distinct', 'having', 'over', 'window', 'union', 'intersect', 'except',
  'count', 'sum', 'avg', 'min', 'max', 'exists', 'variance', 'var_pop', 'var_samp', 'stddev',
  'stddev_pop', 'stddev_samp', 'bool_and', 'bool_or', 'every', 'string_agg', 'array_agg',
  'bit_and', 'bit_or', 'bit_xor', 'percentile_cont', 'percentile_disc', 'rank', 'row_number',
  'rollup', 'cube', 'grouping', 'order',
])
const WORD_LENGTH_MAX = 15
const TEXT_LENGTH_MAX = 1024 * 1024

const Code = { slash: 47, star: 42, dash: 45, newline: 10, open: 40, quote: 39, double: 34 }

/** Whether the statement could be worth the columnar engine. */
export function isCandidate(sql: Buffer | string): boolean {
  const start = bodyStart(sql)
  if (start < 0 || sql.length > TEXT_LENGTH_MAX) return false
  const text = typeof sql === 'string' ? sql : sql.toString('latin1', start)
  return hasAnalyticWord(text, typeof sql === 'string' ? start : 0)
}

function codeAt(sql: Buffer | string, at: number): number {
  return typeof sql === 'string' ? sql.charCodeAt(at) : sql[at] ?? Number.NaN
}

/** Where SELECT, WITH or an opening bracket stands after blanks and comments; else -1. */
function bodyStart(sql: Buffer | string): number {
  let at = 0
  for (; at < sql.length;) {
    const code = codeAt(sql, at)
    if (code <= 32) { at++; continue }
    const comment = commentEnd(sql, at)
    if (comment === at) break
    at = comment
  }
  const first = codeAt(sql, at) | 32
  if (codeAt(sql, at) === Code.open) return at
  if (first === 115) return spells(sql, at, 'select') ? at : -1
  return first === 119 && spells(sql, at, 'with') ? at : -1
}

function spells(sql: Buffer | string, at: number, word: string): boolean {
  for (let index = 0; index < word.length; index++) {
    if ((codeAt(sql, at + index) | 32) !== word.charCodeAt(index)) return false
  }
  return !isWordCode(codeAt(sql, at + word.length))
}

/** The end of a comment that starts at `at`, or `at` itself. */
function commentEnd(sql: Buffer | string, at: number): number {
  const code = codeAt(sql, at), next = codeAt(sql, at + 1)
  if (code === Code.dash && next === Code.dash) {
    let end = at + 2
    while (end < sql.length && codeAt(sql, end) !== Code.newline) end++
    return end
  }
  if (code !== Code.slash || next !== Code.star) return at
  let depth = 1, end = at + 2
  for (; end < sql.length && depth > 0; end++) {
    const here = codeAt(sql, end), following = codeAt(sql, end + 1)
    if (here === Code.slash && following === Code.star) { depth++; end++ }
    else if (here === Code.star && following === Code.slash) { depth--; end++ }
  }
  return end
}

function isWordCode(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 ||
    (code >= 48 && code <= 57) || code > 127
}

/** A comma in FROM is a join too, but with no aggregate it is rarely worth it. */
function hasAnalyticWord(text: string, from: number): boolean {
  for (let at = from; at < text.length;) {
    const code = text.charCodeAt(at)
    if (code === Code.quote || code === Code.double) {
      at = text.indexOf(String.fromCharCode(code), at + 1) + 1
      if (at === 0) return false
      continue
    }
    if (!isWordCode(code)) { at++; continue }
    let end = at + 1
    while (end < text.length && isWordCode(text.charCodeAt(end))) end++
    const length = end - at
    if (length >= 3 && length <= WORD_LENGTH_MAX && mayStart(code) &&
      WORDS.has(text.slice(at, end).toLowerCase())) return true
    at = end
  }
  return false
}

const STARTS: readonly boolean[] = Array.from({ length: 128 }, (_, code) =>
  [...WORDS].some((word) => word.charCodeAt(0) === (code | 32)))

function mayStart(code: number): boolean {
  return code < 128 && STARTS[code] === true
}

const TOKENS = new RegExp([
  String.raw`'(?:[^']|'')*'`, String.raw`"(?:[^"]|"")*"`, String.raw`--[^\n]*`,
  String.raw`/\*[^]*?\*/`, String.raw`\$(?<tag>\w*)\$[^]*?\$\k<tag>\$`,
  String.raw`(?<![\w$.])\d+(?:\.\d*)?(?:[eE][+-]?\d+)?`, String.raw`\s+`,
].join('|'), 'g')

/**
 * The statement with its literals replaced, blanks folded and comments dropped. Not a
 * parser: two statements with one normal form may still differ in a literal's value, so
 * what is remembered under it must not depend on one.
 */
export function normaliseStatement(sql: string): string {
  return sql.replace(TOKENS, (token) => {
    const [first] = token
    if (first === '"') return token
    if (first === '-' || first === '/' || token.trim() === '') return ' '
    return '?'
  }).replace(/ +/g, ' ').trim()
}
