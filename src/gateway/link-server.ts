/**
 * LinkServer: the engine's end of the link.
 *
 * L1  A connection that closes cancels its statement.
 * L2  Rows are sent as fast as the gateway takes them: one batch waits at most.
 * L3  Only this user's processes can connect: the socket file has mode 0600.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { SlipwayError } from '../base/errors.ts'
import { formatLsn } from '../base/lsn.ts'
import type { Logger } from '../base/logger.ts'
import { HEADER_BYTES } from '../pgwire/message-code.ts'
import { FrameAssembler } from '../pgwire/frame-assembler.ts'
import type { Probe } from '../query/probe.ts'
import type { Decision, RunOptions, RunResult } from '../query/query-service.ts'
import type { RoutedRows } from '../query/routed-rows.ts'
import type { ColumnarPlan } from '../router/plan.ts'
import {
  decodeToEngine, encodeLinkFrame, linkError, LINK_FRAME_BYTES_MAX,
  type FromEngine, type LinkRequest,
} from './link-protocol.ts'

/** A columnar answer, as it is sent on. */
export type AnswerRows = Pick<RoutedRows,
  'batches' | 'readLsn' | 'waitedMs' | 'sql' | 'scan' | typeof Symbol.asyncDispose>

/** QueryService, as this room needs it. */
export interface StatementService {
  decide(probe: Probe): Decision
  run(plan: ColumnarPlan, probe: Probe, options: RunOptions): Promise<
    | { readonly kind: 'rows'; readonly rows: AnswerRows }
    | Exclude<RunResult, { readonly kind: 'rows' }>>
}

export interface LinkServerOptions {
  readonly path: string
  readonly queryService: StatementService
  readonly logger: Logger
}

export class LinkServer implements AsyncDisposable {
  readonly #options: LinkServerOptions
  readonly #server: Server
  readonly #connections = new Set<Socket>()
  /** Running statements by the key of their session. */
  readonly #running = new Map<string, AbortController>()

  private constructor(options: LinkServerOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#accept(socket))
  }

  static async listen(options: LinkServerOptions): Promise<LinkServer> {
    const { path } = options
    // Left behind by an engine that was killed; the supervisor runs one at a time.
    rmSync(path, { force: true })
    const link = new LinkServer(options)
    await new Promise<void>((resolve, reject) => {
      link.#server.once('error', reject)
      link.#server.listen(path, resolve)
    })
    chmodSync(path, 0o600)
    return link
  }

  /** Statements that run are cancelled. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => { this.#server.close(() => resolve()) })
    for (const socket of this.#connections) socket.destroy()
    await closed
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket)
    const frames = new FrameAssembler({ bytesMax: LINK_FRAME_BYTES_MAX })
    const connection = new AbortController()
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#connections.delete(socket)
      connection.abort()
    })
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of frames.push(chunk)) {
          const message = decodeToEngine(frame)
          if (message.kind === 'cancel') this.#cancel(message.key, socket)
          else void this.#serve(message.request, socket, connection.signal)
        }
      } catch (error) {
        this.#options.logger.error({ err: error }, 'a gateway sent what is no request')
        socket.destroy()
      }
    })
  }

  #cancel(key: string, socket: Socket): void {
    const running = this.#running.get(key)
    running?.abort()
    socket.write(encodeLinkFrame({ kind: 'cancelled', found: running !== undefined }))
  }

  /** Never rejects. */
  async #serve(request: LinkRequest, socket: Socket, closed: AbortSignal): Promise<void> {
    const controller = new AbortController()
    const abort = (): void => controller.abort()
    closed.addEventListener('abort', abort, { once: true })
    this.#running.set(request.cancelKey, controller)
    const answer = new Answer(socket)
    try {
      await this.#answer(request, answer, controller.signal)
    } catch (error) {
      this.#options.logger.error({ err: error }, 'a routed statement failed')
      answer.fault(error)
    } finally {
      closed.removeEventListener('abort', abort)
      if (this.#running.get(request.cancelKey) === controller) {
        this.#running.delete(request.cancelKey)
      }
    }
  }

  async #answer(request: LinkRequest, answer: Answer, signal: AbortSignal): Promise<void> {
    const { probe, explain, resultFormats, rowsMax } = request
    const { queryService } = this.#options
    const decision = queryService.decide(probe)
    switch (decision.kind) {
      case 'postgres':
        answer.send(explain
          ? { kind: 'report', lines: this.#postgresReport(probe, decision.reason) }
          : { kind: 'declined', reason: decision.reason,
              transient: decision.transient })
        return
      case 'rejected':
        answer.send(explain ? { kind: 'report', lines: rejectedReport(probe, decision.error) }
          : { kind: 'rejected', error: linkError(decision.error) })
        return
      case 'columnar': {
        answer.send({ kind: 'accepted' })
        const result = await queryService.run(decision.plan, probe,
          { resultFormats, rowsMax: explain ? 0 : rowsMax, signal })
        switch (result.kind) {
          case 'fallback':
            answer.send(explain
              ? { kind: 'report', lines: this.#postgresReport(probe, result.reason) }
              : { kind: 'fallback', reason: result.reason })
            return
          case 'rejected':
            answer.send({ kind: 'rejected', error: linkError(result.error) })
            return
          case 'rows':
            if (explain) await report(answer, { probe, plan: decision.plan, rows: result.rows })
            else await answer.stream(result.rows)
        }
      }
    }
  }

  /** Cost is the first thing looked at; whoever asks wants to know whether it is the only one. */
  #postgresReport(probe: Probe, reason: string): readonly string[] {
    const atAnyCost = this.#options.queryService.decide({ ...probe, totalCost: Number.MAX_VALUE })
    const reasons = atAnyCost.kind === 'postgres' && atAnyCost.reason !== reason
      ? [atAnyCost.reason, reason] : [reason]
    return ['Route: postgres', ...reasons.map((text) => `Reason: ${text}`), costLine(probe),
      `Read LSN: ${formatLsn(probe.insertLsn)}`]
  }
}

/** One statement's frames on their way to the gateway. */
class Answer {
  readonly #socket: Socket
  #hasRows = false
  #isFinal = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  send(message: FromEngine): void {
    this.#isFinal = message.kind !== 'accepted' && message.kind !== 'rows'
    this.#socket.write(encodeLinkFrame(message))
  }

  async stream(rows: AnswerRows): Promise<void> {
    let count = 0
    for await (const batch of rows.batches()) {
      count += batch.rows
      this.#hasRows = true
      if (this.#socket.destroyed) return
      if (batch.bytes.length + HEADER_BYTES > LINK_FRAME_BYTES_MAX) {
        throw new SlipwayError('columnar-failed', 'a batch of rows is too large for the link')
      }
      if (!this.#socket.write(encodeLinkFrame({ kind: 'rows', bytes: batch.bytes }))) {
        await drained(this.#socket)
      }
    }
    this.send({ kind: 'complete', rows: count })
  }

  /** What failed; our own errors speak for themselves, others may quote a value. */
  fault(error: unknown): void {
    if (this.#isFinal) return
    const told = error instanceof SlipwayError ? error
      : new SlipwayError('columnar-failed', 'the columnar engine failed')
    this.send(this.#hasRows ? { kind: 'failed', error: linkError(told) }
      : told.code === 'query-canceled' ? { kind: 'rejected', error: linkError(told) }
        : { kind: 'fallback', reason: told.message })
  }
}

/** Resolves when more may be written, or nothing can be any more. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    if (socket.destroyed) { resolve(); return }
    socket.on('drain', done)
    socket.on('close', done)
  })
}

function rejectedReport(probe: Probe, error: SlipwayError): readonly string[] {
  return ['Route: rejected', `Reason: ${error.message}`, costLine(probe)]
}

async function report(answer: Answer, found: {
  readonly probe: Probe
  readonly plan: ColumnarPlan
  readonly rows: AnswerRows
}): Promise<void> {
  const { probe, plan, rows } = found
  const { scan } = rows
  await rows[Symbol.asyncDispose]()
  answer.send({ kind: 'report', lines: [
    'Route: columnar', `Reason: ${plan.relations.length} mirrored ` +
      `${plan.relations.length === 1 ? 'table' : 'tables'}, every operation proven equal`,
    costLine(probe), `Read LSN: ${formatLsn(rows.readLsn)}`,
    `Waited: ${Math.round(rows.waitedMs)} ms`,
    `Files: ${scan.filesRead} read, ${scan.filesPruned} pruned`,
    `Tail rows: ${scan.tailRows}`,
    ...rows.sql.split('\n').map((line, index) => `${index === 0 ? 'DuckDB: ' : '  '}${line}`),
  ] })
}

function costLine(probe: Probe): string {
  return `Estimated cost: ${probe.totalCost.toFixed(2)}, rows: ${probe.planRows}`
}
