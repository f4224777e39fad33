/**
 * ExchangeState: where client and server stand with each other, seen from between them.
 *
 * E1  `isIdle` is true only when the server has answered everything and waits for a command:
 *     then, and only then, may the gateway put messages of its own in.
 * E2  When the count cannot be trusted (replication, messages of an impossible length) it is
 *     never idle again: the session is then a plain splice.
 * E3  `isPaused` is true only when everything sent since the server was idle is answered, and
 *     was no more than statements prepared and described, or a transaction block opened: a Sync
 *     of our own then ends nothing that the client could miss.
 *
 * Source: PostgreSQL documentation, "Message Flow"; src/backend/tcop/postgres.c.
 */
import type { TransactionStatus } from '../pgwire/message-code.ts'

export class ExchangeState {
  /** Queries, function calls and Syncs (the start-up too) not yet answered by ReadyForQuery. */
  #outstanding = 1
  #unsynced = false
  /** The server reads COPY data, and ignores Syncs until the client says that it ends. */
  #copyIn = false
  #lastWasQuery = true
  #spliceOnly = false
  #status: TransactionStatus = 'I'
  #hasStarted = false
  /** Of the messages that no Sync has closed: answers still to come, one for each message. */
  #unanswered = 0
  /** They are of E3's kind, and none was refused. */
  #mayPause = false
  /** A statement that opens a transaction block is under way. */
  #isOpening = false

  get isIdle(): boolean {
    return this.#outstanding === 0 && !this.#unsynced && !this.#copyIn && !this.#spliceOnly
  }

  get isPaused(): boolean {
    return this.#unsynced && this.#mayPause && this.#unanswered === 0 && this.#outstanding === 0
      && !this.#spliceOnly
  }

  /** Extended messages were passed on that no Sync has closed. */
  get isUnsynced(): boolean { return this.#unsynced }

  /** The gateway may put messages of its own in. */
  get takesOurs(): boolean { return this.isIdle || this.isPaused }

  /** What was sent is neither answered nor refused, as far as E3 needs to know. */
  get awaitsAnswer(): boolean {
    return this.#outstanding > 0 || (this.#mayPause && this.#unanswered > 0)
  }

  /** Of the last ReadyForQuery, or since a block was opened. */
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

  /** `isRun`: a Bind or Execute, which does what no other message may end. */
  clientExtended(isRun: boolean): void {
    this.clientFlush()
    this.#unanswered++
    if (isRun && !this.#isOpening) this.#mayPause = false
  }

  /** Has no answer of its own. */
  clientFlush(): void {
    if (this.#unsynced) return
    this.#unsynced = true
    this.#unanswered = 0
    this.#mayPause = this.#outstanding === 0
  }

  /** What is sent next opens a transaction block, and does nothing else. */
  clientOpens(): void { this.#isOpening = true }

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
    this.#isOpening = false
    this.#status = status
  }

  /** A ReadyForQuery that answered messages of our own. */
  serverSettled(status: TransactionStatus): void {
    this.#status = status
    this.#unsynced = false
  }

  /** The last message of the answer to an extended one. */
  serverAnswered(): void {
    if (this.#unanswered > 0) this.#unanswered--
  }

  serverCommandComplete(): void {
    if (!this.#isOpening) return
    this.#isOpening = false
    this.#status = 'T'
  }

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
  serverError(): void {
    this.#copyIn = false
    this.#mayPause = false
    this.#isOpening = false
  }
}
