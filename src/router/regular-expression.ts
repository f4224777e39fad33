/**
 * RegularExpression: the subset of PostgreSQL's patterns that RE2 matches the same way.
 *
 * E1  A pattern is taken token by token; any token not listed refuses it.
 * E2  For matching alone every listed token is safe. For replacing, alternation and
 *     non-greedy quantifiers are not: PostgreSQL takes the longest alternative, RE2 the first.
 */
import { refuse } from './refusal.ts'

/** Literals, `.`, `\d`, classes of literals and ranges, anchors, groups, quantifiers, `|`. */
const TOKEN = new RegExp([
  String.raw`(?<group>\(\?:|\(|\))`,
  String.raw`(?<bar>\|)`,
  String.raw`(?<anchor>[\^$])`,
  String.raw`(?<quantifier>[*+?]|\{\d{1,3}(?:,\d{0,3})?\})`,
  String.raw`(?<class>\[\^?[^\]\[\\^-](?:-[^\]\[\\^-])?(?:[^\]\[\\^-](?:-[^\]\[\\^-])?)*\])`,
  String.raw`(?<escape>\\[d.^$*+?()\[\]{}|\\/-])`,
  String.raw`(?<plain>[^\\\[\](){}*+?|^$])`,
].join('|'), 'uy')

function tokens(pattern: string): readonly Readonly<Record<string, string | undefined>>[] {
  const found: Readonly<Record<string, string | undefined>>[] = []
  TOKEN.lastIndex = 0
  // PostgreSQL reads *** and (?flags) at the start as directives.
  if (pattern.startsWith('***') || pattern.startsWith('(?') && !pattern.startsWith('(?:')) {
    refuse('a regular expression with directives')
  }
  while (TOKEN.lastIndex < pattern.length) {
    const match = TOKEN.exec(pattern)
    if (match?.groups === undefined) refuse('a regular expression beyond the safe subset')
    found.push(match.groups)
  }
  return found
}

export function duckdbPattern(pattern: string): string {
  const parts = tokens(pattern)
  parts.forEach((part, index) => {
    const before = parts[index - 1]
    if (part['quantifier'] === undefined) return
    // A quantifier after a quantifier is non-greedy or an error; after nothing, an error.
    if (before === undefined || before['quantifier'] !== undefined ||
      before['anchor'] !== undefined || before['bar'] !== undefined ||
      (before['group'] !== undefined && before['group'] !== ')')) {
      refuse('a regular expression beyond the safe subset')
    }
  })
  return pattern
}

export function duckdbReplacement(pattern: string, replacement: string, global: boolean): {
  readonly pattern: string; readonly replacement: string
} {
  duckdbPattern(pattern)
  const parts = tokens(pattern)
  if (parts.some((part) => part['bar'] !== undefined)) {
    refuse('regexp_replace with alternatives')
  }
  const groups = parts.filter((part) => part['group'] === '(').length
  for (const reference of replacement.matchAll(/\\(.?)/gsu)) {
    const digit = reference[1] ?? ''
    if (!/^[1-9]$/.test(digit) || Number(digit) > groups) {
      refuse('regexp_replace with this replacement')
    }
  }
  if (global && new RegExp(pattern, 'su').test('')) {
    refuse('regexp_replace of a pattern that matches nothing')
  }
  return { pattern, replacement }
}
