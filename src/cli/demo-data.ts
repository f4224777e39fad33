/**
 * The demo's data set: an order-entry schema, filled by SQL in steps so that progress shows.
 *
 * The same row numbers always give the same rows.
 */
import type pg from 'pg'

export const DEMO_SCHEMA = `
CREATE TABLE customers (
  id int PRIMARY KEY, name text NOT NULL, country text NOT NULL, since date NOT NULL);
CREATE TABLE products (
  id int PRIMARY KEY, name text NOT NULL, category text NOT NULL, price numeric(10,2) NOT NULL);
CREATE TABLE orders (
  id bigint PRIMARY KEY, customer_id int NOT NULL, ordered_at timestamptz NOT NULL,
  status text NOT NULL);
CREATE TABLE order_lines (
  order_id bigint NOT NULL, line int NOT NULL, product_id int NOT NULL, quantity int NOT NULL,
  amount numeric(12,2) NOT NULL, PRIMARY KEY (order_id, line));
`

const CUSTOMERS = 20_000
const PRODUCTS = 1_000
export const LINES_PER_ORDER = 4
const STEP_ORDERS = 12_500

const FILL_CUSTOMERS = `INSERT INTO customers SELECT i, 'customer ' || i,
  (ARRAY['DE','FR','IT','JP','NL','PL','SE','US'])[1 + i % 8], DATE '2015-01-01' + i % 3650
  FROM generate_series(1, ${CUSTOMERS}) i`

const FILL_PRODUCTS = `INSERT INTO products SELECT i, 'product ' || i,
  (ARRAY['books','garden','kitchen','music','office','sport','tools','toys'])[1 + i % 8],
  ((i * 7919) % 20000 + 100) / 100.0
  FROM generate_series(1, ${PRODUCTS}) i`

const FILL_ORDERS = `INSERT INTO orders SELECT i, 1 + (i * 7919) % ${CUSTOMERS},
  TIMESTAMPTZ '2025-01-01 00:00:00+00' + i * interval '37 seconds',
  (ARRAY['new','paid','shipped','shipped','shipped','returned'])[1 + i % 6]
  FROM generate_series($1::bigint, $2::bigint) i`

const FILL_LINES = `INSERT INTO order_lines
  SELECT o, l, p.id, q, p.price * q
  FROM generate_series($1::bigint, $2::bigint) o, generate_series(1, ${LINES_PER_ORDER}) l,
  LATERAL (SELECT (1 + (o * 31 + l * 17) % ${PRODUCTS})::int AS product,
    (1 + (o + l) % 5)::int AS q) n
  JOIN products p ON p.id = n.product`

/** Loads about `lines` order lines; `onProgress` gets the number loaded so far. */
export async function loadDemoData(client: pg.Client, options: {
  readonly lines: number
  readonly onProgress: (lines: number) => void
}): Promise<{ readonly orders: number }> {
  await client.query(DEMO_SCHEMA)
  await client.query(FILL_CUSTOMERS)
  await client.query(FILL_PRODUCTS)
  const orders = Math.max(1, Math.round(options.lines / LINES_PER_ORDER))
  for (let first = 1; first <= orders; first += STEP_ORDERS) {
    const last = Math.min(orders, first + STEP_ORDERS - 1)
    await client.query('BEGIN')
    await client.query(FILL_ORDERS, [first, last])
    await client.query(FILL_LINES, [first, last])
    await client.query('COMMIT')
    options.onProgress(last * LINES_PER_ORDER)
  }
  await client.query('ANALYZE customers, products, orders, order_lines')
  return { orders }
}

export const DEMO_ANALYTIC_QUERY = `SELECT c.country, p.category, count(*) AS lines,
  sum(l.amount) AS revenue
FROM order_lines l
JOIN orders o ON o.id = l.order_id
JOIN customers c ON c.id = o.customer_id
JOIN products p ON p.id = l.product_id
WHERE o.status <> 'returned'
GROUP BY c.country, p.category
ORDER BY revenue DESC, c.country, p.category
LIMIT 5`
