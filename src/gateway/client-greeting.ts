/**
 * ClientGreeting: a new connection up to its startup packet.
 *
 * G1  Nothing is sent to PostgreSQL before a whole startup packet is there, so that silent or
 *     talkative strangers cost PostgreSQL nothing.
 * G2  A stranger holds at most STARTUP_BYTES_MAX and one chunk, until `until`.
 * G3  Garbage ends the connection without a word, as PostgreSQL ends it.
 * G4  Bytes that came in clear behind an SSLRequest are never taken for the client's own
 *     (CVE-2021-23214).
 * G5  Each kind of encryption is asked for once, as PostgreSQL has it: a second request is a
 *     protocol that nobody speaks.
 */
import type { Socket } from 'node:net'
import { systemClock } from '../base/clock.ts'
import { errorResponse } from '../pgwire/backend-message.ts'
import {
  parseStartupPacket, startupLength, type StartupPacket,
} from '../pgwire/startup-packet.ts'

export type Greeting =
  | { readonly kind: 'startup'; readonly socket: Socket; readonly packet: Buffer
      readonly parameters: ReadonlyMap<string, string>
      /** Bytes behind the packet. */
      readonly early: Buffer }
  | { readonly kind: 'cancel'; readonly socket: Socket; readonly key: Buffer }
  /** TLS begins with the next byte. `isDirect`: without an SSLRequest (PostgreSQL 17). */
  | { readonly kind: 'tls'; readonly socket: Socket; readonly isDirect: boolean }

export interface GreetingOptions {
  /** `secure`: TLS stands already. */
  readonly tls: 'offered' | 'unavailable' | 'secure'
  /** When its time is over, in milliseconds since 1970. */
  readonly until: number
  /** Called at most once; the socket has no listener of the greeting's any more. */
  readonly onGreeting: (greeting: Greeting) => void
  readonly onGone: () => void
}

const TLS_HANDSHAKE = 0x16
const YES = Buffer.from('S')
const NO = Buffer.from('N')
const NOTHING: Buffer = Buffer.alloc(0)

export class ClientGreeting {
  readonly #options: GreetingOptions
  readonly #timer: NodeJS.Timeout
  readonly #socket: Socket
  #bytes = NOTHING
  /** What was asked for and refused; over TLS nothing more can be asked for. */
  readonly #asked: Set<'ssl' | 'gssenc'>
  #isOver = false

  constructor(socket: Socket, options: GreetingOptions) {
    this.#options = options
    this.#socket = socket
    this.#asked = new Set(options.tls === 'secure' ? ['ssl', 'gssenc'] : [])
    this.#timer = setTimeout(() => this.#end(), Math.max(0, options.until - systemClock.now()))
    this.#listen(socket)
  }

  /** The gateway stops, or nobody may come in any more. */
  close(): void { this.#end() }

  #listen(socket: Socket): void {
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onEnd)
    socket.on('error', this.#onEnd)
  }

  #unlisten(): void {
    this.#socket.off('data', this.#onData)
    this.#socket.off('end', this.#onEnd)
    this.#socket.off('close', this.#onEnd)
    // 'error' keeps its listener until the socket's next owner has one.
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isOver) return
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    try {
      this.#read()
    } catch {
      this.#end()
    }
  }

  readonly #onEnd = (): void => { this.#end() }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#socket.destroy()
    this.#options.onGone()
  }

  #read(): void {
    if (this.#bytes[0] === TLS_HANDSHAKE && this.#options.tls === 'offered') {
      this.#hand({ kind: 'tls', socket: this.#socket, isDirect: true }, this.#bytes)
      return
    }
    const length = startupLength(this.#bytes)
    if (length === null || this.#bytes.length < length) return
    const packet = this.#bytes.subarray(0, length)
    const rest = this.#bytes.subarray(length)
    this.#onPacket(packet, rest, parseStartupPacket(packet))
  }

  #onPacket(packet: Buffer, rest: Buffer, parsed: StartupPacket): void {
    switch (parsed.kind) {
      case 'ssl':
        if (rest.length > 0) throw new Error('unencrypted data after the SSL request')
        if (!this.#ask(packet, 'ssl')) return
        if (this.#options.tls !== 'offered') {
          this.#socket.write(NO)
          return
        }
        this.#socket.write(YES)
        this.#hand({ kind: 'tls', socket: this.#socket, isDirect: false })
        return
      case 'gssenc':
        if (rest.length > 0) throw new Error('unencrypted data after the GSSAPI request')
        if (!this.#ask(packet, 'gssenc')) return
        this.#socket.write(NO)
        return
      case 'cancel':
        this.#hand({ kind: 'cancel', socket: this.#socket, key: parsed.key })
        return
      case 'startup':
        this.#hand({ kind: 'startup', socket: this.#socket, packet: Buffer.from(packet),
          parameters: parsed.parameters, early: Buffer.from(rest) })
    }
  }

  /** G5. False: the connection has ended. */
  #ask(packet: Buffer, what: 'ssl' | 'gssenc'): boolean {
    this.#bytes = NOTHING
    if (!this.#asked.has(what)) {
      this.#asked.add(what)
      return true
    }
    const [major, minor] = [packet.readUInt16BE(4), packet.readUInt16BE(6)]
    this.#socket.write(errorResponse({ severity: 'FATAL', sqlState: '0A000',
      message: `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.2` }))
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#socket.destroySoon()
    this.#options.onGone()
    return false
  }

  /** `unread`: what the next owner shall read again. */
  #hand(greeting: Greeting, unread = NOTHING): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#socket.pause()
    this.#unlisten()
    if (unread.length > 0) this.#socket.unshift(unread)
    this.#options.onGreeting(greeting)
  }
}
