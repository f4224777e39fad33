/**
 * TlsAcceptor: makes TLS of a client's connection.
 *
 * A1  TLS 1.2 or newer.
 * A2  With a client CA, a client without a certificate that it signed is refused (28000).
 * A3  A connection that began with TLS must name the protocol `postgresql` (ALPN), so that
 *     nothing of another protocol can be led here.
 *
 * Source: PostgreSQL documentation, "SSL Session Encryption".
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { SlipwayError } from '../base/errors.ts'
import { errorResponse } from '../pgwire/backend-message.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly clientCaFile: string | null
}

const HANDSHAKE_MS_MAX = 30_000
const ALPN = 'postgresql'

export class TlsAcceptor {
  readonly #direct: Server
  readonly #negotiated: Server

  /** Throws 'usage' when a file cannot be read or is not what it must be. */
  constructor(files: TlsFiles, onSecure: (socket: Socket) => void) {
    this.#direct = this.#server(files, (socket) => {
      if (socket.alpnProtocol === ALPN) onSecure(socket)
      else socket.destroy()
    })
    this.#negotiated = this.#server(files, onSecure)
  }

  accept(socket: Socket, isDirect: boolean): void {
    const server = isDirect ? this.#direct : this.#negotiated
    server.emit('connection', socket)
  }

  #server(files: TlsFiles, onSecure: (socket: TLSSocket) => void): Server {
    const requestCert = files.clientCaFile !== null
    const server = makeServer(files, {
      minVersion: 'TLSv1.2', ALPNProtocols: [ALPN], handshakeTimeout: HANDSHAKE_MS_MAX,
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
  const cert = readNamed('--tls-cert', files.certFile)
  const key = readNamed('--tls-key', files.keyFile)
  const ca = files.clientCaFile === null ? {}
    : { ca: readNamed('--tls-client-ca', files.clientCaFile) }
  try {
    return createServer({ ...options, cert, key, ...ca })
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

function refuse(socket: TLSSocket): void {
  socket.on('error', () => {})
  socket.write(errorResponse({ severity: 'FATAL', sqlState: '28000',
    message: 'connection requires a valid client certificate' }))
  socket.destroySoon()
}
