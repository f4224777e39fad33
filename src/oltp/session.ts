/**
 * Session: one connection to PostgreSQL that is made when needed and made again when lost.
 *
 * N1  Statements run one after the other, in the order they were given.
 */
import { Client, type ClientConfig } from 'pg'
import { Mutex } from '../base/mutex.ts'
import { connectOrExplain } from './raw-connection.ts'

export class Session {
  readonly #config: ClientConfig
  readonly #mutex = new Mutex()
  #client: Client | null = null
  #closed = false

  constructor(config: ClientConfig) {
    this.#config = config
  }

  /** Rows as objects. An error of the server leaves the session usable. */
  async query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return await this.run(async (client) => {
      const { rows } = values.length === 0
        ? await client.query<Row>(sql)
        : await client.query<Row>(sql, [...values])
      return rows
    })
  }

  /** `work` has the connection for itself, and leaves no transaction open. */
  async run<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return await this.#mutex.run(async () => await work(await this.#connected()))
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#mutex.run(async () => {
      const client = this.#client
      this.#client = null
      await client?.end().catch(() => {})
    })
  }

  async #connected(): Promise<Client> {
    if (this.#closed) throw new Error('the session is closed')
    if (this.#client !== null) return this.#client
    const client = new Client(this.#config)
    const forget = (): void => { if (this.#client === client) this.#client = null }
    client.on('error', forget)
    client.on('end', forget)
    await connectOrExplain(client)
    this.#client = client
    return client
  }
}
