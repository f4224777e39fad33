/** SQL over HTTP against a real PostgreSQL and a real DuckDB with the same rows. */
import { tableFromIPC } from 'apache-arrow'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { createHttpServer, type HttpServer } from '../../src/http/http-server.ts'
import { databaseCollation } from '../../src/query/database-collation.ts'
import { QueryService } from '../../src/query/query-service.ts'
import { ZoneCatalog, type RunSql } from '../../src/query/zone-offsets.ts'
import { CopiedEngine } from '../support/copied-engine.ts'
import { poll } from '../support/poll.ts'
import {
  SCRATCH_DATABASE, SCRATCH_PASSWORD, SCRATCH_USER, startScratchPostgres,
  type ScratchPostgres,
} from '../support/scratch-postgres.ts'

let postgres: ScratchPostgres
let engine: CopiedEngine
let http: HttpServer
let ready = false

beforeAll(async () => {
  postgres = await startScratchPostgres()
  const { client } = postgres
  await client.query(`
    create table sales (id int primary key, region text, amount numeric(10,2), qty int,
      at timestamptz, code char(5), ratio float8, day date, big int8);
    insert into sales select g, (array['north','south',null,'ä"st'])[g % 4 + 1], g * 1.25, g % 7,
      '2024-03-10 06:00:00+00'::timestamptz + g * interval '1 hour', 'c' || g % 3,
      g / 3.0::float8, date '2024-01-01' + g, g * 10000000000
      from generate_series(1, 5000) g;
    create table secret (id int primary key, v int);
    create role reader login password 'reader-password';
    grant select on sales to reader;
    create role alien login password 'alien-password';
    alter role alien set slipway.route = 'columnar';
    alter role alien set timezone = 'America/New_York';
    grant select on sales to alien`)
  engine = await CopiedEngine.open()
  await engine.copy(client, 'sales')
  const run: RunSql = async (text, values) =>
    (await client.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' })).rows
  const queryService = new QueryService({
    engine, zones: new ZoneCatalog({ run }), routeCostMin: 10, logger: silentLogger,
    collation: await databaseCollation(run),
  })
  http = await createHttpServer({
    gatewayMetrics: () => Promise.resolve(''),
    host: '127.0.0.1', port: 0, queryService, registry: new Registry(), logger: silentLogger,
    target: { postgres: postgres.target, database: SCRATCH_DATABASE }, isReady: () => ready,
  })
})

afterAll(async () => {
  await http[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

interface Who { readonly user: string; readonly password: string }
const OWNER: Who = { user: SCRATCH_USER, password: SCRATCH_PASSWORD }
const READER: Who = { user: 'reader', password: 'reader-password' }

function headers(who: Who | null, accept?: string): Record<string, string> {
  const basic = who === null ? {} : {
    authorization: `Basic ${Buffer.from(`${who.user}:${who.password}`).toString('base64')}`,
  }
  const wanted = accept === undefined ? {} : { accept }
  return { 'content-type': 'application/json', ...basic, ...wanted }
}

function post(body: unknown, who: Who | null = READER, accept?: string): Promise<Response> {
  return fetch(`${http.url}/v1/sql`, {
    method: 'POST', headers: headers(who, accept),
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

interface Result {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly route: string
  readonly readLsn: string | null
  readonly elapsedMs: number
}

async function query(body: unknown, who: Who = READER): Promise<Result> {
  const response = await post(body, who)
  const text = await response.text()
  if (response.status !== 200) throw new Error(text)
  expect(response.headers.get('content-type')).toContain('application/json')
  return JSON.parse(text) as Result
}

async function problem(response: Response): Promise<Record<string, unknown>> {
  expect(response.headers.get('content-type')).toContain('application/problem+json')
  return await response.json() as Record<string, unknown>
}

const AGGREGATE = `select region, count(*) as n, sum(amount) as total, avg(qty) as mean,
    min(at) as first, max(code) as code, stddev_samp(amount) as dev
  from sales group by region order by region`

describe('POST /v1/sql', () => {
  it('answers from the columnar engine what PostgreSQL answers, text for text', async () => {
    const columnar = await query({ sql: AGGREGATE })
    expect(columnar.route).toBe('columnar')
    expect(columnar.readLsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    const { rows } = await postgres.client.query('set slipway.route = \'postgres\'').then(() =>
      postgres.client.query<unknown[]>({ text: AGGREGATE, rowMode: 'array',
        types: { getTypeParser: () => (value: string) => value } }))
    await postgres.client.query('reset slipway.route')
    expect(columnar.rows.map((row) => row.map((v) => typeof v === 'number' ? String(v) : v)))
      .toEqual(rows)
    expect(columnar.columns.map(({ name, type }) => `${name} ${type}`)).toEqual(['region text',
      'n bigint', 'total numeric', 'mean numeric', 'first timestamp with time zone',
      'code character', 'dev numeric'])
    expect(typeof columnar.rows[0]?.[1]).toBe('string')
  })

  it('says postgres for what stays there, with the same shape', async () => {
    const result = await query({ sql: 'select id, amount, ratio, day, big from sales where id = $1',
      params: [3] })
    expect(result).toMatchObject({ route: 'postgres', readLsn: null,
      rows: [[3, '3.75', 1, '2024-01-04', '30000000000']] })
  })

  it('binds parameters in either engine', async () => {
    const sql = 'select count(*), max(amount) from sales where qty < $1 and region = $2'
    const { route, rows } = await query({ sql, params: [3, 'ä"st'] })
    const wanted = await postgres.client.query<unknown[]>({ text: sql, values: [3, 'ä"st'],
      rowMode: 'array' })
    expect(route).toBe('columnar')
    expect(rows).toEqual(wanted.rows)
    const listed = await query({ sql: 'select id from sales where id = any($1) order by id',
      params: [[7, 5]] })
    expect(listed.rows).toEqual([[5], [7]])
  })

  it('runs what is not a query, and says NULL and types apart', async () => {
    expect((await query({ sql: 'create temp table x (a int)' }, OWNER)).rows).toEqual([])
    const result = await query({ sql: `select null::int, true, '{"a":[1]}'::jsonb, '{1,2}'::int[],
      'NaN'::float8, 'x'::"char", 1::oid, '1 day'::interval` })
    expect(result.rows).toEqual([[null, true, { a: [1] }, [1, 2], 'NaN', 'x', 1, '1 day']])
  })

  it('streams 200,000 rows page by page, and stops at maxRows', async () => {
    const sql = 'select g, md5(g::text) from generate_series(1, 200000) g'
    const all = await query({ sql })
    expect(all.rows).toHaveLength(200_000)
    expect(all.rows[199_999]?.[0]).toBe(200_000)
    expect((await query({ sql, maxRows: 3000 })).rows).toHaveLength(3000)
    const grouped = 'select id, count(*) from sales group by id order by id'
    expect((await query({ sql: grouped, maxRows: 10 })).rows).toHaveLength(10)
    expect((await query({ sql: grouped, maxRows: 0 })).rows).toHaveLength(0)
  })

  it('follows the session\'s time zone in the columnar engine', async () => {
    const alien = { user: 'alien', password: 'alien-password' }
    const sql = 'select at, count(*) from sales where id < 4 group by at order by at'
    const { rows, route } = await query({ sql }, alien)
    expect(route).toBe('columnar')
    expect(rows.map(([at]) => at)).toEqual(['2024-03-10 03:00:00-04', '2024-03-10 04:00:00-04',
      '2024-03-10 05:00:00-04'])
  })
})

describe('formats', () => {
  const SQL = 'select region, count(*) as n from sales group by region order by region'

  it('NDJSON', async () => {
    const response = await post({ sql: SQL }, READER, 'application/x-ndjson')
    const lines = (await response.text()).trimEnd().split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(lines).toEqual([{ region: 'north', n: '1250' }, { region: 'south', n: '1250' },
      { region: 'ä"st', n: '1250' }, { region: null, n: '1250' }])
  })

  it('CSV', async () => {
    const response = await post({ sql: SQL }, READER, 'text/csv')
    expect(await response.text()).toBe(
      'region,n\r\nnorth,1250\r\nsouth,1250\r\n"ä""st",1250\r\n,1250\r\n')
  })

  it('Arrow, the same from both engines', async () => {
    const sql = 'select region, sum(qty) as q, min(day) as d, min(at) as t from sales ' +
      'group by region order by region'
    const read = async (text: string): Promise<string> => {
      const response = await post({ sql: text }, OWNER, 'application/vnd.apache.arrow.stream')
      const table = tableFromIPC(new Uint8Array(await response.arrayBuffer()))
      return JSON.stringify([table.schema.fields.map(String), table.toArray().map(String)])
    }
    const before = engine.requests.length
    const columnar = await read(sql)
    expect(engine.requests.length).toBe(before + 1)
    const other = await read(sql.replace('from sales', 'from (table sales for share)'))
    expect(engine.requests.length).toBe(before + 1)
    expect(columnar).toBe(other)
  })

  it('anything else is 406', async () => {
    const response = await post({ sql: 'select 1' }, READER, 'application/vnd.apache.parquet')
    expect(response.status).toBe(406)
    expect((await problem(response))['detail']).toContain('text/csv')
  })
})

describe('who may', () => {
  it.each([
    ['nobody', null], ['a wrong password', { user: 'reader', password: 'wrong' }],
    ['no such role', { user: 'ghost', password: 'x' }],
    ['an empty password', { user: 'reader', password: '' }],
  ])('%s: 401', async (_name, who) => {
    const response = await post({ sql: 'select 1' }, who)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain('Basic')
    expect(JSON.stringify(await problem(response))).not.toContain('wrong')
  })

  it('the role\'s rights hold for what the columnar engine could answer', async () => {
    const response = await post({ sql: 'select v, count(*) from secret group by v' })
    expect(response.status).toBe(403)
    expect(await problem(response)).toMatchObject({ sqlstate: '42501', status: 403 })
  })
})

describe('errors', () => {
  it.each([
    ['a body that is not JSON', '{"sql": ', 400, '22023'],
    ['a body that is not an object', '[]', 400, '22023'],
    ['no sql', '{}', 400, '22023'],
    ['an unknown member', '{"sql":"select 1","limit":3}', 400, '22023'],
    ['a syntax error', '{"sql":"selec 1"}', 400, '42601'],
    ['two statements', '{"sql":"select 1; select 2"}', 400, '42601'],
    ['an unknown table', '{"sql":"select count(*) from nowhere"}', 404, '42P01'],
    ['a division by zero', '{"sql":"select 1/0"}', 400, '22012'],
    ['a division by zero in the columnar engine',
      '{"sql":"select sum(qty / (qty - qty)) from sales"}', 400, '22012'],
    ['time travel', '{"sql":"select 1","asOf":"2024-01-01"}', 400, '22023'],
    ['a bad freshness', '{"sql":"select count(*) from sales","freshness":"soon"}', 400, '22023'],
    ['a missing parameter', '{"sql":"select $1::int"}', 400, '08P01'],
  ])('%s', async (_name, body, status, sqlstate) => {
    const response = await post(body)
    const document = await problem(response)
    expect(document).toMatchObject({ sqlstate })
    expect(response.status).toBe(status)
    expect(document['title']).not.toBe('')
  })

  it('names the place of a syntax error', async () => {
    expect(await problem(await post({ sql: 'select 1 from' }))).toHaveProperty('position')
  })

  it('slipway.route = columnar says why not', async () => {
    const alien = { user: 'alien', password: 'alien-password' }
    const response = await post({ sql: 'select region, random() from sales group by 1' }, alien)
    expect(response.status).toBe(422)
    expect(await problem(response)).toMatchObject({ sqlstate: 'SW002' })
  })

  it('statement_timeout is kept in the columnar engine', async () => {
    await postgres.client.query('alter role reader set statement_timeout = 300')
    const sql = 'select count(*) from sales a, sales b, sales c where a.id + b.id > c.id'
    const response = await post({ sql })
    await postgres.client.query('alter role reader reset statement_timeout')
    expect(await problem(response)).toMatchObject({ sqlstate: '57014', status: 504 })
  })

  it('a client that goes away cancels its statement', async () => {
    const abort = new AbortController()
    const sent = fetch(`${http.url}/v1/sql`, { method: 'POST', headers: headers(READER),
      body: JSON.stringify({ sql: 'select pg_sleep(60)' }), signal: abort.signal })
    const running = async (): Promise<number> => (await postgres.client.query(
      `select from pg_stat_activity where usename = 'reader' and state = 'active'`)).rowCount ?? 0
    await poll('the statement runs', 5000, async () => await running() === 1 ? true : null)
    abort.abort()
    await expect(sent).rejects.toThrow()
    await poll('the statement is gone', 5000, async () => await running() === 0 ? true : null)
  })
})

describe('the rest', () => {
  it('health, readiness, metrics and the description', async () => {
    expect((await fetch(`${http.url}/healthz`)).status).toBe(200)
    expect((await fetch(`${http.url}/readyz`)).status).toBe(503)
    ready = true
    expect((await fetch(`${http.url}/readyz`)).status).toBe(200)
    const metrics = await (await fetch(`${http.url}/metrics`)).text()
    expect(metrics).toContain('slipway_http_statements_total{route="columnar"}')
    const openapi = await (await fetch(`${http.url}/openapi.json`)).json() as { paths: object }
    expect(Object.keys(openapi.paths)).toContain('/v1/sql')
    const missing = await fetch(`${http.url}/nowhere`)
    expect(missing.status).toBe(404)
    await problem(missing)
  })
})
