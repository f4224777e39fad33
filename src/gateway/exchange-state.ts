/**
 * ExchangeState: where client and server stand with each other, seen from between them.
 *
 * E1  `isIdle` is true only when the server has answered everything and waits for a command:
 *     then, and only then, may the gateway put messages of its own in.
 * E2  When the count cannot be trusted (replication, messages of an impossible length) it is
 *     never idle again: the session is then a plain splice.
 *
 * Source: PostgreSQL documentation, "Message Flow"; src/backend/tcop/postgres.c.
 */
import type { TransactionStatus } from '../pgwire/message-code.ts'

export class ExchangeState {
  /** Queries, function calls and Syncs (the start-up too) not yet answered by ReadyForQuery. */
  #outstanding = 1
  /** Extended messages were passed on that no Sync has closed. */
  #unsynced = false
  /** The server reads COPY data, and ignores Syncs until the client says that it ends. */
  #copyIn = false
  #lastWasQuery = true
  #spliceOnly = false
  #status: TransactionStatus = 'I'
  #hasStarted = false

  get isIdle(): boolean {
    return this.#outstanding === 0 && !this.#unsynced && !this.#copyIn && !this.#spliceOnly
  }

  /** Of the last ReadyForQuery. */
  get status(): TransactionStatus { return this.#status }
  get hasStarted(): boolean { return this.#hasStarted }
  get isSpliceOnly(): boolean { return this.#spliceOnly }
  get outstanding(): number { return this.#outstanding }

  spliceOnly(): void { this.#spliceOnly = true }

  /** Query or FunctionCall: answered by one ReadyForQuery, whatever happens. */
  clientQuery(): void {
    this.#outstanding++
    this.#lastWasQuery = true
    this.#unsynced = false
  }

  clientExtended(): void { this.#unsynced = true }

  clientSync(): void {
    this.#unsynced = false
    if (this.#copyIn) return
    this.#outstanding++
    this.#lastWasQuery = false
  }

  /** CopyDone or CopyFail. */
  clientCopyEnd(): void { this.#copyIn = false }

  serverReady(status: TransactionStatus): void {
    if (this.#outstanding > 0) this.#outstanding--
    this.#hasStarted = true
    this.#copyIn = false
    this.#status = status
  }

  /** A ReadyForQuery that answered messages of our own. */
  serverSettled(status: TransactionStatus): void { this.#status = status }

  /**
   * libpq sends a Sync right behind the Execute of a COPY, which the server ignores: after
   * CopyDone comes another one, and only that is answered.
   */
  serverCopyIn(): void {
    if (this.#lastWasQuery) return
    this.#copyIn = true
    this.#outstanding = 0
  }

  /** An error ends COPY: the server then skips to the next Sync, and answers it. */
  serverError(): void { this.#copyIn = false }
}
