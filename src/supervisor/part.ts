/**
 * Part: one child process that is kept alive until it is told to stop.
 *
 * P1  At most one process of a part lives at a time.
 * P2  A part that dies is started again with the back-off of part-state.ts.
 * P3  stop() ends the process: politely, then after `graceMs` with SIGKILL.
 */
import type { ChildProcess } from 'node:child_process'
import { SlipwayError } from '../base/errors.ts'
import { Deferred } from '../base/deferred.ts'
import type { Logger } from '../base/logger.ts'
import { Questions } from '../base/questions.ts'
import type { FromWorker, ToWorker } from '../base/worker-message.ts'
import { nextPartState, PART_START, type PartEvent, type PartState } from './part-state.ts'

export interface PartOptions<Options, Info> {
  readonly name: string
  readonly spawn: () => ChildProcess
  /** Asked anew at each start, so that a restarted part gets the endpoints of today. */
  readonly options: () => Options
  readonly onReady: (info: Info, pid: number) => void
  readonly onGone: () => void
  /** What the part asks of the others; absent where it asks nothing. */
  readonly onAsk?: () => Promise<unknown>
  readonly logger: Logger
  readonly graceMs: number
}

export class Part<Options, Info> {
  readonly #options: PartOptions<Options, Info>
  #state: PartState = PART_START
  #child: ChildProcess | null = null
  #timer: NodeJS.Timeout | null = null
  readonly #first = new Deferred<void>()
  readonly #ended = new Deferred<void>()
  readonly #questions = new Questions()

  constructor(options: PartOptions<Options, Info>) {
    this.#options = options
    this.#first.promise.catch(() => {})
  }

  get state(): PartState['kind'] { return this.#state.kind }
  get pid(): number | null { return this.#child?.pid ?? null }

  /** Resolves when the part is ready for the first time; rejects when it says it cannot start. */
  start(): Promise<void> {
    this.#launch()
    return this.#first.promise
  }

  async stop(): Promise<void> {
    this.#dispatch({ kind: 'stop' })
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#first.reject(new SlipwayError('internal', `${this.#options.name} was stopped`))
    const child = this.#child
    if (child === null) return
    this.#send({ kind: 'stop' })
    const kill = setTimeout(() => child.kill('SIGKILL'), this.#options.graceMs)
    await this.#ended.promise
    clearTimeout(kill)
  }

  /** What the part reports of itself; null when it does not. */
  async ask(): Promise<unknown> {
    if (this.#state.kind !== 'ready') return null
    return await this.#questions.ask((id) => { this.#send({ kind: 'ask', id }) })
  }

  reload(): void { this.#send({ kind: 'reload' }) }

  kill(): void {
    this.#dispatch({ kind: 'stop' })
    this.#child?.kill('SIGKILL')
  }

  #dispatch(event: PartEvent): void {
    this.#state = nextPartState(this.#state, event)
  }

  #launch(): void {
    const child = this.#options.spawn()
    this.#child = child
    child.on('message', (message: FromWorker<Info>) => this.#onMessage(message, child))
    child.on('error', (error) => {
      this.#options.logger.error({ part: this.#options.name, error: error.message }, 'part failed')
    })
    child.once('exit', (code, signal) => this.#onExit(code, signal))
  }

  #send(message: ToWorker<Options>): void {
    const child = this.#child
    if (child === null || !child.connected) return
    child.send(message, (error) => {
      if (error !== null) this.#options.logger.debug({ part: this.#options.name }, 'channel closed')
    })
  }

  #onMessage(message: FromWorker<Info>, child: ChildProcess): void {
    switch (message.kind) {
      case 'listening':
        if (this.#state.kind === 'starting') {
          this.#send({ kind: 'start', options: this.#options.options() })
        }
        return
      case 'ready':
        this.#dispatch({ kind: 'ready', nowMs: Date.now() })
        this.#options.onReady(message.info, child.pid ?? 0)
        this.#first.resolve()
        return
      case 'ask':
        void this.#options.onAsk?.().then((value) => {
          this.#send({ kind: 'answer', id: message.id, value })
        })
        return
      case 'answer':
        this.#questions.answered(message.id, message.value)
        return
      case 'failed':
        this.#options.logger.error({ part: this.#options.name, code: message.code },
          message.message)
        this.#first.reject(new SlipwayError(message.code, message.message, { hint: message.hint }))
        return
    }
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = null
    this.#dispatch({ kind: 'exited', nowMs: Date.now() })
    this.#options.onGone()
    const state = this.#state
    if (state.kind !== 'waiting') {
      this.#ended.resolve()
      return
    }
    const delayMs = Math.max(0, state.untilMs - Date.now())
    this.#options.logger.warn({ part: this.#options.name, code, signal, delayMs },
      'part died; it is started again')
    this.#timer = setTimeout(() => {
      this.#dispatch({ kind: 'wake' })
      if (this.#state.kind === 'starting') this.#launch()
    }, delayMs)
  }
}
