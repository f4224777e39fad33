/**
 * StatementText: what the gateway must know of a statement's text before PostgreSQL sees it.
 *
 * T1  A cheap look, never a parse: where it cannot tell it says what costs nothing but time,
 *     so that PostgreSQL gets the statement or is asked about it.
 */

/** Texts longer than this are passed on unseen. */
export const STATEMENT_BYTES_MAX = 1024 * 1024

const MENTION = Buffer.from('slipway.')
const MENTION_UPPER = Buffer.from('SLIPWAY.')
const DOT = 0x2e
const MENTION_BYTES_MAX = 4096
const OPENING_BYTES = 64
const OPENING_BLOCK_BYTES_MAX = 256

/** `slipway.` as settings are written: after it the session may have a route of its own. */
export function mentionsSlipway(sql: Buffer): boolean {
  const head = sql.length > MENTION_BYTES_MAX ? sql.subarray(0, MENTION_BYTES_MAX) : sql
  // A point statement rarely has a dot: looking for one byte costs a third of the rest.
  if (!head.includes(DOT)) return false
  return head.includes(MENTION) || head.includes(MENTION_UPPER)
}

/** Bytes of `EXPLAIN (ROUTE) ` before the statement; null when the text is not of that form. */
export function explainRoutePrefix(sql: Buffer): number | null {
  // A point statement pays this comparison only.
  const at = firstOfText(sql)
  if (((sql[at] ?? 0) | 0x20) !== 0x65) return null
  const head = sql.toString('latin1', 0, Math.min(sql.length, at + OPENING_BYTES))
  return /^\s*explain\s*\(\s*route\s*\)\s*/i.exec(head)?.[0].length ?? null
}

/** No second statement behind a semicolon. A semicolon in a literal counts as one too. */
export function isSingleStatement(sql: Buffer): boolean {
  const semicolon = sql.indexOf(0x3b)
  if (semicolon < 0) return true
  for (let at = semicolon; at < sql.length; at++) {
    const byte = sql[at] ?? 0
    if (byte !== 0x3b && !isSpace(byte)) return false
  }
  return true
}

const OPENS_BLOCK = /^(?:begin|start\s+transaction)(?:[\s,]+[a-z]+)*\s*;?\s*$/i

/** BEGIN or START TRANSACTION, with any modes. */
export function opensBlock(sql: Buffer): boolean {
  const at = firstOfText(sql)
  const letter = (sql[at] ?? 0) | 0x20
  if ((letter !== 0x62 && letter !== 0x73) || sql.length > OPENING_BLOCK_BYTES_MAX) return false
  return OPENS_BLOCK.test(sql.toString('latin1', at))
}

const READS = /^\s*(?:\(\s*)*(?:select|with|table)\b/i
const RELATION = /\bfrom\b|^\s*(?:\(\s*)*table\b/i

/** A SELECT that names a table, for sessions that chose a route. */
export function readsRelation(sql: Buffer): boolean {
  const text = sql.toString('latin1', firstOfText(sql))
  return READS.test(text) && RELATION.test(text)
}

/** The beginning of a text, cut off anywhere, may be that of a statement to look at. */
export function mayBeRead(opening: Buffer): boolean {
  const at = firstOfText(opening)
  const word = /^[a-z]*/i.exec(opening.toString('latin1', at, at + 8))?.[0].toLowerCase() ?? ''
  if (word === '') {
    const next = opening[at]
    return next === undefined || next === 0x28 || next === 0x2d || next === 0x2f
  }
  return ['select', 'with', 'table', 'values', 'explain'].some((keyword) =>
    keyword === word || (at + word.length === opening.length && keyword.startsWith(word)))
}

/** Index of the first byte that is neither space nor comment; the length when there is none. */
function firstOfText(sql: Buffer): number {
  let at = 0
  for (;;) {
    while (at < sql.length && isSpace(sql[at] ?? 0)) at++
    if (sql[at] === 0x2d && sql[at + 1] === 0x2d) {
      const end = sql.indexOf(0x0a, at)
      if (end < 0) return sql.length
      at = end + 1
    } else if (sql[at] === 0x2f && sql[at + 1] === 0x2a) {
      const end = sql.indexOf('*/', at + 2)
      if (end < 0) return sql.length
      at = end + 2
    } else {
      return at
    }
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
