/**
 * TlsAcceptor: makes TLS of a client's connection.
 *
 * A1  TLS 1.2 or newer.
 * A2  With a client CA, a client without a certificate that it signed is refused (28000).
 * A3  A connection that began with TLS must name the protocol `postgresql` (ALPN), so that
 *     nothing of another protocol can be led here.
 * A4  `reload` reads the files again; connections that stand keep what they have.
 *
 * Source: PostgreSQL documentation, "SSL Session Encryption".
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import {
  createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket,
} from 'node:tls'
import { SlipwayError } from '../base/errors.ts'
import { errorResponse } from '../pgwire/backend-message.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly clientCaFile: string | null
  /** Nobody may come in without TLS. */
  readonly isRequired: boolean
}

/** A client's connection once TLS stands. */
export interface SecureClient {
  readonly socket: Socket
  /** Of its verified certificate; null when none was asked for, or it has no such name. */
  readonly commonName: string | null
}

const HANDSHAKE_MS_MAX = 30_000
const ALPN = 'postgresql'

export class TlsAcceptor {
  readonly #files: TlsFiles
  readonly #direct: Server
  readonly #negotiated: Server

  /** Throws 'usage' when a file cannot be read or is not what it must be. */
  constructor(files: TlsFiles, onSecure: (client: SecureClient) => void) {
    this.#files = files
    const secure = (socket: TLSSocket): void =>
      onSecure({ socket, commonName: files.clientCaFile === null ? null : commonNameOf(socket) })
    this.#direct = this.#server(files, (socket) => {
      if (socket.alpnProtocol === ALPN) secure(socket)
      else socket.destroy()
    })
    this.#negotiated = this.#server(files, secure)
  }

  /** A4. Throws 'usage', and nothing has changed. */
  reload(): void {
    const context = readContext(this.#files)
    // Both or none: what one takes the other takes.
    this.#direct.setSecureContext(context)
    this.#negotiated.setSecureContext(context)
  }

  accept(socket: Socket, isDirect: boolean): void {
    const server = isDirect ? this.#direct : this.#negotiated
    server.emit('connection', socket)
  }

  #server(files: TlsFiles, onSecure: (socket: TLSSocket) => void): Server {
    const requestCert = files.clientCaFile !== null
    const server = makeServer(files, {
      ALPNProtocols: [ALPN], handshakeTimeout: HANDSHAKE_MS_MAX,
      requestCert, rejectUnauthorized: false,
    })
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    server.on('secureConnection', (socket) => {
      if (requestCert && !socket.authorized) refuse(socket)
      else onSecure(socket)
    })
    return server
  }
}

function makeServer(files: TlsFiles, options: Parameters<typeof createServer>[0]): Server {
  return createServer({ ...options, ...readContext(files) })
}

function readContext(files: TlsFiles): SecureContextOptions {
  const cert = readNamed('--tls-cert', files.certFile)
  const key = readNamed('--tls-key', files.keyFile)
  const ca = files.clientCaFile === null ? {}
    : { ca: readNamed('--tls-client-ca', files.clientCaFile) }
  const context: SecureContextOptions = { minVersion: 'TLSv1.2', cert, key, ...ca }
  try {
    createSecureContext(context)
    return context
  } catch (error) {
    throw new SlipwayError('usage',
      `${files.certFile} and ${files.keyFile} are not a certificate and its key`,
      { hint: 'Give --tls-cert and --tls-key PEM files that belong together.', cause: error })
  }
}

function readNamed(option: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new SlipwayError('usage', `${option} ${path} cannot be read (${code})`,
      { hint: `Give ${option} a file that this user may read.`, cause: error })
  }
}

function commonNameOf(socket: TLSSocket): string | null {
  // A certificate may have several; PostgreSQL takes the last, and none is the safer answer.
  const name: unknown = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' ? name : null
}

function refuse(socket: TLSSocket): void {
  socket.on('error', () => {})
  socket.write(errorResponse({ severity: 'FATAL', sqlState: '28000',
    message: 'connection requires a valid client certificate' }))
  socket.destroySoon()
}
