/**
 * ByteChannel: one socket, read without a buffer of its own, written with strict backpressure.
 *
 * B1  A chunk given to `onBytes` is valid until the handler returns, and no longer: all
 *     channels read into the same memory, which stays in the processor's cache.
 * B2  `onClose` comes once, last, whatever ends the socket.
 * B3  Nothing is allocated, scheduled or promised for a chunk that the kernel takes at once.
 * B4  What waits to be written is bounded: a handler that wrote to a channel which is now
 *     `isPending` returns 'full', and reading stops until `resume`.
 * B5  Nothing is read before the first `resume`.
 *
 * A socket is read and written by system calls where the process has a SocketPoller. Whatever
 * is not bytes (the end, an error) makes the channel leave its reading to Node, which knows what
 * to do; so it reads everywhere else, by the `onread` option of net.Socket, and writes by
 * write(2), for a stream's write allocates a request and schedules its callback. What the kernel
 * does not take is copied and goes through the stream, which waits. net.Server has no `onread`,
 * so an accepted socket's handle moves into a new Socket; where there is no handle to move (TLS,
 * or a Node without it) the channel reads by 'data' events and writes by the stream.
 */
import { writeSync } from 'node:fs'
import { Socket, type NetConnectOpts, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { firstBytes, READ_BUFFER } from './read-buffer.ts'
import type { PolledReader, SocketPoller, Taken } from './socket-poller.ts'

export interface ChannelHandler {
  onBytes(chunk: Buffer): Taken
  /** The other side will send no more. */
  onEnd(): void
  /** Everything written has been taken; only after `isPending` was true. */
  onDrain(): void
  onClose(): void
}

/** TLS takes a copy whatever the kernel does, so that a short queue need not stop the reader. */
const STREAM_QUEUE_BYTES_MAX = 64 * 1024

const NOTHING = Buffer.alloc(0)
const ignore = (): void => {}

export class ByteChannel implements PolledReader {
  #handler: ChannelHandler = IDLE_HANDLER
  readonly #stream: Duplex
  /** Bytes that may wait in the stream before the channel `isPending`. */
  readonly #queueBytesMax: number
  readonly #poller: SocketPoller | null
  /** The socket's, which does not block; null where only the stream can write. */
  #descriptor: number | null = null
  #isReadByNode = true
  #waiting = false
  bytesRead = 0

  private constructor(stream: Duplex, queueBytesMax: number, poller: SocketPoller | null) {
    this.#stream = stream
    this.#queueBytesMax = queueBytesMax
    this.#poller = poller
    stream.on('end', () => this.#handler.onEnd())
    stream.on('close', () => {
      if (this.#descriptor !== null) poller?.closed(this.#descriptor, this)
      this.#handler.onClose()
    })
    // 'close' follows; what failed is of no use to the other side.
    stream.on('error', ignore)
  }

  /** Takes over an accepted socket, which must not be used any more. */
  static accepted(socket: Socket, poller: SocketPoller | null): ByteChannel {
    const handle = socket instanceof TLSSocket ? null : detachHandle(socket)
    if (handle === null) return ByteChannel.overStream(socket)
    const channel: ByteChannel = new ByteChannel(new Socket({
      handle, allowHalfOpen: true, readable: true, writable: true, pauseOnCreate: true,
      onread: { buffer: READ_BUFFER, callback: (bytes: number) => channel.#readByNode(bytes) },
    } as ConstructorParameters<typeof Socket>[0]), 0, poller)
    channel.#isOpen(handle)
    return channel
  }

  /** Resolves when connected; rejects with the socket's error. */
  static connected(address: NetConnectOpts, poller: SocketPoller | null): Promise<ByteChannel> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        ...address, allowHalfOpen: true,
        onread: { buffer: READ_BUFFER, callback: (bytes: number) => channel.#readByNode(bytes) },
      } as NetConnectOpts)
      socket.pause()
      const channel: ByteChannel = new ByteChannel(socket, 0, poller)
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        socket.setNoDelay(true)
        channel.#isOpen(handleOf(socket))
        resolve(channel)
      })
    })
  }

  static overStream(stream: Duplex): ByteChannel {
    const channel = new ByteChannel(stream, STREAM_QUEUE_BYTES_MAX, null)
    stream.on('data', (chunk: Buffer) => {
      if (channel.#read(chunk) === 'full') stream.pause()
    })
    stream.pause()
    return channel
  }

  /** Must be set in the turn that made the channel. */
  set handler(handler: ChannelHandler) { this.#handler = handler }

  /** Some of what was written has not been taken yet. */
  get isPending(): boolean {
    return this.#stream.writableLength > this.#queueBytesMax
  }

  get isClosed(): boolean { return this.#stream.destroyed }

  /** Writes in order, and keeps nothing of `bytes`. */
  write(bytes: Buffer): void {
    const stream = this.#stream
    // A stream that is destroyed has closed its descriptor, which may be another socket's now.
    if (stream.writableEnded || stream.destroyed) return
    if (this.#descriptor !== null && stream.writableLength === 0) {
      const taken = this.#poller === null ? writeNow(this.#descriptor, bytes)
        : this.#poller.send(this.#descriptor, bytes)
      if (taken === bytes.length) return
      stream.write(Buffer.from(bytes.subarray(taken)))
    } else {
      stream.write(Buffer.from(bytes))
    }
    if (this.isPending && !this.#waiting) this.#awaitDrain()
  }

  pause(): void {
    if (this.#isReadByNode) this.#stream.pause()
    else this.#unwatch()
  }

  resume(): void {
    if (this.#isReadByNode) this.#stream.resume()
    else if (!this.#watch()) this.#leaveToNode()
  }

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

  onReadable(): Taken {
    if (this.#descriptor === null || this.#poller === null || this.#stream.destroyed) return 'full'
    const bytes = this.#poller.receive(this.#descriptor)
    if (bytes <= 0) {
      this.#leaveToNode()
      return 'taken'
    }
    const taken = this.#read(firstBytes(bytes))
    if (taken === 'full') this.pause()
    return taken
  }

  #isOpen(handle: object | null): void {
    this.#descriptor = descriptorOf(handle)
    this.#isReadByNode = this.#poller === null || this.#descriptor === null
  }

  /** False: it cannot be. */
  #watch(): boolean {
    if (this.#descriptor === null || this.#poller === null) return false
    return this.#stream.destroyed || this.#poller.watch(this.#descriptor, this)
  }

  #unwatch(): void {
    if (this.#descriptor !== null && !this.#stream.destroyed) {
      this.#poller?.unwatch(this.#descriptor, this)
    }
  }

  #leaveToNode(): void {
    this.#unwatch()
    this.#isReadByNode = true
    this.#stream.resume()
  }

  #readByNode(bytes: number): boolean { return this.#read(firstBytes(bytes)) !== 'full' }

  #read(chunk: Buffer): Taken {
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
  onBytes: () => 'full', onEnd: ignore, onDrain: ignore, onClose: ignore,
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
