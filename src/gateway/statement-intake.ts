/**
 * StatementIntake: says of each message that may begin a statement what becomes of it.
 *
 * I1  Most statements are not candidates: they cost one look at their text and are passed on
 *     where they lie.
 * I2  A candidate is diverted only when the server waits for a command, outside a failed
 *     transaction, in a shape that one answer fits.
 * I3  A message is held back only until it is whole, and no more than STATEMENT_BYTES_MAX.
 * I4  A candidate that came together with a BEGIN, as drivers send the first statement of a
 *     transaction, is looked at once the block is open.
 */
import { boundStatement, parseParse, parseTargeted, queryText } from '../pgwire/frontend-message.ts'
import { FRONTEND, HEADER_BYTES, type TransactionStatus } from '../pgwire/message-code.ts'
import { ProtocolViolation } from '../pgwire/message-reader.ts'
import { normaliseStatement } from '../router/candidate.ts'
import type { CandidateStatement } from './candidate-statement.ts'
import type { DecisionMemory } from './decision-memory.ts'
import type { ExchangeState } from './exchange-state.ts'
import { readExtendedBatch } from './extended-batch.ts'
import type { PreparedStatement, PreparedStatements } from './prepared-statements.ts'
import type { SlowStatements } from './slow-statements.ts'
import {
  explainRoutePrefix, isSingleStatement, mayBeRead, mentionsSlipway, opensBlock, readsRelation,
  STATEMENT_BYTES_MAX,
} from './statement-text.ts'

export type Verdict =
  | { readonly kind: 'pass' }
  /** More bytes are needed. */
  | { readonly kind: 'hold' }
  /** The server's unnamed statement or portal must be put back first: then look again. */
  | { readonly kind: 'restore'; readonly messages: Buffer }
  /** The server must have answered first what was sent: then look again. */
  | { readonly kind: 'wait' }
  /** `bytes` of the chunk open a block, and are to be answered before more is passed on. */
  | { readonly kind: 'open'; readonly bytes: number }
  /** `bytes` of the chunk, from where was looked, are the candidate's. */
  | { readonly kind: 'divert'; readonly candidate: CandidateStatement; readonly bytes: number }

export interface StatementIntakeOptions {
  readonly state: ExchangeState
  readonly statements: PreparedStatements
  readonly memory: DecisionMemory
  /** Role and database: a decision is remembered for them only. */
  readonly memoryScope: string
  readonly isCandidate: (sql: Buffer) => boolean
  readonly isEngineAvailable: () => boolean
  /** null: slow statements are not logged. */
  readonly slow: SlowStatements | null
}

const PASS: Verdict = { kind: 'pass' }
const HOLD: Verdict = { kind: 'hold' }
const WAIT: Verdict = { kind: 'wait' }
/** Held back until whole whatever they are: it costs nothing, and settings are seen. */
const SHORT_BYTES = 4096
/** Bytes of a Bind within which its names are looked for before it is whole. */
const NAMES_BYTES_MAX = 512

export class StatementIntake {
  readonly #options: StatementIntakeOptions
  /** The session may have a route of its own: every read is analysed, nothing remembered. */
  #isWatching: boolean
  /** slipway.route = postgres. */
  #staysInPostgres = false
  /** Of the Parse at which the last look held: the next one begins with the same message. */
  #held: PreparedStatement | null = null

  constructor(options: StatementIntakeOptions & { readonly isWatching: boolean }) {
    this.#options = options
    this.#isWatching = options.isWatching
  }

  /**
   * What the last probe saw. Inside a block it may be SET LOCAL, or be rolled back: then the
   * watch goes on.
   */
  onRoute(route: string, status: TransactionStatus): void {
    if (status !== 'I') return
    this.#isWatching = route === 'columnar'
    this.#staysInPostgres = route === 'postgres'
  }

  preferPostgres(statement: PreparedStatement): void {
    this.#options.memory.remember(statement.memoryKey)
  }

  look(chunk: Buffer, at: number): Verdict {
    if (chunk.length - at < HEADER_BYTES) return HOLD
    const { state, statements } = this.#options
    if (state.isPaused) statements.serverReady()
    if (statements.portal.isGone) {
      const verdict = this.#putBackPortal(chunk, at)
      if (verdict.kind !== 'pass') return verdict
    }
    const verdict = this.#look(chunk, at)
    if (!statements.isUnnamedGone) return verdict
    // A refusal of the probe would abort the block, in which nothing can be put back.
    const mayAbort = verdict.kind === 'divert' && state.status === 'T'
      && verdict.candidate.statement.name !== ''
    return verdict.kind === 'pass' || verdict.kind === 'open' || mayAbort
      ? this.#putBackUnnamed(chunk[at], verdict) : verdict
  }

  #putBackPortal(chunk: Buffer, at: number): Verdict {
    const { state, statements } = this.#options
    if (state.isIdle && state.status !== 'T') {
      statements.portal.forget()
      return PASS
    }
    // The rest of a batch that was looked through.
    if (state.isUnsynced && !state.isPaused) return PASS
    switch (statements.portal.use(chunk, at)) {
      case 'leaves': return PASS
      case 'unknown': return HOLD
      case 'drops':
        statements.portal.forget()
        return PASS
      case 'needs':
        if (!state.takesOurs) return state.outstanding > 0 ? WAIT : PASS
        return { kind: 'restore', messages: statements.portal.take() }
    }
  }

  /**
   * Before anything that may come to use it, and before the server is busy with something else:
   * a Query and a Parse of it, which end its life, have cleared the mark.
   */
  #putBackUnnamed(code: number | undefined, otherwise: Verdict): Verdict {
    const { state, statements } = this.#options
    const statement = statements.usable('')
    if (code === FRONTEND.terminate || statement === null) return otherwise
    if (!state.takesOurs) return state.outstanding > 0 && !state.isUnsynced ? WAIT : otherwise
    return { kind: 'restore', messages: statements.takeUnnamed(statement) }
  }

  #look(chunk: Buffer, at: number): Verdict {
    const total = chunk.readInt32BE(at + 1) + 1
    if (total < HEADER_BYTES) return PASS
    switch (chunk[at]) {
      case FRONTEND.query: return this.#onQuery(chunk, at, total)
      case FRONTEND.parse: return this.#onParse(chunk, at, total)
      case FRONTEND.bind: return this.#onBind(chunk, at, total)
      case FRONTEND.close: return this.#onClose(chunk, at, total)
      default: return PASS
    }
  }

  #onQuery(chunk: Buffer, at: number, total: number): Verdict {
    const { statements } = this.#options
    if (!this.#isWhole(chunk, at, total)) {
      if (this.#isWorthHolding(chunk.subarray(at + HEADER_BYTES), total)) return HOLD
      this.#options.slow?.query(chunk.subarray(at + HEADER_BYTES))
      statements.forget('')
      statements.isUnnamedForeign = false
      return PASS
    }
    this.#options.slow?.query(chunk.subarray(at + HEADER_BYTES, at + total - 1))
    // The server drops its unnamed statement at every Query.
    if (statements.size > 0) statements.forget('')
    statements.isUnnamedForeign = false
    const sql = chunk.subarray(at + HEADER_BYTES, at + total - 1)
    if (at + total < chunk.length && opensBlock(sql)) return this.#opening(chunk, at, at + total)
    const statement = this.#candidate('', sql, [])
    if (statement === null || !this.#mayDivert(statement)) return PASS
    const original = Buffer.from(chunk.subarray(at, at + total))
    if (!isWellFormed(() => queryText(original))) return PASS
    return { kind: 'divert', bytes: total,
      candidate: { shape: { kind: 'simple' }, original, statement, keepsUnnamed: false,
        waitsForLocks: this.#waitsForLocks(statement) } }
  }

  #onParse(chunk: Buffer, at: number, total: number): Verdict {
    const { statements } = this.#options
    if (!this.#isWhole(chunk, at, total)) {
      const nameEnd = chunk.indexOf(0, at + HEADER_BYTES)
      if (nameEnd < 0 && chunk.length - at < NAMES_BYTES_MAX) return HOLD
      if (nameEnd >= 0 && this.#isWorthHolding(chunk.subarray(nameEnd + 1), total)) return HOLD
      this.#options.slow?.query(chunk.subarray(nameEnd + 1))
      // Whose text is now another one: not known here before all of it has come.
      statements.forgetAll()
      statements.isUnnamedForeign = true
      return PASS
    }
    let parsed
    try {
      parsed = parseParse(chunk.subarray(at, at + total))
    } catch (error) {
      if (error instanceof ProtocolViolation) return PASS
      throw error
    }
    const { name, sql, parameterTypes } = parsed
    this.#options.slow?.parse(name, sql)
    const statement = this.#held ?? this.#prepared(name, sql, parameterTypes)
    this.#held = null
    let verdict = PASS
    if (statement?.opensBlock === true) {
      verdict = this.#extendedOpening(chunk, at, at + total)
    } else if (statement !== null && this.#mayDivert(statement)) {
      verdict = this.#batch(chunk, at, statement)
    }
    if (verdict.kind === 'hold') this.#held = statement
    if (verdict.kind === 'hold' || verdict.kind === 'divert') return verdict
    if (statement !== null) statements.sent(statement)
    else if (statements.size > 0) statements.forget(name)
    if (statement === null && name === '') statements.isUnnamedForeign = true
    return verdict
  }

  #onBind(chunk: Buffer, at: number, total: number): Verdict {
    const end = Math.min(chunk.length, at + total)
    const name = boundStatement(chunk, at + HEADER_BYTES, end)
    if (name === null) {
      return end < at + total && chunk.length - at < NAMES_BYTES_MAX ? HOLD : PASS
    }
    this.#options.slow?.bind(name)
    const statement = this.#options.statements.usable(name)
    if (statement === null) return PASS
    if (statement.opensBlock) return this.#extendedOpening(chunk, at, at)
    if (this.#mayDivert(statement)) {
      const verdict = this.#batch(chunk, at, statement)
      if (verdict.kind !== 'pass') return verdict
    }
    return PASS
  }

  /** Close of a statement. */
  #onClose(chunk: Buffer, at: number, total: number): Verdict {
    if (total > NAMES_BYTES_MAX) return PASS
    if (chunk.length - at < total) return HOLD
    let target
    try {
      target = parseTargeted(chunk.subarray(at, at + total))
    } catch (error) {
      if (error instanceof ProtocolViolation) return PASS
      throw error
    }
    if (target.target === 'statement') this.#options.statements.forget(target.name)
    return PASS
  }

  #batch(chunk: Buffer, at: number, statement: PreparedStatement): Verdict {
    const reading = readExtendedBatch(chunk, at, STATEMENT_BYTES_MAX)
    switch (reading.kind) {
      case 'incomplete': return HOLD
      case 'other': return PASS
      case 'batch': {
        // Inside a block the client may go on with the portal; outside, Sync ends it.
        if (reading.batch.rowsMax > 0 && this.#options.state.status === 'T'
          && statement.explainPrefix === null) return PASS
        const original = Buffer.from(reading.batch.bytes)
        const copied = readExtendedBatch(original, 0, STATEMENT_BYTES_MAX)
        if (copied.kind !== 'batch') return PASS
        return { kind: 'divert', bytes: original.length, candidate: {
          shape: { kind: 'extended', batch: copied.batch }, original, statement,
          keepsUnnamed: statement.name !== '' && this.#options.statements.hasUnnamed,
          waitsForLocks: this.#waitsForLocks(statement) } }
      }
    }
  }

  /** The Bind and Execute at `bind` open a block; so does the Parse at `start`, if there is one. */
  #extendedOpening(chunk: Buffer, start: number, bind: number): Verdict {
    let next = bind
    for (const code of [FRONTEND.bind, FRONTEND.execute]) {
      if (next === chunk.length) return PASS
      if (chunk.length - next < HEADER_BYTES) return HOLD
      const total = chunk.readInt32BE(next + 1) + 1
      if (chunk[next] !== code || total < HEADER_BYTES || total > NAMES_BYTES_MAX) return PASS
      next += total
    }
    return this.#opening(chunk, start, next)
  }

  /** What opens a block lies between `start` and `next`: whether more is to wait for it. */
  #opening(chunk: Buffer, start: number, next: number): Verdict {
    const { state } = this.#options
    if (!state.isIdle || state.status !== 'I' || next === chunk.length) return PASS
    switch (this.#follower(chunk, next)) {
      case 'divert': return { kind: 'open', bytes: next - start }
      case 'hold': return HOLD
      default: return PASS
    }
  }

  /** Looks ahead: what would become of the message at `at` when its turn comes in the block. */
  #follower(chunk: Buffer, at: number): Verdict['kind'] {
    if (chunk.length - at < HEADER_BYTES) return 'hold'
    const code = chunk[at]
    const total = chunk.readInt32BE(at + 1) + 1
    if (total < HEADER_BYTES || total > STATEMENT_BYTES_MAX) return 'pass'
    if (code !== FRONTEND.bind && code !== FRONTEND.parse && code !== FRONTEND.query) return 'pass'
    if (chunk.length - at < total) return 'hold'
    const statement = this.#statementOf(chunk.subarray(at, at + total))
    if (statement === null || statement.opensBlock || !this.#isWanted(statement)) return 'pass'
    if (code === FRONTEND.query) return 'divert'
    const reading = readExtendedBatch(chunk, at, STATEMENT_BYTES_MAX)
    if (reading.kind === 'incomplete') return 'hold'
    return reading.kind === 'batch' && reading.batch.rowsMax === 0 ? 'divert' : 'pass'
  }

  /** Of a whole Query, Parse or Bind. */
  #statementOf(message: Buffer): PreparedStatement | null {
    try {
      switch (message[0]) {
        case FRONTEND.query: return this.#candidate('', queryText(message), [])
        case FRONTEND.parse: {
          const { name, sql, parameterTypes } = parseParse(message)
          return this.#candidate(name, sql, parameterTypes)
        }
        default: return this.#options.statements.usable(
          boundStatement(message, HEADER_BYTES, message.length) ?? '')
      }
    } catch (error) {
      if (error instanceof ProtocolViolation) return null
      throw error
    }
  }

  #isWhole(chunk: Buffer, at: number, total: number): boolean {
    return total <= STATEMENT_BYTES_MAX && chunk.length - at >= total
  }

  #isWorthHolding(opening: Buffer, total: number): boolean {
    return total <= SHORT_BYTES || (total <= STATEMENT_BYTES_MAX && mayBeRead(opening))
  }

  #prepared(
    name: string, sql: Buffer, parameterTypes: PreparedStatement['parameterTypes'],
  ): PreparedStatement | null {
    if (!opensBlock(sql)) return this.#candidate(name, sql, parameterTypes)
    return { name, parameterTypes, explainPrefix: null, opensBlock: true, memoryKey: '',
      sql: Buffer.from(sql) }
  }

  /** null: PostgreSQL's. Keeps a copy of the text of what is not. */
  #candidate(
    name: string, sql: Buffer, parameterTypes: PreparedStatement['parameterTypes'],
  ): PreparedStatement | null {
    if (mentionsSlipway(sql)) {
      this.#isWatching = true
      this.#staysInPostgres = false
    }
    const explainPrefix = explainRoutePrefix(sql)
    const { isCandidate, memoryScope } = this.#options
    if (explainPrefix === null && !isCandidate(sql)
      && !(this.#isWatching && readsRelation(sql))) return null
    if (!isSingleStatement(sql)) return null
    return {
      name, parameterTypes, explainPrefix, opensBlock: false, sql: Buffer.from(sql),
      memoryKey: memoryScope + normaliseStatement(sql.toString('latin1')),
    }
  }

  /** Inside a block a refusal ends it; a route of the session's own may never fall back. */
  #waitsForLocks(statement: PreparedStatement): boolean {
    return this.#options.state.status === 'T' || this.#isWatching
      || statement.explainPrefix !== null
  }

  #mayDivert(statement: PreparedStatement): boolean {
    const { state } = this.#options
    return state.takesOurs && state.status !== 'E' && this.#isWanted(statement)
  }

  #isWanted(statement: PreparedStatement): boolean {
    const { memory, isEngineAvailable } = this.#options
    if (statement.explainPrefix !== null || this.#isWatching) return true
    return !this.#staysInPostgres && isEngineAvailable() && !memory.has(statement.memoryKey)
  }
}

function isWellFormed(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    if (error instanceof ProtocolViolation) return false
    throw error
  }
}
