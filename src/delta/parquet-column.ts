/**
 * ParquetColumn: one leaf column of a row group while it is filled, and its one page.
 *
 * PC1  Plain values, run-length levels, GZIP for texts: what every reader has read for ten years.
 *      Numbers are a twentieth of a checkpoint, and GZIP makes little of them.
 * PC2  Compressing is zlib's, in Node's thread pool: the event loop goes on.
 *
 * Source: apache/parquet-format, README.md "Nested Encoding", Encodings.md, parquet.thrift.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { GrowingBuffer } from './growing-buffer.ts'
import { i32, struct, writeThrift } from './thrift-writer.ts'

export type LeafType = 'boolean' | 'i32' | 'i64' | 'text'
export type LeafValue = boolean | number | bigint | string

export interface EncodedChunk {
  /** The page's header, and the page. */
  readonly parts: readonly Buffer[]
  readonly codec: number
  readonly values: number
  readonly nulls: number
  readonly uncompressedBytes: number
}

const CODEC_NONE = 0
const CODEC_GZIP = 2
const ENCODING_PLAIN = 0
const ENCODING_RLE = 3
const DATA_PAGE = 0
/** Pages that small are not made smaller by GZIP's own header. */
const COMPRESSED_FROM_BYTES = 100

/** Each piece of its output comes back through the event loop: few and large ones. */
const PIECE_BYTES_MIN = 4 * 1024
const PIECE_BYTES_MAX = 1024 * 1024

const compress = promisify(gzip)

/** Levels, as the runs that they are written as. */
class LevelRuns {
  readonly #out = new GrowingBuffer(16)
  #level = 0
  #count = 0

  add(level: number, count: number): void {
    if (level !== this.#level) this.#flush()
    this.#level = level
    this.#count += count
  }

  encoded(): Buffer {
    this.#flush()
    return this.#out.view
  }

  clear(): void {
    this.#out.clear()
    this.#count = 0
  }

  /** Levels of ours fit into one byte. */
  #flush(): void {
    if (this.#count === 0) return
    this.#out.varint(this.#count * 2)
    this.#out.u8(this.#level)
    this.#count = 0
  }
}

export class ParquetColumn {
  readonly #type: LeafType
  readonly #definitionMax: number
  readonly #definitions = new LevelRuns()
  readonly #repetitions: LevelRuns | null
  readonly #values = new GrowingBuffer()
  readonly #body = new GrowingBuffer()
  #bits = 0
  #bitCount = 0
  #entries = 0
  #nulls = 0

  constructor(options: { readonly type: LeafType; readonly definitionMax: number
    readonly isRepeated: boolean }) {
    this.#type = options.type
    this.#definitionMax = options.definitionMax
    this.#repetitions = options.isRepeated ? new LevelRuns() : null
  }

  /** `count` entries without a value, of levels below the highest. */
  addNulls(definition: number, repetition: number, count: number): void {
    this.#definitions.add(definition, count)
    this.#repetitions?.add(repetition, count)
    this.#entries += count
    this.#nulls += count
  }

  add(value: LeafValue, repetition: number): void {
    this.#definitions.add(this.#definitionMax, 1)
    this.#repetitions?.add(repetition, 1)
    this.#entries++
    switch (this.#type) {
      case 'text': this.#values.sizedText(value as string); break
      case 'i32': this.#values.i32(value as number); break
      case 'i64': this.#values.i64(value as number | bigint); break
      case 'boolean':
        if (value === true) this.#bits |= 1 << this.#bitCount
        if (++this.#bitCount === 8) this.#flushBits()
    }
  }

  /** Nothing can be added until `clear`, nor may the chunk be used after it. */
  async encode(): Promise<EncodedChunk> {
    if (this.#bitCount > 0) this.#flushBits()
    const body = this.#body
    for (const levels of [this.#repetitions, this.#definitions]) {
      if (levels === null) continue
      const runs = levels.encoded()
      body.u32(runs.length)
      body.bytes(runs)
    }
    body.bytes(this.#values.view)
    const plain = body.view
    const small = this.#type !== 'text' || plain.length < COMPRESSED_FROM_BYTES ? null
      : await compressed(plain)
    const page = small !== null && small.length < plain.length ? small : plain
    const header = this.#header(plain.length, page.length)
    return { parts: [header, page], values: this.#entries, nulls: this.#nulls,
      codec: page === plain ? CODEC_NONE : CODEC_GZIP,
      uncompressedBytes: header.length + plain.length }
  }

  /** Empty again, for another row group; what it needed is kept. */
  clear(): void {
    this.#definitions.clear()
    this.#repetitions?.clear()
    this.#values.clear()
    this.#body.clear()
    this.#entries = 0
    this.#nulls = 0
  }

  #header(plainBytes: number, storedBytes: number): Buffer {
    const out = new GrowingBuffer(64)
    writeThrift(out, [[1, i32(DATA_PAGE)], [2, i32(plainBytes)], [3, i32(storedBytes)],
      [5, struct([[1, i32(this.#entries)], [2, i32(ENCODING_PLAIN)], [3, i32(ENCODING_RLE)],
        [4, i32(ENCODING_RLE)]])]])
    return out.view
  }

  #flushBits(): void {
    this.#values.u8(this.#bits)
    this.#bits = 0
    this.#bitCount = 0
  }
}

function compressed(plain: Buffer): Promise<Buffer> {
  const chunkSize = Math.min(Math.max(plain.length >> 2, PIECE_BYTES_MIN), PIECE_BYTES_MAX)
  return compress(plain, { level: 1, chunkSize })
}
