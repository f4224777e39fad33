/**
 * Diversion: the life of one candidate: probe, decision, answer.
 *
 *   probing -> deciding -> streaming -> (answered)
 *      \-> (passed)  \-> (passed)   \-> failing -> (answered)
 *
 * V1  The client gets one whole answer, from one engine. Nothing of it is sent before the
 *     columnar engine has rows or is done, so until then the statement can still be passed
 *     to PostgreSQL, unchanged.
 * V2  ReadyForQuery says PostgreSQL's true transaction state; an error of ours inside a block
 *     makes PostgreSQL's transaction fail first.
 * V3  A refusal of PostgreSQL inside a block is the answer: the statement is not sent again.
 */
import { SlipwayError } from '../base/errors.ts'
import {
  emptyMessage, errorResponse, readyForQuery, shiftPosition, textRow,
} from '../pgwire/backend-message.ts'
import { FrameAssembler } from '../pgwire/frame-assembler.ts'
import { writeQuery } from '../pgwire/frontend-message.ts'
import {
  BACKEND, HEADER_BYTES, transactionStatus, type TransactionStatus,
} from '../pgwire/message-code.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'
import { EXPLAIN_PREFIX } from '../query/probe-sql.ts'
import {
  answerEnd, answerOpening, isExplain, parsedOpening, probeTargetOf, resultFormatsOf, rowsMaxOf,
  type CandidateStatement,
} from './candidate-statement.ts'
import type { EngineLink, LinkFinal, LinkStatement } from './engine-link.ts'
import { linkError, type LinkError } from './link-protocol.ts'
import { ProbeExchange, type ProbeOutcome } from './probe-exchange.ts'

type Probed = Extract<ProbeOutcome, { readonly kind: 'probed' }>
type Refused = Extract<ProbeOutcome, { readonly kind: 'refused' }>

type State =
  | { readonly kind: 'probing'; readonly exchange: ProbeExchange }
  | { readonly kind: 'deciding'; readonly probed: Probed }
  /** The answer has begun. */
  | { readonly kind: 'streaming'; readonly probed: Probed }
  /** PostgreSQL's transaction is being made to fail; then `error` ends the answer. */
  | { readonly kind: 'failing'; readonly error: Buffer }
  | { readonly kind: 'over' }

export type StatementRoute = 'columnar' | 'postgres' | 'rejected' | 'failed' | 'refused' | 'report'

/** The session, as a diversion needs it. */
export interface DiversionHost {
  readonly link: EngineLink
  /** PostgreSQL's key of the session, in hexadecimal. */
  readonly cancelKey: string
  toServer(bytes: Buffer): void
  toClient(bytes: Buffer): void
  readonly isClientPending: boolean
  /** The session's settings as the probe saw them, in transaction state `status`. */
  onRoute(route: string, status: TransactionStatus): void
  /** PostgreSQL is to be preferred for this text for a while. */
  onPreferPostgres(): void
  /** An error goes to the client. */
  onErrorSent(sqlState: string): void
  /** The client has its answer, ReadyForQuery included. */
  onAnswered(route: StatementRoute, status: TransactionStatus): void
  /** `bytes` must now go to PostgreSQL, which answers the rest. */
  onPassed(bytes: Buffer, status: TransactionStatus): void
  /** What PostgreSQL sent behind the last message that was the diversion's. */
  onServerRest(bytes: Buffer): void
  /** PostgreSQL or the protocol broke: the session cannot go on. */
  onBroken(): void
}

const CANCELED: LinkError = linkError(
  new SlipwayError('query-canceled', 'canceling statement due to user request'))
const CANCEL_STATE = '57014'
/** A query tree or a plan may be long; a row is not among what is read here. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024

export class Diversion {
  readonly #candidate: CandidateStatement
  readonly #host: DiversionHost
  readonly #startStatus: TransactionStatus
  readonly #frames = new FrameAssembler({ bytesMax: FRAME_BYTES_MAX })
  #state: State
  #statement: LinkStatement | null = null
  #cancelRequested = false

  constructor(
    candidate: CandidateStatement, startStatus: TransactionStatus, host: DiversionHost,
  ) {
    this.#candidate = candidate
    this.#host = host
    this.#startStatus = startStatus
    const exchange = new ProbeExchange(probeTargetOf(candidate), (message) =>
      host.toClient(message))
    this.#state = { kind: 'probing', exchange }
  }

  start(): void {
    if (this.#state.kind === 'probing') this.#host.toServer(this.#state.exchange.request)
  }

  onServerBytes(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk)) {
        if (this.#state.kind === 'probing') {
          const outcome = this.#state.exchange.onFrame(frame)
          if (outcome !== null) this.#onProbe(outcome)
        } else {
          this.#onMessage(frame.code, frame.bytes)
        }
      }
      // Messages that came right behind the last one of ours may be cut anywhere.
      const rest = this.#state.kind === 'over' ? this.#frames.takeRest() : NOTHING
      if (rest.length > 0) this.#host.onServerRest(rest)
    } catch {
      this.abandon()
      this.#host.onBroken()
    }
  }

  onClientDrain(): void { this.#statement?.resume() }

  /** The client asked to cancel. True: PostgreSQL need not hear of it. */
  cancel(): boolean {
    switch (this.#state.kind) {
      case 'probing':
        this.#cancelRequested = true
        return false
      case 'deciding': case 'streaming':
        this.#statement?.cancel()
        this.#fail(CANCELED, this.#state.probed.status)
        return true
      default: return false
    }
  }

  /** The client or PostgreSQL is gone. */
  abandon(): void {
    this.#statement?.cancel()
    this.#state = { kind: 'over' }
  }

  /** What PostgreSQL said last, when it ended the session in the middle of a probe. */
  get lastError(): Buffer | null {
    return this.#state.kind === 'probing' ? this.#state.exchange.lastError : null
  }

  /** Between commands PostgreSQL sends notices, notifications, or why it ends the session. */
  #onMessage(code: number, bytes: Buffer): void {
    const state = this.#state
    if (state.kind !== 'failing') {
      this.#host.toClient(Buffer.from(bytes))
    } else if (code === BACKEND.readyForQuery) {
      this.#finish(state.error, transactionStatus(bytes[HEADER_BYTES]), 'failed')
    } else if (code === BACKEND.notification || code === BACKEND.parameterStatus) {
      this.#host.toClient(Buffer.from(bytes))
    }
  }

  #onProbe(outcome: ProbeOutcome): void {
    switch (outcome.kind) {
      case 'refused':
        if (this.#startStatus === 'T' || isExplain(this.#candidate)
          || outcome.sqlState === CANCEL_STATE) {
          this.#relayRefusal(outcome)
        } else {
          for (const message of outcome.late) this.#host.toClient(message)
          this.#pass(outcome)
        }
        return
      case 'mismatch':
        if (isExplain(this.#candidate)) this.#report(NO_SELECT, outcome.status, null)
        else this.#pass(outcome)
        return
      case 'probed':
        this.#decide(outcome)
    }
  }

  #decide(probed: Probed): void {
    const { probe, status } = probed
    const { route } = probe.settings
    this.#host.onRoute(route, status)
    if (this.#cancelRequested) {
      this.#fail(CANCELED, status)
      return
    }
    if (route === 'postgres' && !isExplain(this.#candidate)) {
      this.#pass(probed)
      return
    }
    this.#state = { kind: 'deciding', probed }
    this.#statement = this.#host.link.start({
      probe, resultFormats: resultFormatsOf(this.#candidate),
      rowsMax: rowsMaxOf(this.#candidate), cancelKey: this.#host.cancelKey,
      explain: isExplain(this.#candidate),
    }, {
      onRows: (bytes) => this.#onRows(bytes),
      onFinal: (final) => this.#onFinal(final),
    })
  }

  #onRows(bytes: Buffer): boolean {
    const state = this.#state
    if (state.kind === 'deciding') this.#open(state.probed)
    this.#host.toClient(bytes)
    return !this.#host.isClientPending
  }

  #open(probed: Probed): void {
    const opening = answerOpening(this.#candidate, probed)
    this.#host.toClient(Buffer.concat([...probed.notices, opening]))
    this.#state = { kind: 'streaming', probed }
  }

  #onFinal(final: LinkFinal): void {
    const state = this.#state
    if (state.kind !== 'deciding' && state.kind !== 'streaming') return
    const { probed } = state
    switch (final.kind) {
      case 'complete': {
        const opening = state.kind === 'deciding'
          ? [...probed.notices, answerOpening(this.#candidate, probed)] : []
        this.#finish(Buffer.concat([...opening, answerEnd(this.#candidate, final.rows)]),
          probed.status, 'columnar')
        return
      }
      case 'declined':
        if (!final.transient && isOrdinary(probed)) this.#host.onPreferPostgres()
        this.#pass(probed)
        return
      case 'fallback':
        this.#pass(probed)
        return
      case 'report':
        this.#report(final.lines, probed.status, probed)
        return
      case 'rejected': case 'failed':
        this.#fail(final.error, probed.status)
        return
      case 'lost': case 'cancelled':
        this.#onLost(state.kind, probed)
    }
  }

  #onLost(kind: 'deciding' | 'streaming', probed: Probed): void {
    if (kind === 'streaming') {
      this.#fail(linkError(new SlipwayError('columnar-failed',
        'the columnar engine went away in the middle of the answer')), probed.status)
    } else if (isExplain(this.#candidate)) {
      this.#report(ENGINE_DOWN, probed.status, probed)
    } else if (probed.probe.settings.route === 'columnar') {
      this.#fail(linkError(new SlipwayError('engine-unreachable',
        'the columnar engine does not answer')), probed.status)
    } else {
      this.#pass(probed)
    }
  }

  #report(
    lines: readonly string[], status: TransactionStatus, probed: Probed | null,
  ): void {
    const told = probed ?? { rowDescription: NO_COLUMNS, parameterDescription: NO_PARAMETERS }
    const sent = lines.slice(0, rowsMaxOf(this.#candidate) || lines.length)
    this.#finish(Buffer.concat([
      answerOpening(this.#candidate, told), ...sent.map((line) => textRow(line)),
      answerEnd(this.#candidate, sent.length),
    ]), status, 'report')
  }

  #relayRefusal(refused: Refused): void {
    this.#host.onErrorSent(refused.sqlState)
    const shift = (this.#candidate.statement.explainPrefix ?? 0)
      - (refused.step === 'explain' ? EXPLAIN_PREFIX.length : 0)
    this.#finish(Buffer.concat([
      parsedOpening(this.#candidate, refused), shiftPosition(refused.error, shift),
      ...refused.late,
    ]), refused.status, 'refused')
  }

  /** V2: an error that PostgreSQL does not know of would leave its transaction as it was. */
  #fail(error: LinkError, status: TransactionStatus): void {
    this.#host.onErrorSent(error.sqlState)
    const message = errorResponse({ severity: 'ERROR', ...error })
    if (status !== 'T') {
      this.#finish(message, status, 'rejected')
      return
    }
    this.#state = { kind: 'failing', error: message }
    const out = new MessageWriter()
    writeQuery(out, failingSql(error.sqlState))
    this.#host.toServer(out.take())
  }

  #finish(last: Buffer, status: TransactionStatus, route: StatementRoute): void {
    this.#state = { kind: 'over' }
    this.#host.toClient(Buffer.concat([last, readyForQuery(status)]))
    this.#host.onAnswered(route, status)
  }

  #pass(outcome: ProbeOutcome): void {
    this.#state = { kind: 'over' }
    const { shape, original } = this.#candidate
    if (shape.kind === 'extended' && outcome.clientParseDone) {
      // Sent once more it would collide with itself (42P05).
      this.#host.toClient(emptyMessage(BACKEND.parseComplete))
      this.#host.onPassed(shape.batch.bytesAfterParse, outcome.status)
    } else {
      this.#host.onPassed(original, outcome.status)
    }
  }
}

/** A decision that depends on nothing but text and cost. */
function isOrdinary({ probe }: Probed): boolean {
  const { route } = probe.settings
  return (route === '' || route === 'auto') && !probe.hasWritten
    && probe.isolation === 'read committed'
}

const NOTHING = Buffer.alloc(0)
const NO_SELECT = ['Route: postgres', 'Reason: it is not a SELECT']
const ENGINE_DOWN = ['Route: postgres', 'Reason: the columnar engine does not answer']
const NO_COLUMNS = new MessageWriter(8).begin(BACKEND.rowDescription).int16(0).finish().take()
const NO_PARAMETERS = new MessageWriter(8).begin(BACKEND.parameterDescription).int16(0).finish()
  .take()

/** Fails in any case: where plpgsql is missing, with another error. */
function failingSql(sqlState: string): string {
  const state = /^[0-9A-Z]{5}$/.test(sqlState) ? sqlState : 'XX000'
  return `do $slipway$ begin raise exception using errcode = '${state}', message = ` +
    '\'a statement of this transaction failed in the columnar engine\'; end $slipway$'
}
