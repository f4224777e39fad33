/**
 * ByteBacklog: bytes that wait, in the order they came.
 *
 * K1  Appending copies; a byte is copied a constant number of times however small the pieces.
 * K2  What `take` gave is never written to again, unless it is put back.
 */
const INITIAL_BYTES = 256

export class ByteBacklog {
  #buffer: Buffer | null = null
  #taken: Buffer | null = null
  #length = 0

  get length(): number { return this.#length }

  get firstByte(): number | undefined {
    return this.#length > 0 ? this.#buffer?.[0] : undefined
  }

  append(bytes: Buffer): void {
    if (bytes.length === 0) return
    const needed = this.#length + bytes.length
    if (this.#buffer === null || needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, INITIAL_BYTES, 2 * this.#length))
      this.#buffer?.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    bytes.copy(this.#buffer, this.#length)
    this.#length = needed
  }

  take(): Buffer {
    const taken = this.#buffer?.subarray(0, this.#length) ?? Buffer.alloc(0)
    this.#taken = this.#buffer
    this.#buffer = null
    this.#length = 0
    return taken
  }

  /** Puts back what was taken last, of which nothing was used, as long as nothing came since. */
  putBack(taken: Buffer): void {
    this.#buffer = this.#taken
    this.#length = taken.length
  }
}
