/**
 * Mutex: one holder at a time, in the order of asking.
 *
 * Use as `using held = await mutex.acquire()` or `await mutex.run(work)`.
 */
export class Mutex {
  #tail: Promise<void> = Promise.resolve()

  async acquire(): Promise<Disposable> {
    let release: () => void = () => {}
    const previous = this.#tail
    this.#tail = new Promise<void>((resolve) => { release = resolve })
    await previous
    return { [Symbol.dispose]: () => release() }
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const held = await this.acquire()
    try { return await work() } finally { held[Symbol.dispose]() }
  }
}
