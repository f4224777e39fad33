/**
 * WalsenderStream: one START_REPLICATION, from its first message to its end.
 *
 * W1  Messages come in WAL order; the socket is paused while more than QUEUE_MAX_BYTES wait
 *     for the consumer.
 * W2  A status goes out at least every STATUS_EVERY_MS, also while paused, so that
 *     wal_sender_timeout never strikes a slow consumer.
 * W3  A status reports as flushed only what `confirm` was given.
 */
import type { Client } from 'pg'
import { Deferred } from '../base/deferred.ts'
import { maxLsn, formatLsn, type Lsn } from '../base/lsn.ts'
import type { ReplicationMessage } from '../mirror/replication.ts'
import { decodeWalsenderFrame, encodeStandbyStatus } from '../pgwire/pgoutput.ts'
import { RawConnection, ServerError } from './raw-connection.ts'
import { PUBLICATION } from './schema-sql.ts'

const QUEUE_MAX_BYTES = 8 * 1024 * 1024
const STATUS_EVERY_MS = 1_000

const COPY_DATA = 0x64
const COPY_BOTH = 0x57
const COPY_DONE = 0x63
const ERROR_RESPONSE = 0x45

export class WalsenderStream {
  readonly #connection: RawConnection
  readonly #started = new Deferred<void>()
  #timer: NodeJS.Timeout | null = null
  #queue: ReplicationMessage[] = []
  #queuedBytes = 0
  #paused = false
  #waiter: Deferred<readonly ReplicationMessage[] | null> | null = null
  #failure: Error | null = null
  #received: Lsn
  #confirmed: Lsn

  private constructor(client: Client, from: Lsn) {
    this.#received = from
    this.#confirmed = from
    this.#connection = RawConnection.take(client, {
      onFrame: (kind, buffer, start, end) => { this.#onFrame(kind, buffer, start, end) },
      onChunk: (bytes) => { this.#onChunk(bytes) },
      onClose: (error) => { this.#fail(error ?? new Error('the walsender closed the connection')) },
    })
  }

  /** `client`: connected with replication=database. Throws ServerError (55006: slot in use). */
  static async start(client: Client, slot: string, from: Lsn): Promise<WalsenderStream> {
    const stream = new WalsenderStream(client, from)
    stream.#connection.query(`START_REPLICATION SLOT "${slot}" LOGICAL ${formatLsn(from)} `
      + `(proto_version '2', publication_names '${PUBLICATION}', messages 'true')`)
    try {
      await stream.#started.promise
    } catch (error) {
      stream.end()
      throw error
    }
    stream.#timer = setInterval(() => { stream.#sendStatus(false) }, STATUS_EVERY_MS)
    stream.#timer.unref()
    return stream
  }

  /** The messages that came since the last call; waits for some. null after `end`. */
  async next(): Promise<readonly ReplicationMessage[] | null> {
    if (this.#queue.length > 0) return this.#take()
    if (this.#failure !== null) throw this.#failure
    if (this.#connection.closed) return null
    this.#waiter = new Deferred()
    return await this.#waiter.promise
  }

  confirm(lsn: Lsn): void {
    if (lsn <= this.#confirmed) return
    this.#confirmed = lsn
    this.#sendStatus(false)
  }

  requestKeepalive(): void {
    this.#sendStatus(true)
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    if (!this.#connection.closed) {
      this.#sendStatus(false)
      this.#connection.send('c', Buffer.alloc(0))
    }
    this.#connection.end()
    this.#waiter?.resolve(null)
    this.#waiter = null
  }

  #onFrame(kind: number, buffer: Buffer, start: number, end: number): void {
    switch (kind) {
      case COPY_DATA: {
        const frame = decodeWalsenderFrame(buffer, start, end)
        if (frame.kind === 'wal') {
          if (frame.message.kind === 'commit') this.#advance(frame.message.endLsn)
          this.#queue.push(frame.message)
          return
        }
        this.#advance(frame.walEnd)
        this.#queue.push({ kind: 'keepalive', walEnd: frame.walEnd })
        if (frame.replyNow) this.#sendStatus(false)
        return
      }
      case COPY_BOTH: this.#started.resolve(); return
      case ERROR_RESPONSE: throw new ServerError(buffer, start, end)
      case COPY_DONE: throw new Error('the walsender ended the stream')
      default: // notices, parameter changes
    }
  }

  #onChunk(bytes: number): void {
    this.#queuedBytes += bytes
    if (this.#waiter !== null && this.#queue.length > 0) {
      const waiter = this.#waiter
      this.#waiter = null
      waiter.resolve(this.#take())
    } else if (this.#queuedBytes > QUEUE_MAX_BYTES && !this.#paused) {
      this.#paused = true
      this.#connection.pause()
    }
  }

  #take(): readonly ReplicationMessage[] {
    const messages = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    if (this.#paused) {
      this.#paused = false
      this.#connection.resume()
    }
    return messages
  }

  #advance(lsn: Lsn): void {
    this.#received = maxLsn(this.#received, lsn)
  }

  #sendStatus(replyNow: boolean): void {
    this.#connection.send('d', encodeStandbyStatus({
      received: maxLsn(this.#received, this.#confirmed),
      flushed: this.#confirmed,
      nowUs: BigInt(Date.now()) * 1000n,
      replyNow,
    }))
  }

  #fail(error: Error): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#failure = error
    this.#started.reject(error)
    this.#waiter?.reject(error)
    this.#waiter = null
  }
}
