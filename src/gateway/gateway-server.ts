/**
 * GatewayServer: accepts clients and gives each its session.
 *
 * W1  One server connection per client connection; the startup packet is passed on as it came.
 * W2  After stop() no client comes in; sessions between transactions end at once, others when
 *     they are, all of them within the grace period.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { systemClock, sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { PostgresTarget } from '../oltp/target.ts'
import { errorResponse } from '../pgwire/backend-message.ts'
import { isCandidate } from '../router/candidate.ts'
import { ByteChannel } from './byte-channel.ts'
import { CancelKeys } from './cancel-keys.ts'
import { CancelRelay } from './cancel-relay.ts'
import { ClientGreeting, type Greeting, type GreetingOptions } from './client-greeting.ts'
import { DecisionMemory } from './decision-memory.ts'
import { EngineLink } from './engine-link.ts'
import { GatewayMetrics, type TrafficTotals } from './gateway-metrics.ts'
import { dialPostgres } from './postgres-dialer.ts'
import { Session, type SessionShared } from './session.ts'
import { TlsAcceptor, type TlsFiles } from './tls-acceptor.ts'

export interface GatewayOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly target: PostgresTarget
  /** The engine's socket. */
  readonly linkPath: string
  readonly tls: TlsFiles | null
  readonly logger: Logger
}

const KEEPALIVE_MS = 60_000
const BACKLOG = 1024
const MEMORY_ENTRIES_MAX = 1000
/** Costs move with the data: a statement is looked at again after this. */
const MEMORY_TTL_MS = 10_000
const REST_POLL_MS = 50

export class GatewayServer {
  readonly metrics: GatewayMetrics
  readonly #options: GatewayOptions
  readonly #server: Server
  readonly #link: EngineLink
  readonly #tls: TlsAcceptor | null
  readonly #cancelKeys = new CancelKeys()
  readonly #cancelRelay: CancelRelay
  readonly #shared: SessionShared
  readonly #greetings = new Set<ClientGreeting>()
  readonly #sessions = new Set<Session>()
  #closedBytesFromClients = 0
  #closedBytesFromServer = 0
  #isStopping = false

  /** Throws 'usage' when a certificate cannot be used. */
  constructor(options: GatewayOptions) {
    this.#options = options
    const { logger, linkPath, target, tls } = options
    this.metrics = new GatewayMetrics(() => this.#totals())
    this.#link = new EngineLink({ path: linkPath, clock: systemClock, logger })
    this.#cancelRelay = new CancelRelay({ keys: this.#cancelKeys, link: this.#link, target })
    this.#tls = tls === null ? null
      : new TlsAcceptor(tls, (socket) => this.#greet(socket, 'secure'))
    this.#shared = {
      link: this.#link, cancelKeys: this.#cancelKeys, isCandidate,
      memory: new DecisionMemory({ clock: systemClock, entriesMax: MEMORY_ENTRIES_MAX,
        ttlMs: MEMORY_TTL_MS }),
      onRouted: (route) => this.metrics.routed(route),
      onClosed: (session) => this.#onSessionClosed(session),
      onFault: (error) => logger.error({ err: error }, 'a session failed'),
    }
    this.#server = createServer({
      allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS,
    }, (socket) => this.#greet(socket, this.#tls === null ? 'unavailable' : 'offered'))
  }

  /** Resolves to the bound port. Throws 'port-taken'. */
  async listen(): Promise<number> {
    const { host, port } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(
        new SlipwayError(error.code === 'EADDRINUSE' ? 'port-taken' : 'usage',
          `cannot listen on ${host}:${port} (${error.code ?? 'unknown error'})`, { cause: error })))
      this.#server.listen({ host, port, backlog: BACKLOG }, resolve)
    })
    this.#server.on('error', (error) => {
      this.#options.logger.error({ code: (error as NodeJS.ErrnoException).code }, 'accept failed')
    })
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : port
  }

  /** Resolves when every session has ended, at the latest after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true
    this.#server.close()
    for (const greeting of this.#greetings) greeting.close()
    const deadline = systemClock.now() + graceMs
    while (this.#sessions.size > 0 && systemClock.now() < deadline) {
      for (const session of this.#sessions) if (session.isAtRest) session.terminate()
      await sleep(REST_POLL_MS)
    }
    for (const session of this.#sessions) session.terminate()
    this.#link.close()
  }

  #greet(socket: Socket, tls: GreetingOptions['tls']): void {
    if (this.#isStopping) {
      socket.destroy()
      return
    }
    const greeting = new ClientGreeting(socket, {
      tls,
      onGreeting: (greeted) => {
        this.#greetings.delete(greeting)
        this.#onGreeting(greeted)
      },
      onGone: () => {
        this.#greetings.delete(greeting)
        this.metrics.connection('gone')
      },
    })
    this.#greetings.add(greeting)
  }

  #onGreeting(greeting: Greeting): void {
    switch (greeting.kind) {
      case 'tls':
        this.#tls?.accept(greeting.socket, greeting.isDirect)
        return
      case 'cancel':
        this.metrics.connection('cancel')
        void this.#cancelRelay.relay(greeting.key, greeting.socket)
        return
      case 'startup':
        void this.#open(greeting)
    }
  }

  async #open(greeting: Extract<Greeting, { readonly kind: 'startup' }>): Promise<void> {
    const { socket, packet, parameters } = greeting
    const dialled = await dialPostgres(this.#options.target)
    if (dialled.kind === 'unreachable' || this.#isStopping) {
      this.metrics.connection('unreachable')
      if (dialled.kind === 'connected') dialled.channel.destroy()
      else this.#options.logger.warn({ code: dialled.code }, 'PostgreSQL does not answer')
      socket.write(this.#isStopping ? SHUTTING_DOWN : UNREACHABLE)
      socket.destroySoon()
      return
    }
    if (socket.destroyed) {
      dialled.channel.destroy()
      return
    }
    // What came while PostgreSQL was dialled waits in the socket.
    const more = socket.read() as Buffer | null
    const early = more === null ? greeting.early : Buffer.concat([greeting.early, more])
    this.metrics.connection('session')
    this.#sessions.add(new Session({
      client: ByteChannel.accepted(socket), server: dialled.channel, startupPacket: packet,
      isServerSecure: dialled.isSecure, parameters, early, shared: this.#shared,
    }))
  }

  #onSessionClosed(session: Session): void {
    this.#sessions.delete(session)
    this.#closedBytesFromClients += session.bytesFromClient
    this.#closedBytesFromServer += session.bytesFromServer
  }

  #totals(): TrafficTotals {
    let bytesFromClients = this.#closedBytesFromClients
    let bytesFromServer = this.#closedBytesFromServer
    for (const session of this.#sessions) {
      bytesFromClients += session.bytesFromClient
      bytesFromServer += session.bytesFromServer
    }
    return { sessions: this.#sessions.size, bytesFromClients, bytesFromServer }
  }
}

/** What PostgreSQL says while it is not up. */
const UNREACHABLE = errorResponse({ severity: 'FATAL', sqlState: '57P03',
  message: 'the database system is not accepting connections',
  detail: 'PostgreSQL does not answer the gateway.' })
const SHUTTING_DOWN = errorResponse({ severity: 'FATAL', sqlState: '57P03',
  message: 'the database system is shutting down' })
