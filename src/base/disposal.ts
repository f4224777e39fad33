/**
 * ResourceStack: what a part has opened, closed in the opposite order.
 *
 * R1  Every resource is closed once, also when closing another one failed.
 * R2  The first failure is thrown when all is closed. (Node 20 lacks AsyncDisposableStack.)
 */
export class ResourceStack implements AsyncDisposable {
  readonly #closers: (() => Promise<void> | void)[] = []

  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => Promise.resolve(resource[Symbol.asyncDispose]()))
    return resource
  }

  defer(close: () => Promise<void> | void): void {
    this.#closers.push(close)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let failure: { readonly error: unknown } | null = null
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close()
      } catch (error) {
        failure ??= { error }
      }
    }
    if (failure !== null) throw failure.error
  }
}
