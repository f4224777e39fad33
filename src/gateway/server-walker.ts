/**
 * ServerWalker: reads along with what the server sends, without holding it up.
 *
 * W1  Looks at each message's head only, and at the bodies of those that change the session's
 *     state: ReadyForQuery, BackendKeyData, the tag of a CommandComplete, an error's SQLSTATE.
 * W2  Chunks may cut a message anywhere, its head too.
 */
import { BACKEND, HEADER_BYTES, transactionStatus } from '../pgwire/message-code.ts'
import type { ExchangeState } from './exchange-state.ts'
import type { PreparedStatements } from './prepared-statements.ts'

/** 'C' */
const SQL_STATE_FIELD = 0x43
/** Bytes of a message that may be needed: BackendKeyData's, whose key has 256 at most. */
const SEEN_BYTES_MAX = 512

export class ServerWalker {
  readonly #state: ExchangeState
  readonly #statements: PreparedStatements
  readonly #onKey: (key: Buffer) => void
  readonly #onError: (sqlState: string) => void
  /** Bytes of the current message that need not be seen. */
  #skip = 0
  /** The code of the message to which they belong. */
  #skipped = 0
  /** The beginning of a message that a chunk cut, as far as it is needed. */
  #cut: Buffer | null = null
  #cutBytes = 0

  constructor(options: {
    readonly state: ExchangeState
    readonly statements: PreparedStatements
    readonly onKey: (key: Buffer) => void
    readonly onError: (sqlState: string) => void
  }) {
    this.#state = options.state
    this.#statements = options.statements
    this.#onKey = options.onKey
    this.#onError = options.onError
  }

  /** Of a chunk not yet walked: the last place between two messages; null when it has none. */
  lastBoundary(chunk: Buffer): number | null {
    if (this.#cutBytes > 0 || this.#skip > chunk.length) return null
    let at = this.#skip
    while (chunk.length - at >= HEADER_BYTES) {
      const next = at + messageBytes(chunk, at)
      if (next > chunk.length) break
      at = next
    }
    return at
  }

  walk(chunk: Buffer): void {
    const end = chunk.length
    let at = this.#skip
    if (at > end) {
      this.#skip = at - end
      return
    }
    if (at > 0) this.#end(this.#skipped)
    this.#skip = 0
    if (this.#cutBytes > 0) at = this.#mend(chunk, at)
    while (at < end) {
      if (end - at < HEADER_BYTES) break
      const code = chunk[at] ?? 0
      const total = messageBytes(chunk, at)
      if (end - at < total) {
        if (isSeen(code)) break
        this.#see(code, chunk, at)
        this.#skipRest(code, total - (end - at))
        return
      }
      this.#see(code, chunk, at)
      this.#end(code)
      at += total
    }
    if (at < end) this.#keep(chunk, at)
  }

  /** Completes the message that was cut; gives the index behind it, or the chunk's length. */
  #mend(chunk: Buffer, start: number): number {
    const cut = this.#cut ?? Buffer.allocUnsafe(SEEN_BYTES_MAX)
    let at = start
    for (;;) {
      const total = this.#cutBytes < HEADER_BYTES ? HEADER_BYTES : messageBytes(cut, 0)
      const code = cut[0] ?? 0
      const needed = this.#cutBytes < HEADER_BYTES ? HEADER_BYTES
        : isSeen(code) ? Math.min(total, SEEN_BYTES_MAX) : HEADER_BYTES
      if (this.#cutBytes >= HEADER_BYTES && this.#cutBytes >= needed) {
        this.#see(code, cut.subarray(0, this.#cutBytes), 0)
        const left = total - this.#cutBytes
        this.#cutBytes = 0
        if (left <= chunk.length - at) {
          this.#end(code)
          return at + left
        }
        this.#skipRest(code, left - (chunk.length - at))
        return chunk.length
      }
      if (at === chunk.length) return at
      const take = Math.min(needed - this.#cutBytes, chunk.length - at)
      chunk.copy(cut, this.#cutBytes, at, at + take)
      this.#cutBytes += take
      at += take
    }
  }

  #keep(chunk: Buffer, at: number): void {
    this.#cut ??= Buffer.allocUnsafe(SEEN_BYTES_MAX)
    const length = Math.min(chunk.length - at, SEEN_BYTES_MAX)
    chunk.copy(this.#cut, 0, at, at + length)
    this.#cutBytes = length
    if (chunk.length - at <= length) return
    // A seen message longer than what is kept of it: the kept part is enough.
    const total = messageBytes(chunk, at)
    this.#see(chunk[at] ?? 0, this.#cut, 0)
    this.#cutBytes = 0
    this.#skipRest(chunk[at] ?? 0, total - (chunk.length - at))
  }

  #skipRest(code: number, bytes: number): void {
    this.#skipped = code
    this.#skip = bytes
  }

  /** The last byte of a message was walked. */
  #end(code: number): void {
    switch (code) {
      case BACKEND.parseComplete: case BACKEND.bindComplete: case BACKEND.closeComplete:
      case BACKEND.rowDescription: case BACKEND.noData: case BACKEND.emptyQuery:
      case BACKEND.portalSuspended:
        this.#state.serverAnswered()
        return
      case BACKEND.commandComplete:
        this.#state.serverAnswered()
        this.#state.serverCommandComplete()
        return
      default:
    }
  }

  #see(code: number, buffer: Buffer, at: number): void {
    switch (code) {
      case BACKEND.dataRow: return
      case BACKEND.readyForQuery:
        this.#state.serverReady(transactionStatus(buffer[at + HEADER_BYTES]))
        if (this.#state.outstanding === 0) this.#statements.serverReady()
        return
      case BACKEND.error:
        this.#state.serverError()
        this.#statements.serverError()
        this.#onError(sqlStateAt(buffer, at))
        return
      case BACKEND.commandComplete:
        if (this.#statements.size > 0 && changesStatements(buffer, at + HEADER_BYTES)) {
          this.#statements.forgetAll()
        }
        return
      case BACKEND.copyInResponse:
        this.#state.serverCopyIn()
        return
      case BACKEND.copyBothResponse:
        this.#state.spliceOnly()
        return
      case BACKEND.backendKeyData:
        this.#onKey(Buffer.from(buffer.subarray(at + HEADER_BYTES, at + messageBytes(buffer, at))))
        return
      default:
    }
  }
}

/** Header and body; at least the header, whatever the length field says. */
function messageBytes(buffer: Buffer, at: number): number {
  return Math.max(HEADER_BYTES, 1 + ((buffer[at + 1] ?? 0) * 0x1000000
    + (((buffer[at + 2] ?? 0) << 16) | ((buffer[at + 3] ?? 0) << 8) | (buffer[at + 4] ?? 0))))
}

/** Messages whose body is looked at. */
function isSeen(code: number): boolean {
  return code === BACKEND.readyForQuery || code === BACKEND.commandComplete
    || code === BACKEND.backendKeyData || code === BACKEND.error
}

/** Field C, which stands near the front; empty when it is not there. */
function sqlStateAt(buffer: Buffer, at: number): string {
  const end = Math.min(buffer.length, at + messageBytes(buffer, at))
  let field = at + HEADER_BYTES
  while (field < end && buffer[field] !== 0) {
    const zero = buffer.indexOf(0, field + 1)
    if (zero < 0 || zero >= end) break
    if (buffer[field] === SQL_STATE_FIELD) return buffer.toString('latin1', field + 1, zero)
    field = zero + 1
  }
  return ''
}

/** Tags DEALLOCATE, DEALLOCATE ALL, DISCARD ALL and PREPARE, by their first three letters. */
function changesStatements(buffer: Buffer, at: number): boolean {
  const first = buffer[at]
  if (first !== 0x44 && first !== 0x50) return false
  const tag = buffer.toString('latin1', at, at + 3)
  return tag === 'DEA' || tag === 'DIS' || tag === 'PRE'
}
