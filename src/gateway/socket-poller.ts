/**
 * SocketPoller: reads sockets as they become readable, beside Node's event loop and woken by it.
 *
 * O1  Every reader whose descriptor can be read is asked once in a round; a round is followed
 *     by Node's loop, which has all its phases (timers, promises, its own sockets).
 * O2  It lingers, waiting itself for the next bytes, only after a round in which all that came
 *     was passed on, only while no socket is read by Node, and for LINGER_MS at most: then
 *     nothing but new connections and timers can wait for it, and not for long.
 * O3  Node's loop is kept alive as long as something is watched.
 *
 * Node's loop costs some microseconds each time it turns; under load a proxy is woken for every
 * message. O2 is what makes a turn serve many.
 */
import { SystemSockets } from './system-sockets.ts'

/** What was done with the bytes that came. */
export type Taken =
  /** Passed on, and nothing was begun that needs the event loop. */
  | 'passed'
  | 'taken'
  /** Taken, and no more is wanted for now. */
  | 'full'

export interface PolledReader {
  onReadable(): Taken
}

const LINGER_MS = 1

export class SocketPoller {
  readonly #sockets: SystemSockets
  /** By descriptor. */
  readonly #readers: (PolledReader | undefined)[] = []
  #watched = 0
  #readByNode = 0
  #isScheduled = false

  private constructor(sockets: SystemSockets) { this.#sockets = sockets }

  static #ofProcess: SocketPoller | null | undefined

  /** The process has one loop, and so one of these; null where Node must do it alone. */
  static ofProcess(): SocketPoller | null {
    if (this.#ofProcess === undefined) {
      const sockets = SystemSockets.open()
      this.#ofProcess = sockets === null ? null : new SocketPoller(sockets)
    }
    return this.#ofProcess
  }

  /** False when the descriptor cannot be watched. */
  watch(descriptor: number, reader: PolledReader): boolean {
    if (this.#readers[descriptor] === reader) return true
    if (!this.#sockets.watch(descriptor)) return false
    // One that was closed without a word is not watched any more.
    if (this.#readers[descriptor] === undefined) this.#watched++
    this.#readers[descriptor] = reader
    if (this.#watched === 1) this.#sockets.wakeLoop()
    this.#schedule()
    return true
  }

  unwatch(descriptor: number, reader: PolledReader): void {
    if (this.#forget(descriptor, reader)) this.#sockets.unwatch(descriptor)
  }

  /** The descriptor is closed, and may be another socket's. */
  closed(descriptor: number, reader: PolledReader): void { this.#forget(descriptor, reader) }

  receive(descriptor: number): number { return this.#sockets.receive(descriptor) }

  send(descriptor: number, bytes: Buffer): number {
    return Math.max(0, this.#sockets.send(descriptor, bytes))
  }

  /** A socket that Node reads: O2. */
  nodeReads(): void { this.#readByNode++ }
  nodeReadNoMore(): void { this.#readByNode-- }

  #forget(descriptor: number, reader: PolledReader): boolean {
    if (this.#readers[descriptor] !== reader) return false
    this.#readers[descriptor] = undefined
    this.#watched--
    if (this.#watched === 0) this.#sockets.leaveLoop()
    return true
  }

  /** An immediate that does not keep the loop from waiting runs whenever it has woken. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#turn).unref()
  }

  readonly #turn = (): void => {
    this.#isScheduled = false
    try {
      const until = performance.now() + LINGER_MS
      let isPassing = this.#round(0)
      while (isPassing && this.#readByNode === 0 && performance.now() < until) {
        isPassing = this.#round(LINGER_MS)
      }
    } finally {
      if (this.#watched > 0) this.#schedule()
    }
  }

  /** True when bytes came and all were passed on. */
  #round(ms: number): boolean {
    const count = this.#sockets.wait(ms)
    let isPassing = count > 0
    for (let index = 0; index < count; index++) {
      const taken = this.#readers[this.#sockets.readable(index)]?.onReadable()
      if (taken !== 'passed') isPassing = false
    }
    return isPassing
  }
}
