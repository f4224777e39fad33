/** Deferred: a promise with its two ends in hand (Promise.withResolvers, which Node 20 lacks). */
export class Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (reason: unknown) => void

  constructor() {
    let resolve: (value: T) => void = () => {}
    let reject: (reason: unknown) => void = () => {}
    this.promise = new Promise<T>((ok, fail) => { resolve = ok; reject = fail })
    this.resolve = resolve
    this.reject = reject
  }
}
