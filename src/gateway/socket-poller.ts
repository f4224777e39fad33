/**
 * SocketPoller: reads sockets as they become readable, in turns with Node's event loop.
 *
 * O1  Each turn is an immediate: all phases of Node's loop (timers, promises, its own sockets) lie
 *     between two turns. Every reader whose descriptor can be read is asked once in a round.
 * O2  As long as bytes come that are only passed on, it is the poller that waits, for them and for
 *     Node's loop together: a turn of the loop then serves many messages. It waits only when the
 *     loop's last turn had no event, for what an event began the loop must have polled once; for
 *     TURN_MS while bytes come, and for WAIT_MS_MAX when none do. So a timer may be that late.
 * O3  When none came it is Node's loop that waits, for its own and for the poller's descriptors.
 * O4  Node's loop is kept alive as long as something is watched.
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

/** What a round brought; `other`: Node's loop has something to do. */
type Round = 'nothing' | 'passed' | 'other'

const TURN_MS = 2
const WAIT_MS_MAX = 20

export class SocketPoller {
  readonly #sockets: SystemSockets
  /** By descriptor. */
  readonly #readers: (PolledReader | undefined)[] = []
  #watched = 0
  #waiter: 'loop' | 'poller' = 'loop'
  #loopEvents = 0
  #scheduled: NodeJS.Immediate | null = null

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
    if (this.#watched === 1) {
      this.#sockets.letLoopWait()
      this.#schedule()
    }
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

  #forget(descriptor: number, reader: PolledReader): boolean {
    if (this.#readers[descriptor] !== reader) return false
    this.#readers[descriptor] = undefined
    this.#watched--
    if (this.#watched === 0) this.#rest()
    return true
  }

  /** O4. Nothing is watched. */
  #rest(): void {
    if (this.#waiter === 'poller') this.#sockets.unwatchLoop()
    else this.#sockets.leaveLoop()
    this.#waiter = 'loop'
    if (this.#scheduled !== null) clearImmediate(this.#scheduled)
    this.#scheduled = null
  }

  /** O3: an immediate that does not keep the loop from waiting runs whenever it has woken. */
  #schedule(): void {
    if (this.#scheduled !== null) return
    this.#scheduled = setImmediate(this.#turn)
    if (this.#waiter === 'loop') this.#scheduled.unref()
  }

  readonly #turn = (): void => {
    this.#scheduled = null
    try {
      if (this.#waiter === 'poller') this.#waitTurn()
      else if (this.#round(0) === 'passed' && this.#watched > 0) this.#beginWaiting()
    } finally {
      if (this.#watched > 0) this.#schedule()
    }
  }

  /** O2. */
  #waitTurn(): void {
    const events = this.#sockets.loopEvents()
    const mayWait = events === this.#loopEvents
    this.#loopEvents = events
    let round = this.#round(0)
    if (round === 'nothing' && mayWait) round = this.#wait()
    if (round !== 'passed') return
    const until = performance.now() + TURN_MS
    while (round === 'passed' && this.#watched > 0 && performance.now() < until) {
      round = mayWait ? this.#wait() : this.#round(0)
    }
  }

  #wait(): Round {
    const round = this.#round(WAIT_MS_MAX)
    if (round === 'nothing' && this.#watched > 0) this.#endWaiting()
    return round
  }

  #beginWaiting(): void {
    if (this.#sockets.watchLoop()) this.#waiter = 'poller'
    else this.#sockets.letLoopWait()
  }

  /** O3. */
  #endWaiting(): void {
    this.#sockets.unwatchLoop()
    this.#sockets.letLoopWait()
    this.#waiter = 'loop'
  }

  #round(ms: number): Round {
    const count = this.#sockets.wait(ms)
    let round: Round = count > 0 ? 'passed' : 'nothing'
    for (let index = 0; index < count; index++) {
      const descriptor = this.#sockets.readable(index)
      const taken = this.#sockets.isLoop(descriptor) ? 'taken'
        : this.#readers[descriptor]?.onReadable()
      if (taken !== 'passed') round = 'other'
    }
    return round
  }
}
