/**
 * Session: one client connection and its one server connection.
 *
 * S1  Bytes go through unchanged and in order, whole chunks at a time; nothing is held but
 *     the statement that is being looked at.
 * S2  A side that does not take what it is sent stops the other from being read.
 * S3  While a statement is diverted the client's further bytes wait, BACKLOG_BYTES_MAX at
 *     most; then the client is not read.
 * S4  The end of one side ends the other, after what was under way has been delivered.
 * S5  A fault ends the session in which it happened, and no other.
 * S6  A session that is ended from here ends between two messages of the server.
 */
import { errorResponse } from '../pgwire/backend-message.ts'
import { writeTerminate } from '../pgwire/frontend-message.ts'
import {
  BACKEND, FRONTEND, HEADER_BYTES, transactionStatus, type TransactionStatus,
} from '../pgwire/message-code.ts'
import { FrameAssembler } from '../pgwire/frame-assembler.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'
import { ByteBacklog } from './byte-backlog.ts'
import type { ByteChannel, ChannelHandler } from './byte-channel.ts'
import type { CancelKeys } from './cancel-keys.ts'
import type { CandidateStatement } from './candidate-statement.ts'
import { ClientWalker } from './client-walker.ts'
import type { DecisionMemory } from './decision-memory.ts'
import { Diversion, type DiversionHost, type StatementRoute } from './diversion.ts'
import type { EngineLink } from './engine-link.ts'
import { ExchangeState } from './exchange-state.ts'
import { LoginFilter } from './login-filter.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { ServerWalker } from './server-walker.ts'
import { SlowStatements, type SlowStatement } from './slow-statements.ts'
import type { Taken } from './socket-poller.ts'
import { StatementIntake } from './statement-intake.ts'
import { mentionsSlipway } from './statement-text.ts'

export interface SessionShared {
  readonly link: EngineLink
  readonly memory: DecisionMemory
  readonly cancelKeys: CancelKeys
  readonly isCandidate: (sql: Buffer) => boolean
  /** Statements that take longer are logged; null: none. */
  readonly slowStatementMs: number | null
  readonly onAnswered: (route: StatementRoute, ms: number) => void
  readonly onSlow: (statement: SlowStatement, route: StatementRoute, ms: number) => void
  readonly onError: (sqlState: string) => void
  readonly onClosed: (session: Session) => void
  readonly onFault: (error: unknown) => void
}

export interface SessionOptions {
  readonly client: ByteChannel
  readonly server: ByteChannel
  /** Between us and PostgreSQL there is TLS. */
  readonly isServerSecure: boolean
  readonly startupPacket: Buffer
  readonly parameters: ReadonlyMap<string, string>
  /** What the client sent behind its startup packet. */
  readonly early: Buffer
  readonly shared: SessionShared
}

type Mode =
  | { readonly kind: 'splice' }
  | { readonly kind: 'divert'; readonly diversion: Diversion
      readonly candidate: CandidateStatement }
  /** The client's messages wait until the server has answered what was sent. */
  | { readonly kind: 'wait' }
  /** The server makes the client's unnamed statement or portal again; then `next`. */
  | { readonly kind: 'restore'; readonly frames: FrameAssembler; readonly next: () => void }

const BACKLOG_BYTES_MAX = 64 * 1024
/** Of a row of the portal that is run to its end again. */
const RESTORE_FRAME_BYTES_MAX = 256 * 1024 * 1024
const SPLICE: Mode = { kind: 'splice' }
const WAIT: Mode = { kind: 'wait' }

export class Session implements DiversionHost {
  readonly link: EngineLink
  readonly #client: ByteChannel
  readonly #server: ByteChannel
  readonly #shared: SessionShared
  readonly #state = new ExchangeState()
  readonly #statements = new PreparedStatements()
  readonly #clientWalker: ClientWalker
  readonly #serverWalker: ServerWalker
  readonly #intake: StatementIntake
  #mode: Mode = SPLICE
  /** Looked at, not whole yet; or come while the session was busy. */
  readonly #waiting = new ByteBacklog()
  /** While the client logs in to a server that offers channel binding to us. */
  #login: LoginFilter | null = null
  #cancelKey = ''
  #clientEnded = false
  #isClosed = false
  /** To be ended at the next boundary between two messages of the server. */
  #isTerminating = false
  /** When the client began to send what is not answered yet, by performance.now(); else 0. */
  #askedAt = 0
  readonly #slow: SlowStatements | null

  constructor(options: SessionOptions) {
    const { client, server, parameters, shared } = options
    this.#client = client
    this.#server = server
    this.#shared = shared
    this.link = shared.link
    this.#slow = shared.slowStatementMs === null ? null : new SlowStatements()
    this.#clientWalker = new ClientWalker(this.#state, this.#statements, this.#slow !== null)
    this.#serverWalker = new ServerWalker({
      state: this.#state, statements: this.#statements, onKey: (key) => this.#onKey(key),
      onError: shared.onError,
    })
    const user = parameters.get('user') ?? ''
    this.#intake = new StatementIntake({
      state: this.#state, statements: this.#statements, memory: shared.memory,
      memoryScope: `${user}\0${parameters.get('database') ?? user}\0`,
      isCandidate: shared.isCandidate, isEngineAvailable: () => shared.link.isAvailable,
      slow: this.#slow,
      isWatching: [...parameters].some(([name, value]) =>
        mentionsSlipway(Buffer.from(name)) || mentionsSlipway(Buffer.from(value))),
    })
    if (isReplication(parameters.get('replication'))) this.#state.spliceOnly()
    this.#attach(options)
  }

  #attach({ startupPacket, early, isServerSecure }: SessionOptions): void {
    if (isServerSecure) this.#login = new LoginFilter()
    this.#server.handler = {
      onBytes: (chunk) => {
        try { return this.#onServerBytes(chunk) } catch (error) { return this.#onFault(error) }
      },
      onEnd: () => this.#onServerEnd(),
      onDrain: () => { if (!this.#isBacklogFull) this.#client.resume() },
      onClose: () => this.#onServerEnd(),
    }
    this.#client.handler = {
      onBytes: (chunk) => {
        try { return this.#onClientBytes(chunk) } catch (error) { return this.#onFault(error) }
      },
      onEnd: () => this.#onClientEnd(),
      onDrain: () => this.#onClientDrain(),
      onClose: () => this.#onClientClose(),
    }
    this.#server.write(startupPacket)
    if (early.length > 0) this.#onClientBytes(early)
    this.#server.resume()
    this.#client.resume()
  }

  get cancelKey(): string { return this.#cancelKey }
  get bytesFromClient(): number { return this.#client.bytesRead }
  get bytesFromServer(): number { return this.#server.bytesRead }
  get isClientPending(): boolean { return this.#client.isPending }

  /** Between transactions, with nothing under way; a walsender has no transaction to end. */
  get isAtRest(): boolean {
    return this.#mode.kind === 'splice'
      && (this.#state.isSpliceOnly || (this.#state.isIdle && this.#state.status === 'I'))
  }

  /** Stops a statement that runs in the engine. True: PostgreSQL need not hear of it. */
  cancelDiverted(): boolean {
    return this.#mode.kind === 'divert' && this.#mode.diversion.cancel()
  }

  /** As PostgreSQL ends its sessions when it is stopped. S6. */
  terminate(): void {
    if (this.#isClosed || this.#isTerminating) return
    this.#isTerminating = true
    if (this.#mode.kind !== 'splice' || this.#serverWalker.lastBoundary(NOTHING) === 0) {
      this.#sayGoodbye()
    }
  }

  #sayGoodbye(): void {
    if (this.#mode.kind === 'divert') this.#mode.diversion.abandon()
    this.#client.write(SHUTDOWN)
    this.#client.finish()
    const out = new MessageWriter(8)
    writeTerminate(out)
    this.#server.write(out.take())
    this.#server.end()
  }

  toServer(bytes: Buffer): void { this.#server.write(bytes) }
  toClient(bytes: Buffer): void { this.#client.write(bytes) }

  onRoute(route: string, status: TransactionStatus): void { this.#intake.onRoute(route, status) }

  onPreferPostgres(): void {
    if (this.#mode.kind === 'divert') this.#intake.preferPostgres(this.#mode.candidate.statement)
  }

  onErrorSent(sqlState: string): void { this.#shared.onError(sqlState) }

  onAnswered(route: StatementRoute, status: TransactionStatus): void {
    this.#state.serverSettled(status)
    this.#answered(route)
    if (this.#mode.kind !== 'divert') return
    const { shape, statement } = this.#mode.candidate
    if (shape.kind === 'extended' && route !== 'refused') {
      if (shape.batch.parse !== null) this.#statements.accepted(statement)
      if (statement.name === '') this.#statements.isUnnamedGone = true
      if (route === 'columnar' && status === 'T') {
        this.#statements.portal.stoodInFor(statement, shape.batch.bind)
      }
    }
    this.#goOn()
  }

  onPassed(bytes: Buffer, status: TransactionStatus): void {
    this.#state.serverSettled(status)
    if (this.#mode.kind !== 'divert') return
    const { shape, statement } = this.#mode.candidate
    const pass = (): void => {
      if (shape.kind === 'extended' && shape.batch.parse !== null) this.#statements.sent(statement)
      this.#clientWalker.passAll(bytes)
      this.#server.write(bytes)
      this.#goOn()
    }
    const needsUnnamed = shape.kind === 'extended' && shape.batch.parse === null
      && statement.name === ''
    if (needsUnnamed) this.#restore(this.#statements.takeUnnamed(statement), pass)
    else pass()
  }

  onServerRest(bytes: Buffer): void { this.#onServerBytes(bytes) }

  onBroken(): void { this.#close() }

  #answered(route: StatementRoute): void {
    const ms = performance.now() - this.#askedAt
    this.#askedAt = 0
    const { onAnswered, onSlow, slowStatementMs } = this.#shared
    onAnswered(route, ms)
    if (this.#slow === null || slowStatementMs === null || ms < slowStatementMs) return
    onSlow(this.#slow.describeLast(), route, ms)
  }

  #onClientBytes(chunk: Buffer): Taken {
    if (this.#askedAt === 0 && this.#state.hasStarted) this.#askedAt = performance.now()
    if (this.#mode.kind !== 'splice') {
      this.#waiting.append(chunk)
      this.#noticeTerminate()
      return this.#isBacklogFull ? 'full' : 'taken'
    }
    if (this.#waiting.length === 0) {
      this.#forward(chunk, false)
    } else {
      this.#waiting.append(chunk)
      this.#forward(this.#waiting.take(), true)
    }
    return this.#server.isPending || this.#isBacklogFull ? 'full' : this.#passedOrTaken
  }

  /** Of bytes that were passed on, when all that may follow is more of them. */
  get #passedOrTaken(): Taken {
    return this.#mode.kind === 'splice' && this.#state.hasStarted ? 'passed' : 'taken'
  }

  get #isBacklogFull(): boolean {
    return this.#mode.kind !== 'splice' && this.#waiting.length >= BACKLOG_BYTES_MAX
  }

  /** Passes on what may be passed on; the rest waits, or is diverted. */
  #forward(chunk: Buffer, isTaken: boolean): void {
    let at = 0
    for (;;) {
      at = this.#clientWalker.walk(chunk, at)
      if (at >= chunk.length) {
        this.#server.write(chunk)
        return
      }
      const verdict = this.#intake.look(chunk, at)
      if (verdict.kind === 'pass') {
        at = this.#clientWalker.pass(chunk, at)
        continue
      }
      if (verdict.kind === 'hold' && at === 0 && isTaken) {
        this.#waiting.putBack(chunk)
        return
      }
      if (at > 0) this.#server.write(chunk.subarray(0, at))
      const taken = verdict.kind === 'divert' || verdict.kind === 'open' ? verdict.bytes : 0
      this.#waiting.append(chunk.subarray(at + taken))
      if (verdict.kind === 'divert') this.#divert(verdict.candidate)
      if (verdict.kind === 'open') this.#open(chunk.subarray(at, at + taken))
      if (verdict.kind === 'wait') this.#mode = WAIT
      if (verdict.kind === 'restore') this.#restore(verdict.messages, () => this.#goOn())
      return
    }
  }

  #divert(candidate: CandidateStatement): void {
    const diversion = new Diversion(candidate, this.#state.status, this)
    this.#mode = { kind: 'divert', diversion, candidate }
    diversion.start()
    this.#noticeTerminate()
  }

  #open(messages: Buffer): void {
    this.#mode = WAIT
    this.#state.clientOpens()
    this.#clientWalker.passAll(messages)
    this.#server.write(messages)
    // No Sync: of a refusal PostgreSQL must know that the client's own Sync ends it.
    if (messages[0] !== FRONTEND.query) this.#server.write(FLUSH)
  }

  #restore(messages: Buffer, next: () => void): void {
    this.#mode = { kind: 'restore', next,
      frames: new FrameAssembler({ bytesMax: RESTORE_FRAME_BYTES_MAX }) }
    this.#server.write(messages)
  }

  /** Back to splicing, beginning with what came meanwhile. */
  #goOn(): void {
    this.#mode = SPLICE
    if (this.#waiting.length > 0 && this.#askedAt === 0) this.#askedAt = performance.now()
    if (this.#waiting.length > 0) this.#forward(this.#waiting.take(), true)
    if (this.#mode.kind !== 'splice') return
    if (this.#clientEnded) this.#endServer()
    else if (!this.#server.isPending) this.#client.resume()
  }

  #onServerBytes(chunk: Buffer): Taken {
    const mode = this.#mode
    switch (mode.kind) {
      case 'splice': case 'wait': {
        const passed = this.#login === null ? chunk : this.#filterLogin(this.#login, chunk)
        if (this.#isTerminating) return this.#endAtBoundary(passed)
        this.#serverWalker.walk(passed)
        if (this.#askedAt > 0 && this.#state.isIdle) this.#answered('postgres')
        this.#client.write(passed)
        if (mode.kind === 'wait' && !this.#state.awaitsAnswer) this.#goOn()
        return this.#client.isPending ? 'full' : this.#passedOrTaken
      }
      case 'divert':
        mode.diversion.onServerBytes(chunk)
        return 'taken'
      case 'restore':
        this.#onRestoreBytes(mode.frames, mode.next, chunk)
        return 'taken'
    }
  }

  #endAtBoundary(chunk: Buffer): Taken {
    const boundary = this.#serverWalker.lastBoundary(chunk)
    if (boundary === null) {
      this.#serverWalker.walk(chunk)
      this.#client.write(chunk)
      return this.#client.isPending ? 'full' : 'taken'
    }
    this.#client.write(chunk.subarray(0, boundary))
    this.#sayGoodbye()
    return 'full'
  }

  #filterLogin(login: LoginFilter, chunk: Buffer): Buffer {
    const passed = login.filter(chunk)
    if (login.isOver) this.#login = null
    return passed
  }

  #onRestoreBytes(frames: FrameAssembler, next: () => void, chunk: Buffer): void {
    let isReady = false
    try {
      for (const { code, bytes } of frames.push(chunk)) {
        if (code === BACKEND.readyForQuery) {
          isReady = true
          this.#state.serverSettled(transactionStatus(bytes[HEADER_BYTES]))
        } else if (isAside(code)) this.#client.write(Buffer.from(bytes))
      }
    } catch {
      this.#close()
      return
    }
    if (!isReady) return
    this.#mode = SPLICE
    const rest = frames.takeRest()
    next()
    if (rest.length > 0) this.#onServerBytes(rest)
  }

  #onClientDrain(): void {
    this.#server.resume()
    if (this.#mode.kind === 'divert') this.#mode.diversion.onClientDrain()
  }

  #onKey(key: Buffer): void {
    this.#cancelKey = key.toString('hex')
    this.#shared.cancelKeys.add(this.#cancelKey, this)
  }

  /** A client that took its leave need not be answered. */
  #noticeTerminate(): void {
    const isLeaving = this.#waiting.firstByte === FRONTEND.terminate
    if (isLeaving && this.#mode.kind === 'divert') this.#close()
  }

  /** A half-closed client still gets the answer to what it sent. */
  #onClientEnd(): void {
    this.#clientEnded = true
    if (this.#mode.kind === 'splice') this.#endServer()
  }

  #endServer(): void {
    if (this.#waiting.length > 0) this.#server.write(this.#waiting.take())
    this.#server.end()
  }

  #onClientClose(): void {
    if (this.#mode.kind === 'divert') this.#mode.diversion.abandon()
    if (this.#server.isPending) {
      // What the client sent before it went is still PostgreSQL's to read; as long as
      // PostgreSQL could not get rid of an answer it would not come to that.
      this.#server.handler = DISCARD
      this.#server.end()
      this.#server.resume()
    } else {
      this.#server.destroy()
    }
    this.#over()
  }

  #onServerEnd(): void {
    if (this.#mode.kind === 'divert') {
      const { diversion } = this.#mode
      if (diversion.lastError !== null) this.#client.write(diversion.lastError)
      diversion.abandon()
    }
    this.#client.finish()
    this.#server.end()
  }

  #close(): void {
    if (this.#mode.kind === 'divert') this.#mode.diversion.abandon()
    this.#server.finish()
    this.#client.finish()
    this.#over()
  }

  /** A fault of ours, or bytes that are no protocol: it costs this session only. */
  #onFault(error: unknown): Taken {
    this.#shared.onFault(error)
    this.#close()
    return 'full'
  }

  #over(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#shared.cancelKeys.remove(this.#cancelKey, this)
    this.#shared.onClosed(this)
  }
}

const SHUTDOWN = errorResponse({
  severity: 'FATAL', sqlState: '57P01',
  message: 'terminating connection due to administrator command',
})

const NOTHING = Buffer.alloc(0)
const FLUSH = new MessageWriter(8).begin(FRONTEND.flush).finish().take()

const DISCARD: ChannelHandler = {
  onBytes: () => 'taken', onEnd: () => {}, onDrain: () => {}, onClose: () => {},
}

/** As PostgreSQL reads the parameter: a boolean, or `database`. */
function isReplication(value: string | undefined): boolean {
  return value !== undefined && !['', 'false', 'off', 'no', '0'].includes(value.toLowerCase())
}

/** What the server may send at any time. */
function isAside(code: number): boolean {
  return code === BACKEND.notification || code === BACKEND.parameterStatus
    || code === BACKEND.notice
}
