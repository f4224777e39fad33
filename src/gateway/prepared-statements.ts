/**
 * PreparedStatements: the candidates among a session's prepared statements, and what opens a
 * transaction block, behind which a candidate may stand.
 *
 * S1  A statement is `usable` only after the server has accepted its Parse: of a refused one
 *     the older statement of that name would still stand. After an error the server may skip
 *     what it is sent, so that nothing is known until it is ready again.
 * S2  Not knowing a statement is always right: PostgreSQL then runs it. So whatever may have
 *     changed names in another way (DEALLOCATE, DISCARD, PREPARE) forgets everything.
 * S3  At most STATEMENTS_MAX with at most TEXT_BYTES_MAX of text in all.
 */
import type { Oid } from '../base/oid.ts'
import { writeParse, writeSync } from '../pgwire/frontend-message.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'
import { UnnamedPortal } from './unnamed-portal.ts'

export interface PreparedStatement {
  readonly name: string
  readonly sql: Buffer
  readonly parameterTypes: readonly Oid[]
  /** Under which DecisionMemory knows it. */
  readonly memoryKey: string
  /** Bytes of EXPLAIN (ROUTE) before the statement itself; null for a plain statement. */
  readonly explainPrefix: number | null
  /** BEGIN or START TRANSACTION: itself never a candidate. */
  readonly opensBlock: boolean
}

const STATEMENTS_MAX = 1000
const TEXT_BYTES_MAX = 4 * 1024 * 1024

export class PreparedStatements {
  readonly #usable = new Map<string, PreparedStatement>()
  /** Passed on, not yet answered. */
  #pending: PreparedStatement[] = []
  #textBytes = 0
  #mayBeSkipped = false
  /**
   * The client's unnamed statement is known here and no longer stands in the server, where a
   * probe took its place: it must be parsed again before the server can use it.
   */
  isUnnamedGone = false
  readonly portal = new UnnamedPortal()
  /** The server's unnamed statement may be one that is not known here. */
  isUnnamedForeign = false

  /** The server has an unnamed statement of the client's, as far as is known. */
  get hasUnnamed(): boolean {
    return this.isUnnamedForeign || (this.#usable.has('') && !this.isUnnamedGone)
  }

  /** Every message may need what the server has no more. */
  get isAnyGone(): boolean { return this.isUnnamedGone || this.portal.isGone }

  /** Up to a Sync, what makes the unnamed statement again in the server. */
  takeUnnamed(statement: PreparedStatement): Buffer {
    this.isUnnamedGone = false
    const out = new MessageWriter(statement.sql.length + 64)
    writeParse(out, statement)
    writeSync(out)
    return out.take()
  }

  get size(): number { return this.#usable.size + this.#pending.length }

  usable(name: string): PreparedStatement | null {
    return this.#usable.get(name) ?? null
  }

  /** A Parse of a candidate is on its way to the server. */
  sent(statement: PreparedStatement): void {
    this.forget(statement.name)
    const isKept = !this.#mayBeSkipped && this.size < STATEMENTS_MAX
      && this.#textBytes < TEXT_BYTES_MAX
    if (isKept) this.#pending.push(statement)
    if (statement.name === '') this.isUnnamedForeign = !isKept
  }

  /** The server has accepted it, or another of the same name and text stands in for it. */
  accepted(statement: PreparedStatement): void {
    this.forget(statement.name)
    this.#usable.set(statement.name, statement)
    if (statement.name === '') this.isUnnamedForeign = false
    this.#textBytes += statement.sql.length
  }

  /** Closed, replaced by no candidate, or of unknown fate. */
  forget(name: string): void {
    if (name === '') this.isUnnamedGone = false
    const known = this.#usable.get(name)
    if (known !== undefined) this.#textBytes -= known.sql.length
    this.#usable.delete(name)
    if (this.#pending.length > 0) {
      this.#pending = this.#pending.filter((statement) => statement.name !== name)
    }
  }

  forgetAll(): void {
    this.#forgetPending()
    if (this.#usable.has('') && !this.isUnnamedGone) this.isUnnamedForeign = true
    this.#usable.clear()
    this.#textBytes = 0
    this.isUnnamedGone = false
  }

  /** An error came: which Parse it was is not worth knowing. */
  serverError(): void {
    this.#mayBeSkipped = true
    if (this.#pending.length > 0) this.#forgetPending()
  }

  #forgetPending(): void {
    if (this.#pending.some(({ name }) => name === '')) this.isUnnamedForeign = true
    this.#pending = []
  }

  /** Everything sent so far was answered. */
  serverReady(): void {
    this.#mayBeSkipped = false
    if (this.#pending.length === 0) return
    const pending = this.#pending
    this.#pending = []
    for (const statement of pending) this.accepted(statement)
  }
}
