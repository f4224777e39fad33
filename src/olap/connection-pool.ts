/**
 * ConnectionPool: DuckDB connections for queries, so many and no more.
 *
 * CP1  At most `size` are out at once; at most `queueMax` callers wait, the next is refused.
 * CP2  A connection comes back with no transaction open, or not at all.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { SlipwayError } from '../base/errors.ts'
import type { DuckDb } from './duckdb.ts'
import { preparePin, type PinStatements } from './live-pin.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

export interface PooledConnection {
  readonly duckdb: DuckDBConnection
  readonly statements: PinStatements
  /** The session setting that it was left with. */
  timeZone: string
}

export class ConnectionPool implements AsyncDisposable {
  readonly #duckdb: DuckDb
  readonly #size: number
  readonly #queueMax: number
  readonly #idle: PooledConnection[] = []
  readonly #waiters: Waiter[] = []
  #out = 0

  constructor(duckdb: DuckDb, options: { readonly size: number; readonly queueMax: number }) {
    this.#duckdb = duckdb
    this.#size = options.size
    this.#queueMax = options.queueMax
  }

  /** CP1. Throws `engine-unreachable` when too many wait, or the signal's reason. */
  async take(signal: AbortSignal): Promise<PooledConnection> {
    signal.throwIfAborted()
    if (this.#out >= this.#size) await this.#turn(signal)
    else this.#out++
    try {
      return this.#idle.pop() ?? await this.#connect()
    } catch (error) {
      this.#next()
      throw error
    }
  }

  /** CP2. `clean`: its transaction is over. */
  give(connection: PooledConnection, clean: boolean): void {
    if (clean) this.#idle.push(connection)
    else connection.duckdb.closeSync()
    this.#next()
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const { duckdb } of this.#idle.splice(0)) duckdb.closeSync()
    return Promise.resolve()
  }

  async #connect(): Promise<PooledConnection> {
    const duckdb = await this.#duckdb.connect()
    return { duckdb, statements: await preparePin(duckdb), timeZone: '' }
  }

  /** Hands the caller's turn to the first who waits. */
  #next(): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#out--
    else waiter.resolve()
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiters.length >= this.#queueMax) {
      throw new SlipwayError('engine-unreachable', 'too many statements wait for the engine')
    }
    let abort: () => void = () => {}
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter = { resolve, reject }
        this.#waiters.push(waiter)
        abort = () => {
          const at = this.#waiters.indexOf(waiter)
          if (at >= 0) this.#waiters.splice(at, 1)
          reject(signal.reason as Error)
        }
        signal.addEventListener('abort', abort, { once: true })
      })
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}
