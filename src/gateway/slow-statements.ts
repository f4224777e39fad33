/**
 * SlowStatements: which statement a session sent last, for the log of slow ones.
 *
 * L1  Only a fingerprint is logged, the hash of the text without its literals, and the first
 *     word: no text that could hold a value.
 * L2  At most NAMES_MAX prepared statements are known, the newest; of a text TEXT_BYTES_MAX.
 */
import { createHash } from 'node:crypto'
import { normaliseStatement } from '../router/candidate.ts'

export interface SlowStatement {
  readonly fingerprint: string
  /** SELECT, INSERT …; empty when the text begins with no such word. */
  readonly command: string
}

const COMMAND = new RegExp('^(?:select|with|values|table|insert|update|delete|merge|copy|call|do'
  + '|begin|commit|rollback|explain|create|alter|drop|truncate|vacuum|analyze|refresh)\\b', 'i')
const NAMES_MAX = 200
const TEXT_BYTES_MAX = 4096

export class SlowStatements {
  readonly #texts = new Map<string, string>()
  #last = ''

  query(sql: Buffer): void { this.#last = textOf(sql) }

  parse(name: string, sql: Buffer): void {
    const text = textOf(sql)
    this.#last = text
    this.#texts.delete(name)
    this.#texts.set(name, text)
    if (this.#texts.size <= NAMES_MAX) return
    for (const oldest of this.#texts.keys()) {
      this.#texts.delete(oldest)
      break
    }
  }

  bind(name: string): void { this.#last = this.#texts.get(name) ?? '' }

  describeLast(): SlowStatement {
    const text = normaliseStatement(this.#last)
    return {
      fingerprint: createHash('sha256').update(text).digest('hex').slice(0, 16),
      command: COMMAND.exec(text)?.[0].toUpperCase() ?? '',
    }
  }
}

function textOf(sql: Buffer): string {
  return sql.toString('latin1', 0, Math.min(sql.length, TEXT_BYTES_MAX))
}
