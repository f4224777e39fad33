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
  if (sql.length > TEXT_LENGTH_MAX) return false
  const bytes = typeof sql === 'string' ? Buffer.from(sql) : sql
  const start = bodyStart(bytes)
  return start >= 0 && hasAnalyticWord(bytes, start)
}

/** Where SELECT, WITH or an opening bracket stands after blanks and comments; else -1. */
function bodyStart(sql: Buffer): number {
  let at = 0
  for (; at < sql.length;) {
    if ((sql[at] ?? 0) <= 32) { at++; continue }
    const comment = commentEnd(sql, at)
    if (comment === at) break
    at = comment
  }
  if (sql[at] === Code.open) return at
  const first = (sql[at] ?? 0) | 32
  if (first === 115) return spells(sql, at, 'select') ? at : -1
  return first === 119 && spells(sql, at, 'with') ? at : -1
}

function spells(sql: Buffer, at: number, word: string): boolean {
  for (let index = 0; index < word.length; index++) {
    if (((sql[at + index] ?? 0) | 32) !== word.charCodeAt(index)) return false
  }
  return !isWordCode(sql[at + word.length] ?? 0)
}

/** The end of a comment that starts at `at`, or `at` itself. */
function commentEnd(sql: Buffer, at: number): number {
  if (sql[at] === Code.dash && sql[at + 1] === Code.dash) {
    let end = at + 2
    while (end < sql.length && sql[end] !== Code.newline) end++
    return end
  }
  if (sql[at] !== Code.slash || sql[at + 1] !== Code.star) return at
  let depth = 1, end = at + 2
  for (; end < sql.length && depth > 0; end++) {
    if (sql[end] === Code.slash && sql[end + 1] === Code.star) { depth++; end++ }
    else if (sql[end] === Code.star && sql[end + 1] === Code.slash) { depth--; end++ }
  }
  return end
}

/** 1 for each byte that a word may hold: letters, digits, `_`, and all beyond ASCII. */
const WORD_BYTES = Uint8Array.from({ length: 256 }, (_, code) =>
  code > 127 || /\w/.test(String.fromCharCode(code)) ? 1 : 0)

function isWordCode(code: number): boolean {
  return WORD_BYTES[code] === 1
}

/** A comma in FROM is a join too, but with no aggregate it is rarely worth it. */
function hasAnalyticWord(sql: Buffer, from: number): boolean {
  for (let at = from; at < sql.length;) {
    const code = sql[at] ?? 0
    if (code === Code.quote || code === Code.double) {
      at = sql.indexOf(code, at + 1) + 1
      if (at === 0) return false
      continue
    }
    if (!isWordCode(code)) { at++; continue }
    let end = at + 1
    while (end < sql.length && isWordCode(sql[end] ?? 0)) end++
    if (end - at <= WORD_LENGTH_MAX && mayBeAnalytic(code, sql[at + 1] ?? 0, end - at) &&
      WORDS.has(sql.toString('latin1', at, end).toLowerCase())) return true
    at = end
  }
  return false
}

/**
 * By a word's first letter and length, the bits of the second letters that WORDS has: nearly
 * every other word is told apart without a string being made of it.
 */
const SECOND_LETTERS = new Int32Array(32 * (WORD_LENGTH_MAX + 1))
for (const word of WORDS) {
  const place = wordPlace(word.charCodeAt(0), word.length)
  SECOND_LETTERS[place] = (SECOND_LETTERS[place] ?? 0) | letterBit(word.charCodeAt(1))
}

function mayBeAnalytic(first: number, second: number, length: number): boolean {
  return ((SECOND_LETTERS[wordPlace(first, length)] ?? 0) & letterBit(second)) !== 0
}

function wordPlace(first: number, length: number): number {
  return (first & 31) * (WORD_LENGTH_MAX + 1) + length
}

/** Of both cases; what is no letter shares a bit with one. */
function letterBit(code: number): number {
  return 1 << (code & 31)
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
