/** Stock clients through the gateway, unchanged: psql, node-postgres, pgbench. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import type pg from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { psql, runClient } from '../support/libpq-client.ts'
import { poll } from '../support/poll.ts'
import { describeWith } from '../support/requires.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import { temporaryFolder } from '../support/slipway.ts'
import { SqlClient } from '../support/sql-client.ts'

describe('node-postgres', () => {
  let schema: SharedSchema
  let client: SqlClient
  beforeAll(async () => {
    schema = await SharedSchema.create('clients')
    client = await schema.connect()
    await client.query('CREATE TABLE items (id int PRIMARY KEY, g int, v text)')
    await client.query(`INSERT INTO items SELECT i, i % 7, 'v' || i
      FROM generate_series(1, 5000) i`)
    await schema.mirrored(client, ['items'])
    return async () => { await client.end() }
  })

  it('a wrong password is refused by PostgreSQL', async () => {
    const refused = SqlClient.connect({ ...schema.slipway.address, password: 'wrong' })
    await expect(refused).rejects.toMatchObject({ code: '28P01' })
  })

  it('prepared statements with parameters, columnar and not', async () => {
    for (const route of ['postgres', 'columnar', 'auto']) {
      await client.query(`SET slipway.route = '${route}'`)
      for (const g of [0, 3, 6]) {
        const answer = await client.client.query({ name: 'per group', rowMode: 'array',
          text: 'SELECT g, count(*), max(v) FROM items WHERE g <= $1 GROUP BY g ORDER BY g DESC',
          values: [g] })
        expect(answer.rows).toHaveLength(g + 1)
        expect(answer.rows[0]).toEqual([String(g), '714', expect.stringMatching(/^v/)])
      }
    }
  })

  it('transactions: own writes are seen, rolled back ones are not', async () => {
    await client.query('BEGIN')
    await client.query(`INSERT INTO items VALUES (100000, 1, 'mine')`)
    expect(await client.value('SELECT count(*) FROM items')).toBe('5001')
    await client.query('ROLLBACK')
    expect(await client.value('SELECT count(*) FROM items')).toBe('5000')
  })

  it('an error leaves the session as PostgreSQL leaves it', async () => {
    expect((await client.refusal('SELECT nothing FROM items')).sqlState).toBe('42703')
    expect((await client.refusal('SELECT sum(g / (g - g)) FROM items')).sqlState).toBe('22012')
    await client.query('BEGIN')
    expect((await client.refusal('SELECT sum(g / (g - g)) FROM items')).sqlState).toBe('22012')
    expect((await client.refusal('SELECT count(*) FROM items')).sqlState).toBe('25P02')
    await client.query('ROLLBACK')
    expect(await client.value('SELECT count(*) FROM items')).toBe('5000')
  })

  it('several statements in one text', async () => {
    const text = 'SELECT 1; SELECT count(*) FROM items; SELECT 3'
    const answer = await client.client.query({ rowMode: 'array', text }) as unknown as
      pg.QueryArrayResult<string[]>[]
    expect(answer.map((part) => part.rows)).toEqual([[['1']], [['5000']], [['3']]])
  })

  it('LISTEN and NOTIFY, with the sender\'s own process id', async () => {
    await using sender = await schema.connect()
    const pid = await sender.value('SELECT pg_backend_pid()')
    const heard = new Promise<pg.Notification>((resolve) => {
      client.client.once('notification', resolve)
    })
    await client.query('LISTEN news')
    await sender.query(`NOTIFY news, 'hello'`)
    expect(await heard).toMatchObject({ channel: 'news', payload: 'hello', processId: Number(pid) })
  })

  it('cancel stops a statement in PostgreSQL and one that runs columnar', async () => {
    const slow = { postgres: 'SELECT pg_sleep(30)',
      columnar: `SELECT count(*) FROM items a, items b, items c WHERE a.g + b.g > c.g` }
    for (const [route, sql] of Object.entries(slow)) {
      await using victim = await schema.connect()
      await victim.query(`SET slipway.route = '${route}'`)
      const failed = victim.refusal(sql)
      await new Promise((resolve) => setTimeout(resolve, 500))
      await cancel(victim.client)
      expect((await failed).sqlState, route).toBe('57014')
      expect(await victim.value('SELECT 1')).toBe('1')
    }
  })

  it('statement_timeout holds on both routes', async () => {
    await using hurried = await schema.connect()
    await hurried.query(`SET statement_timeout = '300ms'`)
    expect((await hurried.refusal('SELECT pg_sleep(30)')).sqlState).toBe('57014')
    await hurried.query(`SET slipway.route = 'columnar'`)
    const { sqlState } = await hurried.refusal(
      'SELECT count(*) FROM items a, items b, items c WHERE a.g + b.g > c.g')
    expect(sqlState).toBe('57014')
  })

  it('pg_terminate_backend ends that very session', async () => {
    await using victim = await schema.connect()
    const pid = await victim.value('SELECT pg_backend_pid()')
    expect(await client.value(`SELECT pg_terminate_backend(${pid})`)).toBe('t')
    await poll('the session is gone', 5_000, async () =>
      victim.query('SELECT 1').then(() => null, () => true))
  })

  it('startup parameters reach the server', async () => {
    await using set = await schema.connect({
      options: '-c statement_timeout=12345 -c search_path=clients', application_name: 'me' })
    expect(await set.value('SHOW statement_timeout')).toBe('12345ms')
    await set.query('RESET ALL')
    expect(await set.value('SHOW statement_timeout')).toBe('12345ms')
    expect(await set.value('SHOW application_name')).toBe('me')
  })

  it('eighty connections at once', async () => {
    const clients = await Promise.all(Array.from({ length: 80 }, () => schema.connect()))
    const answers = await Promise.all(clients.map((one) => one.value('SELECT count(*) FROM items')))
    await Promise.all(clients.map((one) => one.end()))
    expect(new Set(answers)).toEqual(new Set(['5000']))
  })
})

/** CancelRequest as libpq sends it: through the gateway's own port, with the key it passed on. */
async function cancel(client: pg.Client): Promise<void> {
  const { processID, secretKey, port, host } = client as pg.Client & {
    processID: number; secretKey: number }
  const socket = createConnection({ port, host })
  const packet = Buffer.alloc(16)
  packet.writeInt32BE(16, 0)
  packet.writeInt32BE(80877102, 4)
  packet.writeInt32BE(processID, 8)
  packet.writeInt32BE(secretKey, 12)
  socket.end(packet)
  await once(socket, 'close')
}

describeWith(['psql', 'pgbench'], 'psql and pgbench', () => {
  let schema: SharedSchema
  beforeAll(async () => { schema = await SharedSchema.create('libpq') })
  const env = { PGOPTIONS: '-c search_path=libpq' }

  it('COPY in and out, \\d, errors with their position', async () => {
    const { address } = schema.slipway
    const folder = temporaryFolder('copy')
    const csv = Array.from({ length: 20_000 }, (_, i) => `${i},"a ""quoted"", ${i}",\n`).join('')
    writeFileSync(join(folder, 'in.csv'), csv)
    await psql(address, ['-c', 'CREATE TABLE copied (id int PRIMARY KEY, t text, n int)'], { env })
    await psql(address, ['-c', `\\copy copied from '${join(folder, 'in.csv')}' csv`], { env })
    const out = await psql(address,
      ['-c', '\\copy (select * from copied order by id) to stdout csv'], { env })
    expect(out).toBe(csv)
    expect(await psql(address, ['-c', '\\d copied'], { env }))
      .toContain('"copied_pkey" PRIMARY KEY')
    await expect(psql(address, ['-c', 'SELECT count(*), nope FROM copied'], { env }))
      .rejects.toThrow(/column "nope" does not exist\nLINE 1: .*, nope FROM .*\n +\^/)
  })

  it('EXPLAIN (ROUTE) says where a statement goes and why', async () => {
    await using client = await schema.connect()
    await schema.mirrored(client, ['copied'])
    const plan = await psql(schema.slipway.address,
      ['-At', '-c', 'EXPLAIN (ROUTE) SELECT id % 3, count(*) FROM copied GROUP BY 1'], { env })
    expect(plan).toMatch(/columnar|postgres/)
    const kept = await psql(schema.slipway.address,
      ['-At', '-c', 'EXPLAIN (ROUTE) SELECT count(*), max(random()) FROM copied'], { env })
    expect(kept).toMatch(/postgres/)
    expect(kept).toMatch(/random|volatile/)
  })

  it.each(['simple', 'extended', 'prepared'])('pgbench -M %s, no error', async (mode) => {
    const { address } = schema.slipway
    const script = join(temporaryFolder('pgbench'), 'script.sql')
    writeFileSync(script, `\\set id random(1, 1000000000)
INSERT INTO libpq.bench VALUES (:id, :client_id) ON CONFLICT (id) DO NOTHING;
SELECT count(*), sum(v) FROM libpq.bench WHERE v = :client_id;
`)
    await psql(address, ['-c', 'CREATE TABLE IF NOT EXISTS bench (id bigint PRIMARY KEY, v int)'],
      { env })
    const told = await runClient('pgbench', address,
      ['-n', '-M', mode, '-c', '4', '-j', '2', '-t', '50', '-f', script, address.database])
    expect(told).toMatch(/transactions actually processed: 200\/200/)
    expect(told).toMatch(/failed transactions: 0/)
  })
})
