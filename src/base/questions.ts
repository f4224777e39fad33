/**
 * Questions: asked over a channel of messages, each with a number, until they are answered.
 *
 * Q1  A question settles once: with its answer, or with null when it takes too long.
 */
const ANSWER_MS_MAX = 1000

export class Questions {
  readonly #open = new Map<number, (value: unknown) => void>()
  #lastId = 0

  /** `send` is given the question's number. */
  ask(send: (id: number) => void): Promise<unknown> {
    const id = ++this.#lastId
    return new Promise((resolve) => {
      const settle = (value: unknown): void => {
        clearTimeout(timer)
        this.#open.delete(id)
        resolve(value)
      }
      const timer = setTimeout(() => settle(null), ANSWER_MS_MAX)
      this.#open.set(id, settle)
      send(id)
    })
  }

  answered(id: number, value: unknown): void { this.#open.get(id)?.(value) }
}
