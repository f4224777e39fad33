/**
 * FrameAssembler: whole messages out of a stream that splits them anywhere.
 *
 * F1  Messages come out in order, each once, whatever the chunks were.
 * F2  A message longer than `bytesMax`, or one whose length is below 4, throws
 *     ProtocolViolation; so no more than `bytesMax` and one chunk is ever held.
 *
 * For streams that we take part in (probe, link). What is only passed on is walked in
 * gateway/, without assembling.
 */
import { HEADER_BYTES } from './message-code.ts'
import { ProtocolViolation } from './message-reader.ts'

export interface Frame {
  readonly code: number
  /** Header and body: a view, valid until the next push unless copied. */
  readonly bytes: Buffer
}

export class FrameAssembler {
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #held = 0
  /** Bytes of the first message, once its header is known. */
  #wanted = HEADER_BYTES

  constructor(options: { readonly bytesMax: number }) {
    this.#bytesMax = options.bytesMax
  }

  /** What was pushed and is no whole message yet; the assembler is empty afterwards. */
  takeRest(): Buffer {
    const rest = Buffer.concat(this.#parts, this.#held)
    this.#parts = []
    this.#held = 0
    this.#wanted = HEADER_BYTES
    return rest
  }

  /** Takes a copy of what it keeps. */
  * push(chunk: Buffer): Generator<Frame, void> {
    let buffer = chunk
    if (this.#held > 0) {
      this.#parts.push(Buffer.from(chunk))
      this.#held += chunk.length
      if (this.#held < this.#wanted) return
      buffer = Buffer.concat(this.#parts, this.#held)
    }
    this.#parts = []
    this.#held = 0
    let at = 0
    for (;;) {
      const left = buffer.length - at
      this.#wanted = left < HEADER_BYTES ? HEADER_BYTES : this.#lengthOf(buffer, at)
      if (left < this.#wanted) break
      yield { code: buffer[at] ?? 0, bytes: buffer.subarray(at, at + this.#wanted) }
      at += this.#wanted
    }
    if (at === buffer.length) return
    const rest = buffer.subarray(at)
    this.#parts = [buffer === chunk ? Buffer.from(rest) : rest]
    this.#held = rest.length
  }

  #lengthOf(buffer: Buffer, at: number): number {
    const length = buffer.readInt32BE(at + 1) + 1
    if (length < HEADER_BYTES) throw new ProtocolViolation('a message length is below 4')
    if (length > this.#bytesMax) {
      throw new ProtocolViolation(`a message is longer than ${this.#bytesMax} bytes`)
    }
    return length
  }
}
