/**
 * MessageWriter: builds a run of protocol messages in one growing buffer.
 *
 * M1  A message's length field is what was written between `begin` and `finish`.
 */
export class MessageWriter {
  #buffer: Buffer
  #length = 0
  /** Where the open message's length field stands; -1 when none is open. */
  #lengthAt = -1

  constructor(initialBytes = 512) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  get length(): number { return this.#length }

  /** `code`: the message's letter as its byte. */
  begin(code: number): this {
    this.byte(code)
    this.#lengthAt = this.#length
    return this.int32(0)
  }

  /** The startup packet and its kin have no letter. */
  beginUntyped(): this {
    this.#lengthAt = this.#length
    return this.int32(0)
  }

  finish(): this {
    this.#buffer.writeInt32BE(this.#length - this.#lengthAt, this.#lengthAt)
    this.#lengthAt = -1
    return this
  }

  byte(value: number): this {
    this.#room(1)
    this.#buffer[this.#length++] = value
    return this
  }

  int16(value: number): this {
    this.#room(2)
    this.#length = this.#buffer.writeInt16BE(value, this.#length)
    return this
  }

  int32(value: number): this {
    this.#room(4)
    this.#length = this.#buffer.writeInt32BE(value, this.#length)
    return this
  }

  uint32(value: number): this {
    this.#room(4)
    this.#length = this.#buffer.writeUInt32BE(value, this.#length)
    return this
  }

  bytes(value: Uint8Array): this {
    this.#room(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    return this
  }

  /** Text or bytes without a zero byte among them, and the zero byte that ends them. */
  cstring(value: string | Uint8Array): this {
    return this.bytes(typeof value === 'string' ? Buffer.from(value, 'utf8') : value).byte(0)
  }

  /** What was written, as a view; the writer must not be used any more. */
  take(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}
