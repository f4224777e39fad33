/**
 * ClientWalker: walks what a client sends, from head to head, and stops where a statement may
 * begin that is worth a look.
 *
 * W1  A message that needs no look costs its head: no copy, no object.
 * W2  Each message is counted in ExchangeState exactly once, when it is passed on.
 */
import { FRONTEND, HEADER_BYTES } from '../pgwire/message-code.ts'
import type { ExchangeState } from './exchange-state.ts'
import type { PreparedStatements } from './prepared-statements.ts'

export class ClientWalker {
  readonly #state: ExchangeState
  readonly #statements: PreparedStatements
  /** Bytes of a message already counted that are still to come. */
  #skip = 0

  readonly #looksAtBinds: boolean

  /** `looksAtBinds`: also when no statement of the session is a candidate. */
  constructor(state: ExchangeState, statements: PreparedStatements, looksAtBinds: boolean) {
    this.#state = state
    this.#statements = statements
    this.#looksAtBinds = looksAtBinds
  }

  /** Index of the first message (or cut head) to look at; `chunk.length` when there is none. */
  walk(chunk: Buffer, from: number): number {
    const end = chunk.length
    let at = from
    if (this.#skip > 0) {
      if (this.#skip >= end - at) {
        this.#skip -= end - at
        return end
      }
      at += this.#skip
      this.#skip = 0
    }
    if (this.#state.isSpliceOnly) return end
    while (at < end) {
      if (end - at < HEADER_BYTES || this.#isWorthALook(chunk[at] ?? 0)) return at
      at = this.pass(chunk, at)
    }
    return end
  }

  /** Counts the message at `at`, whose head is there; gives the index behind it. */
  pass(chunk: Buffer, at: number): number {
    const code = chunk[at] ?? 0
    const length = chunk.readInt32BE(at + 1)
    if (length < 4) {
      // PostgreSQL says what is wrong (08P01) and ends the connection.
      this.#state.spliceOnly()
      return chunk.length
    }
    this.#count(code)
    const next = at + 1 + length
    if (next <= chunk.length) return next
    this.#skip = next - chunk.length
    return chunk.length
  }

  /** Counts whole messages that go on without a look. */
  passAll(messages: Buffer): void {
    for (let at = 0; at < messages.length;) at = this.pass(messages, at)
  }

  #isWorthALook(code: number): boolean {
    if (this.#statements.isAnyGone) return true
    switch (code) {
      case FRONTEND.query: case FRONTEND.parse: return true
      case FRONTEND.bind: return this.#looksAtBinds || this.#statements.size > 0
      case FRONTEND.close: return this.#statements.size > 0
      default: return false
    }
  }

  #count(code: number): void {
    switch (code) {
      case FRONTEND.query: case FRONTEND.functionCall:
        this.#state.clientQuery()
        return
      case FRONTEND.sync:
        this.#state.clientSync()
        return
      case FRONTEND.bind: case FRONTEND.execute:
        this.#state.clientExtended(true)
        return
      case FRONTEND.parse: case FRONTEND.describe: case FRONTEND.close:
        this.#state.clientExtended(false)
        return
      case FRONTEND.flush:
        this.#state.clientFlush()
        return
      case FRONTEND.copyDone: case FRONTEND.copyFail:
        this.#state.clientCopyEnd()
        return
      default:
    }
  }
}
