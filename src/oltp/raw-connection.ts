/**
 * RawConnection: a server connection whose bytes we read ourselves.
 *
 * R1  `pg` makes the connection (TLS, SCRAM); once it is idle we take its socket. What `pg`
 *     hands out for COPY are views of a buffer that it writes over, and it cannot be paused.
 * R2  Nothing is read while paused, so the server waits: backpressure end to end.
 */
import type { Duplex } from 'node:stream'
import { Client, type ClientConfig } from 'pg'
import { SlipwayError } from '../base/errors.ts'
import { BackendFrames, type FrameHandler } from './backend-frames.ts'

/** Sessions that send values: text forms are the same for COPY and for replication. */
export const VALUE_SESSION_OPTIONS = [
  'datestyle=ISO', 'intervalstyle=postgres', 'timezone=UTC', 'extra_float_digits=1',
  'bytea_output=hex', 'lc_monetary=C', 'search_path=pg_catalog', 'statement_timeout=0',
  'idle_in_transaction_session_timeout=0',
].map((setting) => `-c ${setting}`).join(' ')

export interface RawHandlers {
  readonly onFrame: FrameHandler
  /** After the frames of one chunk. */
  readonly onChunk: (bytes: number) => void
  /** Once; null when the server closed the connection without a word. */
  readonly onClose: (error: Error | null) => void
}

/** Milliseconds until a server that does not close the connection is left. */
const GOODBYE_MAX_MS = 2_000

/** What of `pg`'s connection is used; its types leave it out. */
interface PgConnection {
  readonly stream: Duplex
}

export class RawConnection {
  readonly #stream: Duplex
  #closed = false

  private constructor(stream: Duplex) {
    this.#stream = stream
  }

  /** Takes over an idle client; `client` must not be used afterwards. */
  static take(client: Client, handlers: RawHandlers): RawConnection {
    const { stream } = (client as unknown as { readonly connection: PgConnection }).connection
    client.on('error', () => {})
    stream.removeAllListeners('data')
    const raw = new RawConnection(stream)
    const frames = new BackendFrames()
    stream.on('data', (chunk: Buffer) => {
      if (raw.#closed) return
      try {
        frames.push(chunk, handlers.onFrame)
        handlers.onChunk(chunk.length)
      } catch (error) {
        raw.#close(handlers, error instanceof Error ? error : new Error('frame handler failed'))
      }
    })
    stream.once('error', (error: Error) => { raw.#close(handlers, error) })
    stream.once('close', () => { raw.#close(handlers, null) })
    return raw
  }

  get closed(): boolean {
    return this.#closed
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    if (!this.#closed) this.#stream.resume()
  }

  /** A simple Query. */
  query(sql: string): void {
    this.send('Q', Buffer.from(`${sql}\0`))
  }

  send(kind: string, body: Buffer): void {
    if (this.#closed || !this.#stream.writable) return
    const header = Buffer.allocUnsafe(5)
    header.write(kind, 0, 'latin1')
    header.writeUInt32BE(body.length + 4, 1)
    this.#stream.write(Buffer.concat([header, body]))
  }

  /** Says goodbye and closes; handlers hear nothing any more. */
  end(): void {
    if (this.#closed) return
    this.send('X', Buffer.alloc(0))
    this.#closed = true
    // What was sent must arrive (a last status may be among it), so the server closes first.
    this.#stream.end()
    this.#stream.resume()
    const timer = setTimeout(() => { this.#stream.destroy() }, GOODBYE_MAX_MS)
    this.#stream.once('close', () => { clearTimeout(timer) })
  }

  #close(handlers: RawHandlers, error: Error | null): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.destroy()
    handlers.onClose(error)
  }
}

/** Connects for taking over. Throws 'postgres-unreachable'. */
export async function connectRaw(config: ClientConfig & { readonly replication?: string },
): Promise<Client> {
  const client = new Client({ ...config, options: VALUE_SESSION_OPTIONS })
  client.on('error', () => {})
  await connectOrExplain(client)
  return client
}

/** Throws 'postgres-unreachable' with PostgreSQL's own reason. */
export async function connectOrExplain(client: Client): Promise<void> {
  try {
    await client.connect()
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown reason'
    throw new SlipwayError('postgres-unreachable', `cannot connect to PostgreSQL: ${reason}`,
      { cause: error })
  }
}

/** An ErrorResponse: SQLSTATE and message; its detail may hold values and is left out. */
export class ServerError extends Error {
  override readonly name = 'ServerError'
  readonly sqlState: string

  constructor(buffer: Buffer, start: number, end: number) {
    const fields = new Map<string, string>()
    let at = start
    while (at < end && buffer[at] !== 0) {
      const zero = buffer.indexOf(0, at + 1)
      if (zero < 0 || zero >= end) break
      fields.set(String.fromCharCode(buffer[at] as number), buffer.toString('utf8', at + 1, zero))
      at = zero + 1
    }
    super(fields.get('M') ?? 'unknown error')
    this.sqlState = fields.get('C') ?? 'XX000'
  }
}
