/** A session of postgres.js: prepared by default, pipelined, binary never. */
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import postgres from 'postgres'
import type { DriverEndpoint, Transcript } from '../driver-endpoints.ts'
import { poll } from '../poll.ts'

type Sql = postgres.Sql

const GROUPS = `SELECT g, count(*), sum(big), sum(n), avg(n), min(d), max(at), bool_or(ok), max(t)
  FROM items WHERE id <= $1 GROUP BY g ORDER BY g`
const ENDLESS = 'SELECT count(*) FROM items a, items b, items c WHERE a.g + b.g > c.g'

export async function playPostgresJs(endpoint: DriverEndpoint): Promise<Transcript> {
  const seen: Record<string, unknown> = {}
  await using connected = connect(endpoint, 1)
  const { sql } = connected
  // It learns of array types with its first query, too late for that one's parameters.
  seen['first'] = await sql`SELECT 1 AS one`
  await values(sql, seen)
  await reads(sql, seen)
  await errors(sql, seen)
  await copy(sql, seen)
  await cancels(sql, seen)
  await notifications(sql, seen)
  await pooled(endpoint, seen)
  return seen
}

function connect(endpoint: DriverEndpoint, max: number): AsyncDisposable & { readonly sql: Sql } {
  const { host, port, user, password, database, schema, tls } = endpoint
  const sql = postgres({
    host, port, user, password, database, max, onnotice: () => {},
    connection: { search_path: schema, TimeZone: 'UTC' },
    ...tls === null ? {} : { ssl: { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert),
      key: readFileSync(tls.key) } },
  })
  return { sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }) }
}

async function values(sql: Sql, seen: Record<string, unknown>): Promise<void> {
  seen['values'] = await sql`SELECT ${42}::int AS i, ${String(2n ** 62n)}::bigint AS b,
    ${'12345.678900'}::numeric AS n, ${0.1}::float8 AS f, ${'snow ❄ \'quoted\' \\'}::text AS t,
    ${true}::bool AS ok, ${Buffer.from([0, 255, 92])}::bytea AS raw,
    ${new Date(1_709_168_523_456)}::timestamptz AS at, ${sql.json({ a: [1, null] })}::jsonb AS j,
    ${sql.array([1, 3])}::int[] AS marks, ${sql.array(['a', 'b,c', '"'])}::text[] AS tags,
    ${null}::text AS nothing`
  const statement = await sql`SELECT ${1}::int AS one, 'x' AS two`.describe()
  seen['described'] = [statement.types, statement.columns.map(({ name, type }) => [name, type])]
}

async function reads(sql: Sql, seen: Record<string, unknown>): Promise<void> {
  for (const route of ['columnar', 'postgres', 'auto']) {
    await sql.unsafe(`SET slipway.route = '${route}'`)
    for (const limit of [0, 10, 3000, 5000]) {
      seen[`groups ${route} ${limit}`] = await sql.unsafe(GROUPS, [limit], { prepare: true })
    }
    seen[`unnamed ${route}`] = await sql.unsafe(GROUPS, [99])
    seen[`tagged ${route}`] = await sql`SELECT g, sum(n) FROM items WHERE g IN ${sql([1, 2, 6])}
      GROUP BY g ORDER BY g`
    seen[`rows ${route}`] = await sql`SELECT id, t, tags, marks, raw FROM items WHERE id <= ${30}
      ORDER BY id`
    seen[`simple ${route}`] = await sql`SELECT count(*) FROM items; SELECT 2 AS two`.simple()
    seen[`values ${route}`] = await sql`SELECT g, max(id) FROM items GROUP BY g ORDER BY g`.values()
  }
  const blocks: number[] = []
  await sql`SELECT id FROM items ORDER BY id`.cursor(700, (rows) => { blocks.push(rows.length) })
  seen['cursor'] = blocks
  let each = 0
  await sql`SELECT id FROM items WHERE id < 100`.forEach(() => { each++ })
  seen['each'] = each
  seen['pipelined'] = await Promise.all(Array.from({ length: 20 }, (_, i) =>
    sql`SELECT count(*), sum(id) FROM items WHERE g = ${i % 7}`))
}

async function errors(sql: Sql, seen: Record<string, unknown>): Promise<void> {
  await sql`CREATE TABLE mine (id int PRIMARY KEY, g int)`
  const rows = Array.from({ length: 90 }, (_, i) => ({ id: i, g: i % 3 }))
  seen['inserted'] = (await sql`INSERT INTO mine ${sql(rows)} RETURNING id`).length
  const mistakes = { syntax: 'SELEC 1', column: 'SELECT count(nothing) FROM items',
    division: 'SELECT sum(g / (g - g)) FROM items', key: 'INSERT INTO mine VALUES (1, 1)' }
  for (const [name, text] of Object.entries(mistakes)) seen[`error ${name}`] = await told(sql, text)
  seen['in pipeline'] = await Promise.all([sql`SELECT 1 AS a`,
    told(sql, mistakes.division), sql`SELECT count(*) FROM items`])
  const outcome = sql.begin(async (block) => {
    await block`DELETE FROM mine`
    seen['own deletes'] = await block`SELECT count(*) FROM mine`
    await block.savepoint((inner) => inner.unsafe(mistakes.division)).catch((error: unknown) => {
      seen['savepoint'] = (error as postgres.PostgresError).code
    })
    seen['still there'] = await block`SELECT count(*) FROM items`
    return block.unsafe(mistakes.division)
  })
  seen['block'] = await outcome.catch((error: unknown) => (error as postgres.PostgresError).code)
  seen['rolled back'] = await sql`SELECT count(*) FROM mine`
}

async function told(sql: Sql, text: string): Promise<unknown> {
  try {
    return await sql.unsafe(text)
  } catch (error) {
    const { code, message, position } = error as postgres.PostgresError
    return [code, message, position]
  }
}

async function copy(sql: Sql, seen: Record<string, unknown>): Promise<void> {
  const lines = Array.from({ length: 5000 }, (_, i) => `${1000 + i}\t${i}\n`)
  await pipeline(Readable.from(lines), await sql`COPY mine FROM STDIN`.writable())
  let bytes = 0
  // Below its stream's mark of 16 kB: one that reads more and the end at once pauses its socket
  // and never resumes it (CopyData and CopyDone in its connection.js), whoever sent it.
  const some = sql`COPY (SELECT * FROM mine WHERE id < 2000 ORDER BY id) TO STDOUT`
  for await (const chunk of await some.readable()) {
    bytes += (chunk as Buffer).length
  }
  seen['copied'] = [await sql`SELECT count(*), sum(g) FROM mine`, bytes]
}

async function cancels(sql: Sql, seen: Record<string, unknown>): Promise<void> {
  for (const [route, text] of [['postgres', 'SELECT pg_sleep(60)'], ['columnar', ENDLESS]]) {
    await sql.unsafe(`SET slipway.route = '${route ?? ''}'`)
    const running = sql.unsafe(text ?? '').execute()
    const timer = setInterval(() => { running.cancel() }, 300)
    seen[`cancelled ${route ?? ''}`] = await running.catch((error: unknown) =>
      (error as postgres.PostgresError).code)
    clearInterval(timer)
    seen[`alive ${route ?? ''}`] = await sql`SELECT count(*) FROM items`
  }
  await sql`SET slipway.route = 'auto'`
}

async function notifications(sql: Sql, seen: Record<string, unknown>): Promise<void> {
  const heard: string[] = []
  const listening = await sql.listen('js_news', (payload) => { heard.push(payload) })
  await sql`SELECT pg_notify('js_news', g::text) FROM items WHERE id < 3`
  seen['heard'] = await poll('both are heard', 5_000, () => heard.length === 2 ? heard : null)
  await listening.unlisten()
}

async function pooled(endpoint: DriverEndpoint, seen: Record<string, unknown>): Promise<void> {
  await using pool = connect(endpoint, 4)
  seen['pooled'] = await Promise.all(Array.from({ length: 60 }, (_, i) =>
    pool.sql`SELECT sum(big) FROM items WHERE g = ${i % 7}`))
}
