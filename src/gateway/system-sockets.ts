/**
 * SystemSockets: epoll, recv and send as the C library has them, and what of libuv lets an epoll
 * instance and Node's event loop wait for each other.
 *
 * Y1  Only `wait` waits, and no longer than it is told.
 * Y2  A call that fails says so and not why: its socket goes back to Node, which finds out.
 * Y3  Either Node's loop watches the epoll instance (uv_poll_t) or the instance watches the loop's
 *     descriptor, never both: the kernel refuses a circle, and libuv aborts when it is refused.
 * Y4  Where one of the functions is missing there is none of it.
 *
 * All functions are those this process has loaded already: node exports libuv's for addons.
 * docs/decisions/0008-sockets-by-system-calls.md has the reasons.
 *
 * Source: epoll(7), recv(2), send(2); libuv documentation, "uv_poll_t", "uv_backend_fd",
 * "uv_metrics_info".
 */
import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { READ_BUFFER, READ_BYTES_MAX } from './read-buffer.ts'

/** Readable descriptors that one `wait` tells; more come with the next. */
const EVENTS_MAX = 256
const EPOLL_CLOEXEC = 0x80000
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLLIN = 1
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
/** struct epoll_event is packed on x86 only. Words of 32 bits: events, [padding,] data, data. */
const EVENT_WORDS = process.arch === 'x64' || process.arch === 'ia32' ? 3 : 4
const EVENT_DATA_WORD = EVENT_WORDS - 2
const UV_POLL = 8
const UV_READABLE = 1
/** sizeof(uv_metrics_t): three counters and thirteen reserved words, 64 bits each. */
const UV_METRICS_BYTES = 16 * 8
/** The low half of `events`, the second counter. */
const UV_METRICS_EVENTS_WORD = 2

type Call = (...args: readonly (number | Buffer)[]) => number

/** What is used of koffi, which an installation may lack. */
interface Koffi {
  load(path: string | null): Library
  /** Where the memory lies, as long as it lives. */
  address(memory: ArrayBufferView): bigint
}

interface Library {
  func(definition: string): Call
  symbol(name: string): bigint
}

interface Functions {
  readonly epollCtl: Call
  readonly epollWait: Call
  readonly recv: Call
  readonly send: Call
  readonly pollStart: Call
  readonly pollStop: Call
  readonly metricsInfo: Call
}

export class SystemSockets {
  readonly #call: Functions
  readonly #epoll: number
  readonly #readAddress: number
  readonly #events = new Uint32Array(EVENTS_MAX * EVENT_WORDS)
  readonly #eventsAddress: number
  readonly #event = new Uint32Array(EVENT_WORDS)
  readonly #eventAddress: number
  /** uv_poll_t, which libuv keeps pointers to. */
  readonly #poll: Buffer
  readonly #pollAddress: number
  readonly #loop: number
  /** What libuv waits with. */
  readonly #loopDescriptor: number
  readonly #metrics = new Uint32Array(UV_METRICS_BYTES / 4)
  readonly #metricsAddress: number
  /** A function of libuv's that does nothing: that the loop woke is all that is wanted. */
  readonly #nothingAddress: number

  /** null where the platform, or this installation, has not all it takes. */
  static open(): SystemSockets | null {
    // A worker thread's loop is not the one that uv_default_loop names.
    if (process.platform !== 'linux' || !isMainThread) return null
    try {
      const koffi = createRequire(import.meta.url)('koffi') as Koffi
      return new SystemSockets(koffi.load(null), (memory) => Number(koffi.address(memory)))
    } catch {
      return null
    }
  }

  private constructor(library: Library, addressOf: (memory: ArrayBufferView) => number) {
    this.#call = {
      epollCtl: library.func('int epoll_ctl(int epoll, int op, int fd, uintptr_t event)'),
      epollWait: library.func('int epoll_wait(int epoll, uintptr_t events, int max, int ms)'),
      recv: library.func('long recv(int fd, uintptr_t bytes, size_t length, int flags)'),
      send: library.func('long send(int fd, const void *bytes, size_t length, int flags)'),
      pollStart: library.func('int uv_poll_start(uintptr_t handle, int events, uintptr_t then)'),
      pollStop: library.func('int uv_poll_stop(uintptr_t handle)'),
      metricsInfo: library.func('int uv_metrics_info(uintptr_t loop, uintptr_t metrics)'),
    }
    const handleSize = library.func('size_t uv_handle_size(int type)')
    const defaultLoop = library.func('uintptr_t uv_default_loop()')
    const backend = library.func('int uv_backend_fd(uintptr_t loop)')
    const pollInit = library.func(
      'int uv_poll_init(uintptr_t loop, uintptr_t handle, int fd)')
    const epollCreate = library.func('int epoll_create1(int flags)')
    this.#nothingAddress = Number(library.symbol('uv_is_active'))
    this.#loop = defaultLoop()
    this.#loopDescriptor = backend(this.#loop)
    this.#metricsAddress = addressOf(this.#metrics)
    this.#readAddress = addressOf(READ_BUFFER)
    this.#eventsAddress = addressOf(this.#events)
    this.#eventAddress = addressOf(this.#event)
    this.#poll = Buffer.alloc(handleSize(UV_POLL))
    this.#pollAddress = addressOf(this.#poll)
    this.#epoll = epollCreate(EPOLL_CLOEXEC)
    if (this.#epoll < 0) throw new Error('no epoll instance')
    if (pollInit(this.#loop, this.#pollAddress, this.#epoll) !== 0) {
      throw new Error('libuv does not watch an epoll instance')
    }
  }

  /** False when the kernel does not watch it. */
  watch(descriptor: number): boolean {
    this.#event[0] = EPOLLIN
    this.#event[EVENT_DATA_WORD] = descriptor
    return this.#call.epollCtl(this.#epoll, EPOLL_CTL_ADD, descriptor, this.#eventAddress) === 0
  }

  unwatch(descriptor: number): void {
    this.#call.epollCtl(this.#epoll, EPOLL_CTL_DEL, descriptor, this.#eventAddress)
  }

  /** How many descriptors can be read, or have ended; 0 also when a signal came. */
  wait(ms: number): number {
    return Math.max(0,
      this.#call.epollWait(this.#epoll, this.#eventsAddress, EVENTS_MAX, ms))
  }

  /** The `index`th that the last `wait` counted. */
  readable(index: number): number {
    return this.#events[index * EVENT_WORDS + EVENT_DATA_WORD] ?? -1
  }

  /** Bytes that are in READ_BUFFER now; 0 or less: the end, or something else than bytes. */
  receive(descriptor: number): number {
    return this.#call.recv(descriptor, this.#readAddress, READ_BYTES_MAX, MSG_DONTWAIT)
  }

  /** Bytes that the kernel took; 0 or less: none. */
  send(descriptor: number, bytes: Buffer): number {
    return this.#call.send(descriptor, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL)
  }

  isLoop(descriptor: number): boolean { return descriptor === this.#loopDescriptor }

  /** Events of its own that Node's loop has seen, modulo 2^32. */
  loopEvents(): number {
    this.#call.metricsInfo(this.#loop, this.#metricsAddress)
    return this.#metrics[UV_METRICS_EVENTS_WORD] ?? 0
  }

  /** Node's loop lives, and wakes when a watched descriptor can be read. Y3. */
  letLoopWait(): void {
    this.#call.pollStart(this.#pollAddress, UV_READABLE, this.#nothingAddress)
  }

  /** Nothing here keeps Node's loop alive or wakes it. */
  leaveLoop(): void { this.#call.pollStop(this.#pollAddress) }

  /** `wait` ends when Node's loop has something to do. False when it cannot be. Y3. */
  watchLoop(): boolean {
    this.leaveLoop()
    return this.watch(this.#loopDescriptor)
  }

  unwatchLoop(): void { this.unwatch(this.#loopDescriptor) }
}
