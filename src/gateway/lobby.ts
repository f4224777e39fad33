/**
 * Lobby: clients from their first byte to a whole startup packet, over TLS where there is any.
 *
 * L1  The whole way takes GREETING_MS_MAX at most; from the startup packet on PostgreSQL's own
 *     authentication_timeout counts.
 * L2  STRANGERS_MAX wait at most: of more, whoever waits longest goes.
 * L3  Where TLS is required nobody comes in without, but for a cancel, which has no secret but
 *     its key and is sent in clear by most clients.
 */
import type { Socket } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { errorResponse } from '../pgwire/backend-message.ts'
import { ClientGreeting, type Greeting, type GreetingOptions } from './client-greeting.ts'
import { TlsAcceptor, type SecureClient, type TlsFiles } from './tls-acceptor.ts'

export type Startup = Extract<Greeting, { readonly kind: 'startup' }> & {
  /** Of the client's verified certificate. */
  readonly commonName: string | null
}

export interface LobbyOptions {
  readonly tls: TlsFiles | null
  readonly onStartup: (startup: Startup) => void
  readonly onCancel: (key: Buffer, socket: Socket) => void
  readonly onGone: () => void
}

/** PostgreSQL's authentication_timeout. */
const GREETING_MS_MAX = 60_000
const STRANGERS_MAX = 4096

export class Lobby {
  readonly #options: LobbyOptions
  readonly #tls: TlsAcceptor | null
  readonly #greetings = new Set<ClientGreeting>()
  /** Connections in a TLS handshake by where they come from, and when their time is over. */
  readonly #handshakes = new Map<string, { readonly socket: Socket; readonly until: number }>()

  /** Throws 'usage' when a certificate cannot be used. */
  constructor(options: LobbyOptions) {
    this.#options = options
    this.#tls = options.tls === null ? null
      : new TlsAcceptor(options.tls, (client) => this.#onSecure(client))
  }

  admit(socket: Socket): void {
    const tls = this.#tls === null ? 'unavailable' : 'offered'
    this.#greet({ socket, commonName: null }, tls, systemClock.now() + GREETING_MS_MAX)
    if (this.#greetings.size <= STRANGERS_MAX) return
    for (const oldest of this.#greetings) {
      oldest.close()
      break
    }
  }

  /** Throws 'usage' when a certificate cannot be used; the old one then goes on. */
  reloadCertificates(): void { this.#tls?.reload() }

  close(): void {
    for (const greeting of this.#greetings) greeting.close()
    for (const { socket } of this.#handshakes.values()) socket.destroy()
  }

  #greet(client: SecureClient, tls: GreetingOptions['tls'], until: number): void {
    const greeting = new ClientGreeting(client.socket, {
      tls, until,
      onGreeting: (greeted) => {
        this.#greetings.delete(greeting)
        this.#onGreeting(greeted, client.commonName, { tls, until })
      },
      onGone: () => {
        this.#greetings.delete(greeting)
        this.#options.onGone()
      },
    })
    this.#greetings.add(greeting)
  }

  #onGreeting(
    greeting: Greeting, commonName: string | null,
    { tls, until }: Pick<GreetingOptions, 'tls' | 'until'>,
  ): void {
    const { socket } = greeting
    switch (greeting.kind) {
      case 'tls': {
        const origin = originOf(socket)
        this.#handshakes.set(origin, { socket, until })
        socket.once('close', () => {
          if (this.#handshakes.get(origin)?.socket === socket) this.#handshakes.delete(origin)
        })
        this.#tls?.accept(socket, greeting.isDirect)
        return
      }
      case 'cancel':
        this.#options.onCancel(greeting.key, socket)
        return
      case 'startup':
        if (tls !== 'secure' && this.#options.tls?.isRequired === true) {
          this.#options.onGone()
          socket.write(refusal(greeting))
          socket.destroySoon()
        } else {
          this.#options.onStartup({ ...greeting, commonName })
        }
    }
  }

  #onSecure(client: SecureClient): void {
    const origin = originOf(client.socket)
    const until = this.#handshakes.get(origin)?.until ?? systemClock.now()
    this.#handshakes.delete(origin)
    this.#greet(client, 'secure', until)
  }
}

/** Names a live connection: TLS hands on another socket than it was given. */
function originOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`
}

/** In PostgreSQL's words: no line of pg_hba.conf lets it in. */
function refusal({ socket, parameters }: Extract<Greeting, { readonly kind: 'startup' }>): Buffer {
  const user = parameters.get('user') ?? ''
  return errorResponse({ severity: 'FATAL', sqlState: '28000',
    message: `no pg_hba.conf entry for host "${socket.remoteAddress ?? ''}", user "${user}", `
      + `database "${parameters.get('database') ?? user}", no encryption` })
}
