/**
 * Progress: up to which LSN the mirror shows everything, and who waits for it.
 *
 * G1  `applied` only grows; every commit that ends at or below it can be read.
 * G2  A waiter on an idle server waits for one round trip to the walsender, not for the next
 *     commit: a keepalive is asked for at once, and a flush of the WAL soon after.
 * G3  A waiter ends: with its LSN, its time-out, its signal, or the mirror.
 * G4  A long wait costs PostgreSQL next to nothing: one flush for a waiter, and keepalives
 *     that are asked for less and less often.
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
  /** The WAL was forced to disk since it waits. */
  flushed: boolean
}

/** How long the walsender's own pace is trusted before the WAL is forced to disk. */
const FLUSH_AFTER_MS = 1.5
/** When a keepalive is asked for again while somebody waits: at first, and in the end. */
const ASK_MS_MIN = 5
const ASK_MS_MAX = 200

export class Progress {
  readonly #source: ProgressSource
  readonly #clock: Clock
  readonly #waiters = new Set<Waiter>()
  #applied: Lsn = LSN_ZERO
  #currentAt = 0
  #asking: NodeJS.Timeout | null = null
  #askMs = ASK_MS_MIN
  #isFlushing = false
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

  /**
   * G3. Throws `freshness-timeout`, or the signal's reason. `timeoutMs` null: for as long as the
   * mirror goes on.
   */
  async waitFor(lsn: Lsn, options: { readonly timeoutMs: number | null
    readonly signal: AbortSignal })
    : Promise<void> {
    if (lsn <= this.#applied) return
    options.signal.throwIfAborted()
    if (this.#failure !== null) throw this.#failure
    let timer: NodeJS.Timeout | null = null
    let abort: (() => void) | null = null
    let waiter: Waiter | null = null
    try {
      await new Promise<void>((resolve, reject) => {
        waiter = { lsn, resolve, reject, flushed: false }
        this.#waiters.add(waiter)
        this.#ask()
        const { timeoutMs } = options
        timer = timeoutMs === null ? null : setTimeout(() => {
          reject(new SlipwayError('freshness-timeout',
            `the mirror did not catch up within ${timeoutMs} ms`))
        }, timeoutMs)
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
    const isSoon = this.#isFlushing || this.#askMs === ASK_MS_MIN
    this.#askMs = ASK_MS_MIN
    if (this.#asking !== null) {
      if (isSoon) return
      clearTimeout(this.#asking)
    }
    this.#asking = setTimeout(() => { void this.#askAgain() }, FLUSH_AFTER_MS)
  }

  /** G4. */
  async #askAgain(): Promise<void> {
    const waiting = [...this.#waiters].filter((waiter) => !waiter.flushed)
    if (waiting.length > 0) {
      for (const waiter of waiting) waiter.flushed = true
      this.#isFlushing = true
      try {
        await this.#source.forceFlush()
      } catch {
        // The server is away: waiters end by their time-out, and the stream reports the loss.
        for (const waiter of waiting) waiter.flushed = false
      } finally {
        this.#isFlushing = false
      }
    }
    if (this.#waiters.size === 0) { this.#stopAsking(); return }
    this.#source.requestKeepalive()
    this.#asking = setTimeout(() => { void this.#askAgain() }, this.#askMs)
    this.#askMs = Math.min(this.#askMs * 2, ASK_MS_MAX)
  }

  #stopAsking(): void {
    if (this.#asking !== null) clearTimeout(this.#asking)
    this.#asking = null
  }
}
