/** POST /v1/sql, health, metrics: as CONTRACT.md has them. */
import { tableFromIPC } from 'apache-arrow'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { SharedSchema } from '../support/shared-slipway.ts'

interface Answer {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly route: string
  readonly readLsn: string | null
  readonly elapsedMs: number
}

const TYPES = `SELECT 1::smallint AS s, 2 AS i, 3::bigint AS b, 1.50::numeric(6,2) AS n,
  1.5::float8 AS f, true AS t, 'text' AS x, date '2024-02-29' AS d, NULL::int AS nothing`

describe('HTTP', () => {
  let schema: SharedSchema
  let url: string
  beforeAll(async () => {
    schema = await SharedSchema.create('http')
    url = inject('slipway').httpUrl
    await using client = await schema.connect()
    await client.query(`CREATE TABLE sales (id bigint PRIMARY KEY, region text NOT NULL,
      amount numeric(12,2) NOT NULL, day date NOT NULL)`)
    await client.query(`INSERT INTO sales SELECT i, 'r' || i % 4, i / 100.0,
      date '2024-01-01' + i % 30 FROM generate_series(1, 20000) i`)
    await client.query(`CREATE ROLE http_reader LOGIN PASSWORD 'reader'`).catch(() => {})
    await schema.mirrored(client, ['sales'])
  })

  function post(
    body: string, headers: Record<string, string> = {}, who?: string,
  ): Promise<Response> {
    const { user, password } = schema.slipway.address
    const credentials = Buffer.from(who ?? `${user}:${password}`).toString('base64')
    return fetch(`${url}/v1/sql`, { method: 'POST', body, headers: {
      'content-type': 'application/json', authorization: `Basic ${credentials}`, ...headers,
    } })
  }
  const sql = (text: string, params?: unknown[]): string => JSON.stringify({ sql: text, params })

  it('answers JSON: int8 and numeric as text, columns with types, the route', async () => {
    const answer = await post(sql(`SELECT region, count(*) AS n, sum(amount) AS total
      FROM http.sales GROUP BY region ORDER BY region`))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toContain('application/json')
    const body = await answer.json() as Answer
    expect(body.columns.map((column) => column.name)).toEqual(['region', 'n', 'total'])
    expect(body.columns.map((column) => column.type)).toEqual(['text', 'bigint', 'numeric'])
    expect(body.rows).toEqual([
      ['r0', '5000', '500100.00'], ['r1', '5000', '499950.00'],
      ['r2', '5000', '500000.00'], ['r3', '5000', '500050.00'],
    ])
    expect(['columnar', 'postgres']).toContain(body.route)
    // PostgreSQL answers at its own snapshot, which has no LSN.
    expect(body.readLsn ?? '0/0').toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    expect(body.elapsedMs).toBeGreaterThanOrEqual(0)
  })

  it('answers what PostgreSQL alone can answer, and takes parameters', async () => {
    const body = await (await post(sql(TYPES))).json() as Answer
    expect(body.rows).toEqual([[1, 2, '3', '1.50', 1.5, true, 'text', '2024-02-29', null]])
    const given = await post(sql(
      'SELECT count(*) FROM http.sales WHERE region = $1 AND id < $2', ['r1', 1000]))
    expect((await given.json() as Answer).rows).toEqual([['250']])
  })

  it('answers an Arrow stream with the same values', async () => {
    const answer = await post(sql(`SELECT region, count(*) AS n, sum(amount) AS total, min(day) AS d
      FROM http.sales GROUP BY region ORDER BY region`),
    { accept: 'application/vnd.apache.arrow.stream' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toContain('application/vnd.apache.arrow.stream')
    const table = tableFromIPC(new Uint8Array(await answer.arrayBuffer()))
    expect(table.schema.fields.map((field) => field.name)).toEqual(['region', 'n', 'total', 'd'])
    expect([...table.getChild('region') ?? []]).toEqual(['r0', 'r1', 'r2', 'r3'])
    expect([...table.getChild('n') ?? []]).toEqual([5000n, 5000n, 5000n, 5000n])
  })

  it('streams every row of a large answer', async () => {
    const answer = await post(sql('SELECT id, region, amount, day FROM http.sales'),
      { accept: 'application/vnd.apache.arrow.stream' })
    expect(tableFromIPC(new Uint8Array(await answer.arrayBuffer())).numRows).toBe(20_000)
  })

  it('stops at maxRows', async () => {
    const answer = await post(JSON.stringify({ sql: 'SELECT id FROM http.sales', maxRows: 10 }))
    expect((await answer.json() as Answer).rows).toHaveLength(10)
  })

  it('sees what another connection has just committed', async () => {
    await using client = await schema.connect()
    for (let id = 1_000_001; id <= 1_000_020; id++) {
      await client.query(`INSERT INTO sales VALUES (${id}, 'new', 1, '2024-01-01')`)
      const body = await (await post(sql(`SELECT count(*) FROM http.sales WHERE region = 'new'`)))
        .json() as Answer
      expect(body.rows).toEqual([[String(id - 1_000_000)]])
    }
    await client.query(`DELETE FROM sales WHERE region = 'new'`)
  })

  it.each([
    { what: 'no JSON', body: 'select 1', status: 400 },
    { what: 'no object', body: '[1]', status: 400 },
    { what: 'no sql', body: '{"query": "select 1"}', status: 400 },
    { what: 'sql that is no text', body: '{"sql": 1}', status: 400 },
  ])('refuses a body that is $what with a problem document', async ({ body, status }) => {
    const answer = await post(body)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    const problem = await answer.json() as Record<string, unknown>
    expect(problem['status']).toBe(status)
    expect(typeof problem['title']).toBe('string')
  })

  it.each([
    { text: 'SELEC 1', sqlState: '42601' },
    { text: 'SELECT * FROM http.nothing', sqlState: '42P01' },
    { text: 'SELECT 1/0', sqlState: '22012' },
  ])('passes PostgreSQL\'s refusal on: $text', async ({ text, sqlState }) => {
    const answer = await post(sql(text))
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect((await answer.json() as Record<string, unknown>)['sqlstate']).toBe(sqlState)
  })

  it('wants a role and its password', async () => {
    const none = await fetch(`${url}/v1/sql`, { method: 'POST', body: sql('SELECT 1'),
      headers: { 'content-type': 'application/json' } })
    expect(none.status).toBe(401)
    expect(none.headers.get('www-authenticate')).toMatch(/^Basic/)
    const wrong = await post(sql('SELECT 1'), {}, `${schema.slipway.address.user}:wrong`)
    expect(wrong.status).toBe(401)
    expect((await post(sql('SELECT 1'), {}, 'nobody_here:x')).status).toBe(401)
  })

  it('runs with the role\'s own rights', async () => {
    const denied = await post(sql('SELECT count(*) FROM http.sales'), {}, 'http_reader:reader')
    expect(denied.status).toBe(403)
    expect((await denied.json() as Record<string, unknown>)['sqlstate']).toBe('42501')
    await using client = await schema.connect()
    await client.query('GRANT USAGE ON SCHEMA http TO http_reader')
    await client.query('GRANT SELECT ON http.sales TO http_reader')
    const granted = await post(sql('SELECT count(*) FROM http.sales'), {}, 'http_reader:reader')
    expect(((await granted.json()) as Answer).rows).toEqual([['20000']])
  })

  it('says that it lives, that it serves, and what it counts', async () => {
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    const metrics = await fetch(`${url}/metrics`)
    expect(metrics.headers.get('content-type')).toContain('text/plain')
    expect(await metrics.text()).toMatch(/^# TYPE slipway_\w+/m)
    expect((await fetch(`${url}/no-such-path`)).status).toBe(404)
  })
})
