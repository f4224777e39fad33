/**
 * DecisionMemory: statements that PostgreSQL was found to answer best, for a little while.
 *
 * D1  Holds refusals only: forgetting one, or mixing two up, costs time and never an answer.
 * D2  At most `entriesMax`; the one remembered longest ago goes first.
 */
import type { Clock } from '../base/clock.ts'

/** Longer texts are looked at each time: they are rare, and so is anything that frequent. */
const KEY_LENGTH_MAX = 16 * 1024

export class DecisionMemory {
  readonly #clock: Clock
  readonly #entriesMax: number
  readonly #ttlMs: number
  /** Statement to the time it is forgotten, in the order of remembering. */
  readonly #until = new Map<string, number>()

  constructor(options: {
    readonly clock: Clock
    readonly entriesMax: number
    readonly ttlMs: number
  }) {
    this.#clock = options.clock
    this.#entriesMax = options.entriesMax
    this.#ttlMs = options.ttlMs
  }

  /** `key`: normal form of the text, with what else the decision depends on. */
  remember(key: string): void {
    if (key.length > KEY_LENGTH_MAX) return
    this.#until.delete(key)
    this.#until.set(key, this.#clock.now() + this.#ttlMs)
    if (this.#until.size <= this.#entriesMax) return
    const oldest = this.#until.keys().next()
    if (oldest.done !== true) this.#until.delete(oldest.value)
  }

  has(key: string): boolean {
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (until > this.#clock.now()) return true
    this.#until.delete(key)
    return false
  }
}
