/**
 * Progress: up to which LSN the mirror shows everything, and who waits for it.
 *
 * G1  `applied` only grows; every commit that ends at or below it can be read.
 * G2  A waiter on an idle server waits for one round trip to the walsender, not for the next
 *     commit: a keepalive is asked for at once, and a flush of the WAL soon after.
 * G3  A waiter ends: with its LSN, its time-out, or its signal.
 */
import type { Clock } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import { LSN_ZERO, type Lsn } from '../base/lsn.ts'

export interface ProgressSource {
  requestKeepalive(): void
  forceFlush(): Promise<void>
}

interface Waiter {
  readonly lsn: Lsn
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** How long the walsender's own pace is trusted before the WAL is forced to disk. */
const FLUSH_AFTER_MS = 1.5
/** How often a keepalive is asked for again while somebody waits. */
const ASK_EVERY_MS = 5

export class Progress {
  readonly #source: ProgressSource
  readonly #clock: Clock
  readonly #waiters = new Set<Waiter>()
  #applied: Lsn = LSN_ZERO
  #currentAt = 0
  #asking: NodeJS.Timeout | null = null
  #flushing = false
  #failure: Error | null = null

  constructor(options: { readonly source: ProgressSource; readonly clock: Clock }) {
    this.#source = options.source
    this.#clock = options.clock
  }

  get applied(): Lsn { return this.#applied }

  /** Milliseconds since the mirror was last known to show all that PostgreSQL had sent. */
  ageMs(): number {
    return this.#clock.now() - this.#currentAt
  }

  /** `current`: nothing that PostgreSQL sent is still waiting to be applied. */
  advance(lsn: Lsn, current: boolean): void {
    if (current) this.#currentAt = this.#clock.now()
    if (lsn <= this.#applied) return
    this.#applied = lsn
    for (const waiter of this.#waiters) {
      if (waiter.lsn > lsn) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
    if (this.#waiters.size === 0) this.#stopAsking()
  }

  /** G3. Throws `freshness-timeout`, or the signal's reason. */
  async waitFor(lsn: Lsn, options: { readonly timeoutMs: number; readonly signal: AbortSignal })
    : Promise<void> {
    if (lsn <= this.#applied) return
    options.signal.throwIfAborted()
    if (this.#failure !== null) throw this.#failure
    this.#ask()
    let timer: NodeJS.Timeout | null = null
    let abort: (() => void) | null = null
    let waiter: Waiter | null = null
    try {
      await new Promise<void>((resolve, reject) => {
        waiter = { lsn, resolve, reject }
        this.#waiters.add(waiter)
        timer = setTimeout(() => {
          reject(new SlipwayError('freshness-timeout',
            `the mirror did not catch up within ${options.timeoutMs} ms`))
        }, options.timeoutMs)
        abort = () => { reject(options.signal.reason as Error) }
        options.signal.addEventListener('abort', abort, { once: true })
      })
    } finally {
      if (waiter !== null) this.#waiters.delete(waiter)
      if (timer !== null) clearTimeout(timer)
      if (abort !== null) options.signal.removeEventListener('abort', abort)
      if (this.#waiters.size === 0) this.#stopAsking()
    }
  }

  /** The mirror has stopped: whoever waits or will wait learns it. */
  fail(error: Error): void {
    this.#failure = error
    for (const waiter of this.#waiters) waiter.reject(error)
    this.#waiters.clear()
    this.#stopAsking()
  }

  /** G2. */
  #ask(): void {
    this.#source.requestKeepalive()
    if (this.#asking !== null) return
    this.#asking = setTimeout(() => { void this.#askAgain() }, FLUSH_AFTER_MS)
  }

  async #askAgain(): Promise<void> {
    if (!this.#flushing) {
      this.#flushing = true
      try {
        await this.#source.forceFlush()
      } catch {
        // The server is away: waiters end by their time-out, and the stream reports the loss.
      } finally {
        this.#flushing = false
      }
    }
    if (this.#waiters.size === 0) { this.#stopAsking(); return }
    this.#source.requestKeepalive()
    this.#asking = setTimeout(() => { void this.#askAgain() }, ASK_EVERY_MS)
  }

  #stopAsking(): void {
    if (this.#asking !== null) clearTimeout(this.#asking)
    this.#asking = null
  }
}
