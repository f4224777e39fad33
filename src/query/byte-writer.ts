/**
 * ByteWriter: a growing buffer that wire messages are written into.
 *
 * B1  `take` hands the bytes out and starts anew: what was handed out is never written again.
 */
const START_BYTES = 64 * 1024
/** What a buffer may start with at most, however long the one before it was. */
const RESTART_BYTES_MAX = 512 * 1024

export class ByteWriter {
  #bytes: Buffer
  #length = 0

  constructor(startBytes: number = START_BYTES) {
    this.#bytes = Buffer.allocUnsafe(startBytes)
  }

  get length(): number {
    return this.#length
  }

  /** The written bytes; valid until the next write. */
  view(from: number, to: number): Buffer {
    return this.#bytes.subarray(from, to)
  }

  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length)
    this.#bytes = Buffer.allocUnsafe(
      Math.min(RESTART_BYTES_MAX, Math.max(START_BYTES, this.#length)))
    this.#length = 0
    return taken
  }

  /** Drops everything written after `length`. */
  truncate(length: number): void {
    this.#length = length
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  int16(value: number): void {
    this.#reserve(2)
    this.#length = this.#bytes.writeInt16BE(value, this.#length)
  }

  int32(value: number): void {
    this.#reserve(4)
    this.#length = this.#bytes.writeInt32BE(value, this.#length)
  }

  int32At(position: number, value: number): void {
    this.#bytes.writeInt32BE(value, position)
  }

  int64(value: bigint): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeBigInt64BE(value, this.#length)
  }

  float32(value: number): void {
    this.#reserve(4)
    this.#length = this.#bytes.writeFloatBE(value, this.#length)
  }

  float64(value: number): void {
    this.#reserve(8)
    this.#length = this.#bytes.writeDoubleBE(value, this.#length)
  }

  /** Characters below U+0080 only. */
  ascii(text: string): void {
    const count = text.length
    this.#reserve(count)
    const bytes = this.#bytes
    let at = this.#length
    for (let i = 0; i < count; i++) bytes[at++] = text.charCodeAt(i)
    this.#length = at
  }

  utf8(text: string): void {
    this.#reserve(text.length * 3)
    this.#length += this.#bytes.write(text, this.#length)
  }

  bytes(source: Uint8Array): void {
    this.#reserve(source.length)
    this.#bytes.set(source, this.#length)
    this.#length += source.length
  }

  /** A whole number below 2^53 in size, in decimal. */
  integer(value: number): void {
    this.#reserve(20)
    const bytes = this.#bytes
    let at = this.#length
    let rest = value
    if (rest < 0) { bytes[at++] = 0x2d; rest = -rest }
    let end = at + decimalDigits(rest)
    this.#length = end
    while (end > at) {
      const next = Math.floor(rest / 10)
      bytes[--end] = 0x30 + (rest - next * 10)
      rest = next
    }
  }

  /** `value` in decimal with zeros before it up to `width` digits. */
  padded(value: number, width: number): void {
    this.#reserve(20)
    const digits = Math.max(width, decimalDigits(value))
    let rest = value
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      const next = Math.floor(rest / 10)
      this.#bytes[at] = 0x30 + (rest - next * 10)
      rest = next
    }
    this.#length += digits
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}

function decimalDigits(value: number): number {
  let digits = 1
  for (let limit = 10; value >= limit && digits < 17; limit *= 10) digits++
  return digits
}
