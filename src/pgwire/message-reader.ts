/**
 * MessageReader: reads the fields of one message's body, within its bounds.
 *
 * R1  Reading past the end throws ProtocolViolation; nothing is read from beyond it.
 * R2  `bytes` gives views: whoever keeps one longer than the buffer lives must copy it.
 */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation'
}

export class MessageReader {
  readonly #buffer: Buffer
  readonly #end: number
  #at: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.#buffer = buffer
    this.#at = start
    this.#end = end
  }

  get remaining(): number { return this.#end - this.#at }

  byte(): number {
    return this.#buffer.readUInt8(this.#take(1))
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#take(4))
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }

  bytes(length: number): Buffer {
    const start = this.#take(length)
    return this.#buffer.subarray(start, start + length)
  }

  /** Bytes up to a zero byte, which is passed over. */
  cstringBytes(): Buffer {
    const zero = this.#buffer.indexOf(0, this.#at)
    if (zero < 0 || zero >= this.#end) throw new ProtocolViolation('a string has no end')
    const start = this.#at
    this.#at = zero + 1
    return this.#buffer.subarray(start, zero)
  }

  cstring(): string {
    return this.cstringBytes().toString('utf8')
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.#at !== this.#end) throw new ProtocolViolation('a message is longer than its content')
  }

  #take(length: number): number {
    const start = this.#at
    if (length < 0 || start + length > this.#end) {
      throw new ProtocolViolation('a message is shorter than its content')
    }
    this.#at = start + length
    return start
  }
}
