/**
 * A demo client that places orders one after the other until it is told to stop: one
 * transaction each, an order with its lines.
 */
import type pg from 'pg'

const PLACE_ORDER = `INSERT INTO orders
  SELECT $1::bigint, (1 + $1::bigint % 20000)::int, now(), 'new'`

const PLACE_LINES = `INSERT INTO order_lines
  SELECT $1::bigint, l, p.id, 1 + l % 3, p.price * (1 + l % 3)
  FROM generate_series(1, 4) l JOIN products p ON p.id = 1 + ($1::bigint * 31 + l * 17) % 1000`

export class DemoWriter {
  readonly #client: pg.Client
  readonly #nextOrder: () => number
  #stopped = false
  #placed = 0

  constructor(client: pg.Client, nextOrder: () => number) {
    this.#client = client
    this.#nextOrder = nextOrder
  }

  /** Transactions committed so far. */
  get placed(): number { return this.#placed }

  stop(): void { this.#stopped = true }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const order = this.#nextOrder()
      await this.#client.query('BEGIN')
      await this.#client.query({ name: 'order', text: PLACE_ORDER, values: [order] })
      await this.#client.query({ name: 'lines', text: PLACE_LINES, values: [order] })
      await this.#client.query('COMMIT')
      this.#placed += 1
    }
  }
}
