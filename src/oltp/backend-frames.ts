/**
 * BackendFrames: cuts a server's byte stream into protocol messages.
 *
 * F1  A message is handed on whole, as a range of a buffer that is never written again: of
 *     the chunk itself where it lies whole in it, of a copy where it spans chunks.
 * F2  A message that spans chunks is copied once, however many chunks it spans.
 *
 * Source: PostgreSQL documentation, "Message Flow": one byte of kind, four of length that
 * count themselves.
 */
export type FrameHandler = (kind: number, buffer: Buffer, start: number, end: number) => void

const HEADER = 5
/** PostgreSQL allocates no more than this for a message. */
const MESSAGE_MAX_BYTES = 1024 * 1024 * 1024

export class BackendFrames {
  /** Chunks of a message that is not complete. */
  #parts: Buffer[] = []
  #have = 0
  /** Bytes of that message, header included; 0 while its header is not complete. */
  #need = 0

  /** Calls `handle` for each message that is complete now. */
  push(chunk: Buffer, handle: FrameHandler): void {
    let rest = chunk
    if (this.#have > 0) {
      const left = this.#complete(chunk, handle)
      if (left === null) return
      rest = left
    }
    let at = 0
    while (at + HEADER <= rest.length) {
      const size = messageSize(rest, at)
      if (at + size > rest.length) break
      handle(rest[at] as number, rest, at + HEADER, at + size)
      at += size
    }
    if (at === rest.length) return
    this.#parts = [rest.subarray(at)]
    this.#have = rest.length - at
    this.#need = this.#have >= HEADER ? messageSize(rest, at) : 0
  }

  /** Adds to the message that was begun; what follows it, or null when nothing does. */
  #complete(chunk: Buffer, handle: FrameHandler): Buffer | null {
    let taken = 0
    if (this.#need === 0) {
      taken = Math.min(HEADER - this.#have, chunk.length)
      this.#parts.push(chunk.subarray(0, taken))
      this.#have += taken
      if (this.#have < HEADER) return null
      this.#parts = [Buffer.concat(this.#parts)]
      this.#need = messageSize(this.#parts[0] as Buffer, 0)
    }
    const body = Math.min(this.#need - this.#have, chunk.length - taken)
    this.#parts.push(chunk.subarray(taken, taken + body))
    this.#have += body
    if (this.#have < this.#need) return null
    const message = Buffer.concat(this.#parts)
    this.#parts = []
    this.#have = 0
    this.#need = 0
    handle(message[0] as number, message, HEADER, message.length)
    const next = taken + body
    return next === chunk.length ? null : chunk.subarray(next)
  }
}

function messageSize(buffer: Buffer, at: number): number {
  const length = buffer.readUInt32BE(at + 1)
  if (length < 4 || length > MESSAGE_MAX_BYTES) {
    throw new RangeError('a message of the server has an impossible length')
  }
  return length + 1
}
