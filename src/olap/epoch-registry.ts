/**
 * EpochRegistry: finds the epoch whose number a reader saw in DuckDB's `state`.
 *
 * ER1  An epoch is known before the transaction that writes its number commits.
 * ER2  An epoch is forgotten no sooner than `keepMs` after a later one was known: a reader
 *      looks its number up within milliseconds.
 */
import type { Clock } from '../base/clock.ts'
import type { Epoch } from '../mirror/epoch.ts'

const KEEP_MS = 120_000

export class EpochRegistry {
  readonly #clock: Clock
  readonly #keepMs: number
  /** In order of number. */
  readonly #epochs = new Map<number, { readonly epoch: Epoch; readonly since: number }>()
  #current: Epoch | null = null

  constructor(options: { readonly clock: Clock; readonly keepMs?: number }) {
    this.#clock = options.clock
    this.#keepMs = options.keepMs ?? KEEP_MS
  }

  /** The newest whose transaction has committed: every reader from now on sees it or a later. */
  get current(): Epoch | null {
    return this.#current
  }

  /** The transaction that names it has committed. */
  committed(epoch: Epoch): void {
    this.#current = epoch
  }

  add(epoch: Epoch): void {
    const now = this.#clock.now()
    this.#epochs.set(epoch.id, { epoch, since: now })
    // ER2: one is superseded when the next was added.
    const entries = [...this.#epochs]
    for (let at = 0; at + 1 < entries.length; at++) {
      const next = entries[at + 1]
      if (next === undefined || now - next[1].since < this.#keepMs) break
      const current = entries[at]
      if (current !== undefined) this.#epochs.delete(current[0])
    }
  }

  get(id: number): Epoch | null {
    return this.#epochs.get(id)?.epoch ?? null
  }
}
