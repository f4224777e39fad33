/**
 * StringHeap: the bytes of a vector's long strings, fetched in as few pieces as can be.
 *
 * Fetching each string by its pointer costs microseconds; those of one vector mostly lie
 * side by side.
 *
 * G1  Strings are fetched together only when less than a page lies between them: then no
 *     page is touched that does not hold a byte of one of them.
 * G2  What is fetched is a copy: it stays valid when the chunk is gone.
 */
import duckdb from '@duckdb/node-bindings'

const STRING_BYTES = 16
const INLINE_BYTES_MAX = 12
const PAGE_BYTES = 4096
const PIECE_BYTES_MAX = 4 * 1024 * 1024

export class StringHeap {
  readonly #view: DataView
  readonly #pieces: Uint8Array[] = []
  /** By row: number of its piece, and where in it the string starts. */
  readonly #piece: Int32Array
  readonly #offset: Int32Array

  /** `isNull`: such rows have no pointer to follow. */
  constructor(view: DataView, rows: number, isNull: (row: number) => boolean) {
    this.#view = view
    this.#piece = new Int32Array(rows)
    this.#offset = new Int32Array(rows)
    const long: number[] = []
    const address = new Float64Array(rows)
    let sorted = true
    let previous = 0
    for (let row = 0; row < rows; row++) {
      if (this.length(row) <= INLINE_BYTES_MAX || isNull(row)) continue
      const at = this.#address(row)
      address[row] = at
      sorted &&= at >= previous
      previous = at
      long.push(row)
    }
    if (!sorted) long.sort((a, b) => address[a]! - address[b]!)
    this.#fetch(long, address)
  }

  length(row: number): number {
    return this.#view.getUint32(row * STRING_BYTES, true)
  }

  /** A long string's bytes. */
  bytes(row: number): Uint8Array {
    const offset = this.#offset[row]!
    return this.#pieces[this.#piece[row]!]!.subarray(offset, offset + this.length(row))
  }

  #fetch(rows: readonly number[], address: Float64Array): void {
    for (let first = 0; first < rows.length;) {
      const start = address[rows[first]!]!
      let end = start + this.length(rows[first]!)
      let next = first + 1
      for (; next < rows.length; next++) {
        const row = rows[next]!
        const at = address[row]!
        const grown = Math.max(end, at + this.length(row))
        const tooLong = grown > end && grown - start > PIECE_BYTES_MAX
        if (at - end >= PAGE_BYTES || tooLong) break
        end = grown
      }
      for (let index = first; index < next; index++) {
        const row = rows[index]!
        this.#piece[row] = this.#pieces.length
        this.#offset[row] = address[row]! - start
      }
      this.#pieces.push(this.#copy(rows[first]!, end - start))
      first = next
    }
  }

  #copy(row: number, length: number): Uint8Array {
    const { buffer, byteOffset } = this.#view
    return duckdb.get_data_from_pointer(
      buffer as ArrayBuffer, byteOffset + row * STRING_BYTES + 8, length)
  }

  /** User-space addresses have at most 48 bits, which a double holds exactly. */
  #address(row: number): number {
    const at = row * STRING_BYTES + 8
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32
  }
}
