/**
 * GatewayServer: accepts clients and gives each its session.
 *
 * W1  One server connection per client connection; the startup packet is passed on as it came.
 * W2  After stop() no client comes in; sessions between transactions end at once, others when
 *     they are, all of them within the grace period.
 */
import { createServer, type Server } from 'node:net'
import { systemClock, sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { parseIdentMap, SAME_NAME, type IdentMap } from '../oltp/ident-map.ts'
import type { PostgresTarget } from '../oltp/target.ts'
import { errorResponse } from '../pgwire/backend-message.ts'
import { isCandidate } from '../router/candidate.ts'
import { ByteChannel } from './byte-channel.ts'
import { CancelKeys } from './cancel-keys.ts'
import { CancelRelay } from './cancel-relay.ts'
import { DecisionMemory } from './decision-memory.ts'
import { EngineLink } from './engine-link.ts'
import { GatewayMetrics, type TrafficTotals } from './gateway-metrics.ts'
import { Lobby, type Startup } from './lobby.ts'
import { dialPostgres } from './postgres-dialer.ts'
import { Session, type SessionShared } from './session.ts'
import { SocketPoller } from './socket-poller.ts'
import type { TlsFiles } from './tls-acceptor.ts'

export interface GatewayOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly target: PostgresTarget
  /** The engine's socket. */
  readonly linkPath: string
  readonly tls: TlsFiles | null
  readonly certificates: CertificateLogin
  /** Statements that take longer are logged; null: none. */
  readonly slowStatementMs: number | null
  /** `auto`: by system calls where the platform has them. */
  readonly socketIo: SocketIo
  readonly logger: Logger
}

export type SocketIo = 'auto' | 'node'

/** How the name in a client's certificate becomes a role. Counts only with a client CA. */
export interface CertificateLogin {
  /** Lines of pg_ident.conf, and the map that counts; null: role and name are the same. */
  readonly identLines: readonly string[]
  readonly identMap: string | null
  /** Where such a role is let in; null: the server asks for its password all the same. */
  readonly target: PostgresTarget | null
}

const KEEPALIVE_MS = 60_000
const BACKLOG = 1024
const MEMORY_ENTRIES_MAX = 1000
/** Costs move with the data: a statement is looked at again after this. */
const MEMORY_TTL_MS = 10_000
const REST_POLL_MS = 50
const FAREWELL_MS_MAX = 1000

export class GatewayServer {
  readonly metrics: GatewayMetrics
  readonly #options: GatewayOptions
  readonly #server: Server
  readonly #poller: SocketPoller | null
  readonly #link: EngineLink
  readonly #lobby: Lobby
  readonly #identMap: IdentMap
  readonly #cancelKeys = new CancelKeys()
  readonly #cancelRelay: CancelRelay
  readonly #shared: SessionShared
  readonly #sessions = new Set<Session>()
  #closedBytesFromClients = 0
  #closedBytesFromServer = 0
  #isStopping = false

  /** Throws 'usage' when a certificate cannot be used. */
  constructor(options: GatewayOptions) {
    this.#options = options
    const { logger, linkPath, target, tls, certificates } = options
    this.metrics = new GatewayMetrics(() => this.#totals())
    const poller = options.socketIo === 'node' ? null : SocketPoller.ofProcess()
    this.#poller = poller
    this.#link = new EngineLink({ path: linkPath, clock: systemClock, logger, poller })
    this.#cancelRelay = new CancelRelay({ keys: this.#cancelKeys, link: this.#link, target })
    this.#identMap = certificates.identMap === null ? SAME_NAME
      : parseIdentMap(certificates.identLines, certificates.identMap)
    this.#lobby = new Lobby({
      tls, onStartup: (startup) => void this.#open(startup),
      onCancel: (key, socket) => {
        this.metrics.connection('cancel')
        void this.#cancelRelay.relay(key, socket)
      },
      onGone: () => this.metrics.connection('gone'),
    })
    this.#shared = {
      link: this.#link, cancelKeys: this.#cancelKeys, isCandidate,
      memory: new DecisionMemory({ clock: systemClock, entriesMax: MEMORY_ENTRIES_MAX,
        ttlMs: MEMORY_TTL_MS }),
      slowStatementMs: options.slowStatementMs,
      onAnswered: (route, ms) => this.metrics.answered(route, ms),
      onSlow: (statement, route, ms) =>
        logger.warn({ ...statement, route, ms: Math.round(ms) }, 'slow statement'),
      onError: (sqlState) => this.metrics.error(sqlState),
      onClosed: (session) => this.#onSessionClosed(session),
      onFault: (error) => logger.error({ err: error }, 'a session failed'),
    }
    this.#server = createServer({
      allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS,
    }, (socket) => this.#lobby.admit(socket))
  }

  /** What `auto` came to. */
  get socketIo(): 'system calls' | 'node' { return this.#poller === null ? 'node' : 'system calls' }

  /** Connections that stand keep what they have. Throws 'usage', and nothing has changed. */
  reloadCertificates(): void { this.#lobby.reloadCertificates() }

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
    this.#lobby.close()
    const deadline = systemClock.now() + graceMs
    while (this.#sessions.size > 0 && systemClock.now() < deadline) {
      for (const session of this.#sessions) if (session.isAtRest) session.terminate()
      await sleep(REST_POLL_MS)
    }
    for (const session of this.#sessions) session.terminate()
    // One whose server is in the middle of a message ends behind it, if that comes soon.
    const farewell = systemClock.now() + FAREWELL_MS_MAX
    while (this.#sessions.size > 0 && systemClock.now() < farewell) await sleep(REST_POLL_MS)
    this.#link.close()
  }

  async #open(startup: Startup): Promise<void> {
    const { socket, packet, parameters } = startup
    const target = this.#targetFor(startup)
    if (target === null) {
      this.metrics.connection('refused')
      socket.write(certificateRefusal(parameters.get('user') ?? ''))
      socket.destroySoon()
      return
    }
    const dialled = await dialPostgres(target, this.#poller)
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
    const early = more === null ? startup.early : Buffer.concat([startup.early, more])
    this.metrics.connection('session')
    this.#sessions.add(new Session({
      client: ByteChannel.accepted(socket, this.#poller), server: dialled.channel,
      startupPacket: packet, isServerSecure: dialled.isSecure, parameters, early,
      shared: this.#shared,
    }))
  }

  /** PostgreSQL as the client may reach it; null: its certificate is another role's. */
  #targetFor({ commonName, parameters }: Startup): PostgresTarget | null {
    const { target, tls, certificates } = this.#options
    if ((tls?.clientCaFile ?? null) === null) return target
    const role = parameters.get('user') ?? ''
    if (commonName === null || !this.#identMap.mayBecome(commonName, role)) return null
    return certificates.target ?? target
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

function certificateRefusal(role: string): Buffer {
  return errorResponse({ severity: 'FATAL', sqlState: '28000',
    message: `certificate authentication failed for user "${role}"` })
}

/** What PostgreSQL says while it is not up. */
const UNREACHABLE = errorResponse({ severity: 'FATAL', sqlState: '57P03',
  message: 'the database system is not accepting connections',
  detail: 'PostgreSQL does not answer the gateway.' })
const SHUTTING_DOWN = errorResponse({ severity: 'FATAL', sqlState: '57P03',
  message: 'the database system is shutting down' })
