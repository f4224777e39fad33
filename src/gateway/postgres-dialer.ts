/**
 * PostgresDialer: opens the server's side of a session.
 *
 * D1  A failure is a value: the client is told 57P03, as by a PostgreSQL that is not up.
 */
import { connect as connectTls } from 'node:tls'
import { isIP, Socket, type NetConnectOpts } from 'node:net'
import {
  socketPath, tlsOptions, type PostgresTarget, type TargetTlsOptions,
} from '../oltp/target.ts'
import { sslRequest } from '../pgwire/startup-packet.ts'
import { ByteChannel } from './byte-channel.ts'
import type { SocketPoller } from './socket-poller.ts'

export type DialResult =
  | { readonly kind: 'connected'; readonly channel: ByteChannel
      readonly isSecure: boolean }
  | { readonly kind: 'unreachable'; readonly code: string }

const CONNECT_MS_MAX = 30_000
const KEEPALIVE_MS = 60_000
const SSL_YES = 0x53

export async function dialPostgres(
  target: PostgresTarget, poller: SocketPoller | null,
): Promise<DialResult> {
  try {
    const tls = target.kind === 'tcp' ? tlsOptions(target.tls) : null
    if (target.kind === 'socket' || tls === null) {
      const channel = await ByteChannel.connected(addressOf(target), poller)
      return { kind: 'connected', channel, isSecure: false }
    }
    const secure = await dialTls(target.host, target.port, tls)
    return { kind: 'connected', channel: ByteChannel.overStream(secure), isSecure: true }
  } catch (error) {
    return { kind: 'unreachable', code: (error as NodeJS.ErrnoException).code ?? 'unknown' }
  }
}

function addressOf(target: PostgresTarget): NetConnectOpts {
  return target.kind === 'socket'
    ? { path: socketPath(target) }
    : { host: target.host, port: target.port, keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_MS }
}

async function dialTls(
  host: string, port: number, options: TargetTlsOptions,
): Promise<Socket> {
  const socket = new Socket()
  try {
    await within(CONNECT_MS_MAX, (done, fail) => {
      socket.once('error', fail)
      socket.once('close', () => fail(new Error('closed')))
      socket.connect({ host, port, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS }, () => {
        socket.write(sslRequest())
      })
      socket.once('data', (answer: Buffer) => {
        socket.pause()
        if (answer.length === 1 && answer[0] === SSL_YES) done()
        else fail(new Error('the server does not speak TLS'))
      })
    })
    // An address is no name (RFC 6066): then the certificate is checked against `host`.
    const secure = connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}),
      ALPNProtocols: ['postgresql'], minVersion: 'TLSv1.2', ...options })
    secure.on('error', () => {})
    await within(CONNECT_MS_MAX, (done, fail) => {
      secure.once('secureConnect', done)
      secure.once('error', fail)
      secure.once('close', () => fail(new Error('closed')))
    })
    return secure
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function within(
  ms: number, begin: (done: () => void, fail: (error: Error) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('timed out')), ms)
    const settle = (end: () => void): void => {
      clearTimeout(timer)
      end()
    }
    begin(() => settle(resolve), (error) => settle(() => reject(error)))
  })
}
