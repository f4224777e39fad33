/**
 * CancelKeys: the sessions of this process by PostgreSQL's own key, in hexadecimal.
 */
export interface Cancellable {
  /** True: PostgreSQL need not hear of it. */
  cancelDiverted(): boolean
}

export class CancelKeys {
  readonly #sessions = new Map<string, Cancellable>()

  add(key: string, session: Cancellable): void { this.#sessions.set(key, session) }

  remove(key: string, session: Cancellable): void {
    if (this.#sessions.get(key) === session) this.#sessions.delete(key)
  }

  find(key: string): Cancellable | null { return this.#sessions.get(key) ?? null }
}
