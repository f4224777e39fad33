/** GrowingBuffer: bytes that are appended to, little-endian. */
export class GrowingBuffer {
  #bytes: Buffer
  #length = 0

  constructor(capacity = 1024) {
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  get length(): number { return this.#length }

  /** Empty again, with the room it has. */
  clear(): void { this.#length = 0 }

  /** Valid until the next write. */
  get view(): Buffer { return this.#bytes.subarray(0, this.#length) }

  u8(value: number): void {
    this.#room(1)
    this.#bytes[this.#length++] = value
  }

  /** -2^31 to 2^32-1: of either sign in the same bits. */
  u32(value: number): void {
    this.#room(4)
    this.#put32(this.#length, value)
    this.#length += 4
  }

  i32(value: number): void { this.u32(value) }

  i64(value: number | bigint): void {
    this.#room(8)
    if (typeof value === 'bigint') {
      this.#length = this.#bytes.writeBigInt64LE(value, this.#length)
      return
    }
    this.#put32(this.#length, value)
    this.#put32(this.#length + 4, Math.floor(value / 2 ** 32))
    this.#length += 8
  }

  /** LEB128 of a whole number up to 2^53. */
  varint(value: number): void {
    this.#room(8)
    let rest = value
    while (rest >= 128) {
      this.#bytes[this.#length++] = rest % 128 | 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#length++] = rest
  }

  /** UTF-8. */
  text(value: string): void {
    this.#room(value.length * 3)
    this.#length += this.#bytes.write(value, this.#length)
  }

  /** The length in bytes as u32, then UTF-8: how Parquet stores a byte array. */
  sizedText(value: string): void {
    this.#room(value.length * 3 + 4)
    const written = this.#bytes.write(value, this.#length + 4)
    this.#put32(this.#length, written)
    this.#length += written + 4
  }

  bytes(value: Uint8Array): void {
    this.#room(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  /** The lowest 32 bits of a whole number; Buffer's own calls check more than they write. */
  #put32(at: number, value: number): void {
    const bytes = this.#bytes
    bytes[at] = value
    bytes[at + 1] = value >>> 8
    bytes[at + 2] = value >>> 16
    bytes[at + 3] = value >>> 24
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}
