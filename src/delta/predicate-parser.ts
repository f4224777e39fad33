/**
 * PredicateParser: a condition in SQL's words as a Predicate.
 *
 *   condition  = conjunction { OR conjunction }
 *   conjunction= negation { AND negation }
 *   negation   = { NOT } ( "(" condition ")" | comparison )
 *   comparison = column [ sign literal | IS [NOT] NULL | [NOT] IN "(" literal { "," literal } ")"
 *              | [NOT] BETWEEN literal AND literal | [NOT] LIKE text ] | literal sign column
 *   column     = name { "." name }       names as they are, or in "…" or `…`
 *   literal    = [sign] number | 'text' | X'bytes' | TRUE | FALSE | NULL | (DATE|TIMESTAMP) 'text'
 *
 * PP1  Whatever else is written is refused with the place where it goes wrong.
 * PP2  Depth and length are bounded.
 */
import { ExactNumber } from './exact-json.ts'
import type { ColumnName, ComparisonOp, Literal, Predicate } from './predicate.ts'
import { predicateTokens, refusalAt, type Token } from './predicate-tokens.ts'

const LENGTH_MAX = 1_000_000
const DEPTH_MAX = 200
const SIGNS: Readonly<Record<string, ComparisonOp>> = {
  '=': '=', '==': '=', '<>': '<>', '!=': '<>', '<': '<', '<=': '<=', '>': '>', '>=': '>=',
}
const FLIPPED: Readonly<Record<ComparisonOp, ComparisonOp>> = {
  '=': '=', '<>': '<>', '<': '>', '<=': '>=', '>': '<', '>=': '<=',
}
const KEYWORDS: ReadonlySet<string> = new Set(['AND', 'OR', 'NOT', 'IS', 'NULL', 'IN', 'BETWEEN',
  'LIKE', 'TRUE', 'FALSE'])

/** PP1. Throws `usage`. */
export function parsePredicate(text: string): Predicate {
  if (text.length > LENGTH_MAX) throw refusalAt(LENGTH_MAX, 'it is too long')
  const parser = new Parser(predicateTokens(text))
  return parser.whole()
}

class Parser {
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  whole(): Predicate {
    const predicate = this.#condition()
    if (this.#next.kind !== 'end') throw this.#refusal('AND, OR or the end')
    return predicate
  }

  get #next(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '', at: 0 }
  }

  /** The next token when it is this keyword. */
  #takeWord(word: string): boolean {
    const { kind, text } = this.#next
    const found = kind === 'word' && text.toUpperCase() === word
    if (found) this.#at++
    return found
  }

  #takeSign(sign: string): boolean {
    const found = this.#next.kind === 'sign' && this.#next.text === sign
    if (found) this.#at++
    return found
  }

  #need(found: boolean, wanted: string): void {
    if (!found) throw this.#refusal(wanted)
  }

  #refusal(wanted: string): Error {
    return refusalAt(this.#next.at, `expected ${wanted}`)
  }

  #condition(): Predicate {
    if (++this.#depth > DEPTH_MAX) throw refusalAt(this.#next.at, 'it is nested too deep')
    const operands = [this.#conjunction()]
    while (this.#takeWord('OR')) operands.push(this.#conjunction())
    this.#depth--
    return operands.length === 1 && operands[0] !== undefined ? operands[0]
      : { kind: 'or', operands }
  }

  #conjunction(): Predicate {
    const operands = [this.#negation()]
    while (this.#takeWord('AND')) operands.push(this.#negation())
    return operands.length === 1 && operands[0] !== undefined ? operands[0]
      : { kind: 'and', operands }
  }

  #negation(): Predicate {
    let negated = false
    while (this.#takeWord('NOT')) negated = !negated
    const operand = this.#primary()
    return negated ? { kind: 'not', operand } : operand
  }

  #primary(): Predicate {
    if (this.#takeSign('(')) {
      const inside = this.#condition()
      this.#need(this.#takeSign(')'), ')')
      return inside
    }
    const literal = this.#literalIfAny()
    if (literal === undefined) return this.#comparison(this.#column())
    const op = this.#op()
    this.#need(op !== null, 'a comparison sign')
    return { kind: 'comparison', column: this.#column(), op: FLIPPED[op ?? '='], value: literal }
  }

  #comparison(column: ColumnName): Predicate {
    const op = this.#op()
    if (op !== null) return { kind: 'comparison', column, op, value: this.#literal() }
    if (this.#takeWord('IS')) {
      const negated = this.#takeWord('NOT')
      this.#need(this.#takeWord('NULL'), 'NULL')
      return negate(negated, { kind: 'is-null', column })
    }
    const negated = this.#takeWord('NOT')
    if (this.#takeWord('IN')) return negate(negated, { kind: 'in', column, values: this.#list() })
    if (this.#takeWord('BETWEEN')) {
      const low = this.#literal()
      this.#need(this.#takeWord('AND'), 'AND')
      return negate(negated, { kind: 'between', column, low, high: this.#literal() })
    }
    if (this.#takeWord('LIKE')) {
      const pattern = this.#literal()
      if (typeof pattern !== 'string') {
        this.#at--
        throw this.#refusal('a pattern in single quotes')
      }
      return negate(negated, { kind: 'like', column, pattern })
    }
    this.#need(!negated, 'IN, BETWEEN or LIKE')
    // A boolean column by itself.
    return { kind: 'comparison', column, op: '=', value: true }
  }

  #op(): ComparisonOp | null {
    const op = this.#next.kind === 'sign' ? SIGNS[this.#next.text] : undefined
    if (op !== undefined) this.#at++
    return op ?? null
  }

  #list(): readonly Literal[] {
    this.#need(this.#takeSign('('), '(')
    const values = [this.#literal()]
    while (this.#takeSign(',')) values.push(this.#literal())
    this.#need(this.#takeSign(')'), ', or )')
    return values
  }

  #column(): ColumnName {
    const names = [this.#name()]
    while (this.#takeSign('.')) names.push(this.#name())
    return names
  }

  #name(): string {
    const { kind, text } = this.#next
    const isName = kind === 'name' || (kind === 'word' && !KEYWORDS.has(text.toUpperCase()))
    this.#need(isName, 'a column')
    this.#at++
    return text
  }

  #literal(): Literal {
    const literal = this.#literalIfAny()
    if (literal === undefined) throw this.#refusal('a literal (a number, or a text in \'…\')')
    return literal
  }

  /** undefined: no literal begins here. */
  #literalIfAny(): Literal | undefined {
    const token = this.#next
    switch (token.kind) {
      case 'text': this.#at++; return token.text
      case 'bytes': this.#at++; return Buffer.from(token.text, 'hex')
      case 'number': this.#at++; return new ExactNumber(token.text)
      case 'sign': return this.#signedNumber()
      case 'word': return this.#wordLiteral(token.text.toUpperCase())
      case 'name': case 'end': return undefined
    }
  }

  #signedNumber(): Literal | undefined {
    const { text } = this.#next
    const number = this.#tokens[this.#at + 1]
    if ((text !== '-' && text !== '+') || number?.kind !== 'number') return undefined
    this.#at += 2
    return new ExactNumber(`${text === '-' ? '-' : ''}${number.text}`)
  }

  #wordLiteral(word: string): Literal | undefined {
    const following = this.#tokens[this.#at + 1]
    if ((word === 'DATE' || word === 'TIMESTAMP') && following?.kind === 'text') {
      this.#at += 2
      return following.text
    }
    if (word !== 'TRUE' && word !== 'FALSE' && word !== 'NULL') return undefined
    this.#at++
    return word === 'NULL' ? null : word === 'TRUE'
  }
}

function negate(negated: boolean, predicate: Predicate): Predicate {
  return negated ? { kind: 'not', operand: predicate } : predicate
}
