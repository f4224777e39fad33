/**
 * ByteChannel: one socket, read into a buffer of its own, written with strict backpressure.
 *
 * B1  A chunk given to `onBytes` is valid until the handler returns; where the handler wrote
 *     it to another channel that is now `isPending`, until that channel has drained. So the
 *     handler returns false then, and reading stops until `resume`.
 * B2  `onClose` comes once, last, whatever ends the socket.
 * B3  Nothing is allocated, scheduled or promised for a chunk that the kernel takes at once.
 *
 * The `onread` option of net.Socket and write(2) on its descriptor are what make B3 possible: a
 * stream's write allocates a request and schedules its callback. What the kernel does not take
 * goes through the stream, which waits. net.Server has no `onread`, so an accepted socket's
 * handle moves into a new Socket; where there is no handle to move (TLS, or a Node without it)
 * the channel reads by 'data' events and writes by the stream.
 */
import { writeSync } from 'node:fs'
import { Socket, type NetConnectOpts, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

export interface ChannelHandler {
  /** False: stop reading until `resume`. */
  onBytes(chunk: Buffer): boolean
  /** The other side will send no more. */
  onEnd(): void
  /** Everything written has been taken; only after `isPending` was true. */
  onDrain(): void
  onClose(): void
}

/** Small while a connection talks in short messages, so that idle ones cost little. */
const SMALL_BYTES = 8 * 1024
const LARGE_BYTES = 64 * 1024
/** Short reads in a row after which the small buffer is enough again. */
const SHORT_READS_MAX = 32
/** TLS queues what it was given (a copy), so that a short queue need not stop the reader. */
const STREAM_QUEUE_BYTES_MAX = 64 * 1024

const NOTHING = Buffer.alloc(0)
const ignore = (): void => {}

export class ByteChannel {
  #handler: ChannelHandler = IDLE_HANDLER
  readonly #stream: Duplex
  /** The stream keeps what it is given until later: chunks must be copied. */
  readonly #copies: boolean
  /** The socket's, which does not block; null where only the stream can write. */
  #descriptor: number | null = null
  #waiting = false
  bytesRead = 0

  private constructor(stream: Duplex, copies: boolean) {
    this.#stream = stream
    this.#copies = copies
    stream.on('end', () => this.#handler.onEnd())
    stream.on('close', () => this.#handler.onClose())
    // 'close' follows; what failed is of no use to the other side.
    stream.on('error', ignore)
  }

  /** Takes over an accepted socket, which must not be used any more. */
  static accepted(socket: Socket): ByteChannel {
    const handle = socket instanceof TLSSocket ? null : detachHandle(socket)
    if (handle === null) return ByteChannel.overStream(socket)
    const reader = new ChunkReader()
    const channel: ByteChannel = new ByteChannel(new Socket({
      handle, allowHalfOpen: true, readable: true, writable: true, manualStart: true,
      onread: reader.options((chunk) => channel.#read(chunk)),
    } as ConstructorParameters<typeof Socket>[0]), false)
    channel.#descriptor = descriptorOf(handle)
    return channel
  }

  /** Resolves when connected; rejects with the socket's error. */
  static connected(address: NetConnectOpts): Promise<ByteChannel> {
    return new Promise((resolve, reject) => {
      const reader = new ChunkReader()
      // Until a handler is there nothing may be read: B1.
      const socket = connect({
        ...address, allowHalfOpen: true, onread: reader.options((chunk) => channel.#read(chunk)),
      } as NetConnectOpts)
      const channel: ByteChannel = new ByteChannel(socket, false)
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        socket.setNoDelay(true)
        channel.#descriptor = descriptorOf(handleOf(socket))
        resolve(channel)
      })
    })
  }

  static overStream(stream: Duplex): ByteChannel {
    const channel = new ByteChannel(stream, true)
    stream.on('data', (chunk: Buffer) => {
      if (!channel.#read(chunk)) stream.pause()
    })
    stream.pause()
    return channel
  }

  /** Must be set before the first byte can come: in the turn that made the channel. */
  set handler(handler: ChannelHandler) { this.#handler = handler }

  /** Some of what was written has not been taken yet. */
  get isPending(): boolean {
    const queued = this.#stream.writableLength
    return this.#copies ? queued > STREAM_QUEUE_BYTES_MAX : queued > 0
  }

  get isClosed(): boolean { return this.#stream.destroyed }

  /** Writes in order. `bytes` must stay as they are until the channel is not pending. */
  write(bytes: Buffer): void {
    const stream = this.#stream
    // A stream that is destroyed has closed its descriptor, which may be another socket's now.
    if (stream.writableEnded || stream.destroyed) return
    if (this.#descriptor !== null && stream.writableLength === 0) {
      const taken = writeNow(this.#descriptor, bytes)
      if (taken === bytes.length) return
      stream.write(bytes.subarray(taken))
    } else {
      stream.write(this.#copies ? Buffer.from(bytes) : bytes)
    }
    if (this.isPending && !this.#waiting) this.#awaitDrain()
  }

  pause(): void { this.#stream.pause() }

  resume(): void { this.#stream.resume() }

  /** Sends what is written, then says that no more comes. */
  end(): void {
    if (!this.#stream.writableEnded) this.#stream.end()
  }

  /** Sends what is written, then closes both ways. */
  finish(): void {
    if (this.#stream.writableFinished) this.#stream.destroy()
    else this.#stream.once('finish', () => this.#stream.destroy())
    this.end()
  }

  destroy(): void { this.#stream.destroy() }

  #read(chunk: Buffer): boolean {
    this.bytesRead += chunk.length
    return this.#handler.onBytes(chunk)
  }

  /** An empty write is done when all before it are: cheaper than 'drain' after every write. */
  #awaitDrain(): void {
    this.#waiting = true
    this.#stream.write(NOTHING, () => {
      this.#waiting = false
      if (!this.#stream.destroyed) this.#handler.onDrain()
    })
  }
}

const IDLE_HANDLER: ChannelHandler = {
  onBytes: () => false, onEnd: ignore, onDrain: ignore, onClose: ignore,
}

/** Chooses the buffer of each read by what the last ones needed. */
class ChunkReader {
  #buffer = Buffer.allocUnsafeSlow(SMALL_BYTES)
  #next: Buffer | null = this.#buffer
  /** Messages of one kind are of one length: the last view often serves again. */
  #view = this.#buffer
  #shortReads = 0

  options(onChunk: (chunk: Buffer) => boolean): object {
    return {
      // Asked for each handle that a connect tries, and after every read; null keeps the buffer.
      buffer: () => this.#next,
      callback: (bytes: number) => {
        this.#next = null
        if (this.#view.length !== bytes) this.#view = this.#buffer.subarray(0, bytes)
        const goOn = onChunk(this.#view)
        if (goOn) this.#choose(bytes)
        return goOn
      },
    }
  }

  /** Only while nobody holds a view of the buffer. */
  #choose(bytes: number): void {
    if (this.#buffer.length === SMALL_BYTES) {
      if (bytes === SMALL_BYTES) this.#swap(LARGE_BYTES)
    } else if (bytes >= SMALL_BYTES) {
      this.#shortReads = 0
    } else if (++this.#shortReads > SHORT_READS_MAX) {
      this.#swap(SMALL_BYTES)
    }
  }

  #swap(size: number): void {
    this.#shortReads = 0
    this.#buffer = Buffer.allocUnsafeSlow(size)
    this.#next = this.#buffer
    this.#view = this.#buffer
  }
}

/** The libuv handle of an accepted socket, which is then no longer the socket's. */
function detachHandle(socket: Socket): object | null {
  const handle = handleOf(socket)
  if (handle === null) return null
  socket.removeAllListeners()
  Object.assign(socket, { _handle: null })
  // Without a handle this only tells the server that it has one connection less.
  socket.on('error', ignore)
  socket.destroy()
  return handle
}

function handleOf(socket: Socket): object | null {
  return (socket as unknown as { readonly _handle?: object | null })._handle ?? null
}

/** null where the platform has none (it is negative then), or this Node does not tell it. */
function descriptorOf(handle: object | null): number | null {
  const { fd } = (handle ?? {}) as { readonly fd?: unknown }
  return typeof fd === 'number' && fd >= 0 ? fd : null
}

/** Bytes that the kernel took: none where it has no room, or where the stream will say why. */
function writeNow(descriptor: number, bytes: Buffer): number {
  try {
    return writeSync(descriptor, bytes)
  } catch {
    return 0
  }
}
