/**
 * EngineLink: a gateway process's way to the engine.
 *
 * E1  One connection carries one statement; idle ones are kept for the next.
 * E2  An engine that does not answer costs at most one statement ANSWER_MS_MAX: until
 *     RETRY_MS later `isAvailable` says no, and statements stay in PostgreSQL.
 * E3  A statement ends with exactly one call of `onFinal`, unless it was cancelled.
 */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { FrameAssembler } from '../pgwire/frame-assembler.ts'
import { ByteChannel } from './byte-channel.ts'
import {
  decodeFromEngine, encodeLinkFrame, LINK_FRAME_BYTES_MAX,
  type FromEngine, type LinkRequest, type ToEngine,
} from './link-protocol.ts'
import type { SocketPoller, Taken } from './socket-poller.ts'

export type LinkFinal =
  | Exclude<FromEngine, { readonly kind: 'accepted' | 'rows' }>
  /** The engine is down, or went away before its final message. */
  | { readonly kind: 'lost' }

export interface LinkListener {
  /** Whole DataRow messages: a view. False: stop until `resume`. */
  onRows(bytes: Buffer): boolean
  onFinal(final: LinkFinal): void
}

export interface LinkStatement {
  /** Stops the statement; the listener hears no more. */
  cancel(): void
  resume(): void
}

const IDLE_CONNECTIONS_MAX = 16
/** For the engine to say whether it takes a statement. It decides without waiting. */
const ANSWER_MS_MAX = 3000
/** To say whether it runs what is to be cancelled: then PostgreSQL hears of it. */
const CANCEL_ANSWER_MS_MAX = 300
const RETRY_MS = 500

export class EngineLink {
  readonly #path: string
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #poller: SocketPoller | null
  readonly #idle: LinkConnection[] = []
  #downUntil = 0
  /** Said so in the log, and not heard of it since. */
  #isDown = false

  constructor(options: {
    readonly path: string
    readonly clock: Clock
    readonly logger: Logger
    readonly poller: SocketPoller | null
  }) {
    this.#path = options.path
    this.#clock = options.clock
    this.#logger = options.logger
    this.#poller = options.poller
  }

  get isAvailable(): boolean { return this.#downUntil <= this.#clock.now() }

  start(request: LinkRequest, listener: LinkListener): LinkStatement {
    return this.#send({ kind: 'run', request }, listener)
  }

  /** Resolves to whether the engine ran a statement of the session with this key. */
  cancel(key: string): Promise<boolean> {
    if (!this.isAvailable) return Promise.resolve(false)
    return new Promise((resolve) => {
      this.#send({ kind: 'cancel', key }, {
        onRows: () => true,
        onFinal: (final) => resolve(final.kind === 'cancelled' && final.found),
      }, CANCEL_ANSWER_MS_MAX)
    })
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy()
  }

  #send(
    message: ToEngine, listener: LinkListener, answerMsMax = ANSWER_MS_MAX,
  ): LinkStatement {
    const statement = new RunningStatement(listener, answerMsMax, {
      onHeard: () => {
        if (this.#isDown) this.#logger.info('the engine answers again')
        this.#isDown = false
      },
      onReusable: (connection) => this.#keep(connection),
      onLost: (heard) => this.#onLost(heard),
    })
    const idle = this.#takeIdle()
    if (idle !== null) statement.begin(idle, message)
    else void this.#connect(statement, message)
    return statement
  }

  async #connect(statement: RunningStatement, message: ToEngine): Promise<void> {
    try {
      const channel = await ByteChannel.connected({ path: this.#path }, this.#poller)
      statement.begin(new LinkConnection(channel), message)
    } catch {
      statement.lost()
    }
  }

  #takeIdle(): LinkConnection | null {
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) return null
      if (!connection.isClosed) return connection
    }
  }

  #keep(connection: LinkConnection): void {
    if (this.#idle.length < IDLE_CONNECTIONS_MAX) this.#idle.push(connection)
    else connection.destroy()
  }

  /** One that spoke and then broke off may be a statement's own misfortune. */
  #onLost(heard: boolean): void {
    if (heard) return
    if (!this.#isDown) this.#logger.warn('the engine does not answer; PostgreSQL does')
    this.#isDown = true
    this.#downUntil = this.#clock.now() + RETRY_MS
  }
}

/** One connection, and whoever listens to it now. */
class LinkConnection {
  readonly channel: ByteChannel
  readonly frames = new FrameAssembler({ bytesMax: LINK_FRAME_BYTES_MAX })
  statement: RunningStatement | null = null

  constructor(channel: ByteChannel) {
    this.channel = channel
    channel.handler = {
      onBytes: (chunk) => this.statement?.onBytes(chunk) ?? 'full',
      onEnd: () => channel.destroy(),
      onDrain: () => {},
      onClose: () => this.statement?.lost(),
    }
    channel.resume()
  }

  get isClosed(): boolean { return this.channel.isClosed }

  destroy(): void {
    this.statement = null
    this.channel.destroy()
  }
}

interface StatementOwner {
  readonly onHeard: () => void
  readonly onReusable: (connection: LinkConnection) => void
  /** `heard`: the engine had said something before. */
  readonly onLost: (heard: boolean) => void
}

class RunningStatement implements LinkStatement {
  readonly #listener: LinkListener
  readonly #owner: StatementOwner
  readonly #timer: NodeJS.Timeout
  #connection: LinkConnection | null = null
  #heard = false
  #ended = false
  /** The listener still holds views of the connection's buffer. */
  #paused = false

  constructor(listener: LinkListener, answerMsMax: number, owner: StatementOwner) {
    this.#listener = listener
    this.#owner = owner
    this.#timer = setTimeout(() => this.lost(), answerMsMax)
  }

  begin(connection: LinkConnection, message: ToEngine): void {
    if (this.#ended) {
      this.#owner.onReusable(connection)
      return
    }
    this.#connection = connection
    connection.statement = this
    connection.channel.write(encodeLinkFrame(message))
    connection.channel.resume()
  }

  cancel(): void {
    if (!this.#end()) return
    // Half an answer may be on its way: this connection cannot carry another statement.
    this.#connection?.destroy()
  }

  resume(): void {
    this.#paused = false
    if (!this.#ended) this.#connection?.channel.resume()
  }

  onBytes(chunk: Buffer): Taken {
    const connection = this.#connection
    if (connection === null) return 'full'
    try {
      for (const frame of connection.frames.push(chunk)) {
        this.#onMessage(decodeFromEngine(frame), connection)
        if (this.#ended) break
      }
    } catch {
      this.lost()
    }
    return this.#paused ? 'full' : 'taken'
  }

  lost(): void {
    if (!this.#end()) return
    this.#connection?.destroy()
    this.#owner.onLost(this.#heard)
    this.#listener.onFinal({ kind: 'lost' })
  }

  #onMessage(message: FromEngine, connection: LinkConnection): void {
    clearTimeout(this.#timer)
    if (!this.#heard) this.#owner.onHeard()
    this.#heard = true
    switch (message.kind) {
      case 'accepted': return
      case 'rows':
        if (!this.#listener.onRows(message.bytes)) this.#paused = true
        return
      default:
        this.#end()
        connection.statement = null
        // The next statement would read into a buffer that a slow client is still sent from.
        if (this.#paused) connection.destroy()
        else this.#owner.onReusable(connection)
        this.#listener.onFinal(message)
    }
  }

  /** False when it had ended before. */
  #end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    clearTimeout(this.#timer)
    return true
  }
}
