/**
 * A gateway of two processes under strangers: cancels at random moments hit their own statement
 * only; broken, endless, half-closed and silent connections disturb nobody and leave no memory
 * behind. SLIPWAY_TEST_CANCELS asks for more than the suite's own few.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HEADER_BYTES } from '../../src/pgwire/message-code.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import { cancelRequest } from '../../src/pgwire/startup-packet.ts'
import {
  bindMessage, executeMessage, parseMessage, queryMessage, rowsOf, sqlStateOf, startupPacket,
  syncMessage, WireClient, type Message,
} from '../gateway/wire-client.ts'
import { mirrored } from '../support/mirror.ts'
import { isAlive } from '../support/slipway.ts'
import { TrustedSlipway } from '../support/trusted-slipway.ts'

const CANCELS = Number(process.env['SLIPWAY_TEST_CANCELS'] ?? 400)
const SILENT = 1000
const ROUNDS = 10

let trusted: TrustedSlipway
let gateways: readonly number[]
beforeAll(async () => {
  trusted = await TrustedSlipway.start(['--gateway-processes', '2', '--route-cost-min', '0',
    '--engine-memory', '1GB'])
  await trusted.owner.query('CREATE TABLE items (id int PRIMARY KEY, g int, v text)')
  await trusted.owner.query(`INSERT INTO items SELECT i, i % 50, 'v' || i
    FROM generate_series(1, 3000) i`)
  await mirrored(trusted.owner, ['items'])
  gateways = [1, 2].map((n) => trusted.slipway.partPid(`gateway-${n}`))
})
afterAll(() => trusted[Symbol.asyncDispose]())

/** Some are diverted, some PostgreSQL's; with those that are soon over the cancel comes late. */
const VICTIMS = [
  'SELECT pg_sleep(0.02)', 'SELECT count(*) FROM items a JOIN items b ON a.g = b.g',
  'SELECT g, count(*) FROM items GROUP BY g ORDER BY g', 'SELECT 1', 'SELECT pg_sleep(5)',
] as const
const CANCELED = '57014'

describe('cancel', () => {
  it(`${CANCELS} at random moments hit their own statement or none`, async () => {
    const witness = await Witness.start()
    const found = await Promise.all(Array.from({ length: 8 }, () => cancelled(CANCELS / 8)))
    const hits = found.reduce((sum, one) => sum + one, 0)
    expect(await witness.stop()).toEqual({ disturbed: [] })
    expect(hits).toBeGreaterThan(CANCELS / 20)
  }, 1_800_000)
})

/** One session that is cancelled `times` times; how often a statement was hit. */
async function cancelled(times: number): Promise<number> {
  const { client, key } = await keyed()
  let hits = 0
  for (let time = 0; time < times; time++) {
    const sql = VICTIMS[randomInt(VICTIMS.length)] ?? 'SELECT 1'
    client.send(randomInt(2) === 0 ? queryMessage(sql) : Buffer.concat([
      parseMessage('', sql), bindMessage({ statement: '' }), executeMessage(), syncMessage()]))
    const answer = client.until('Z')
    await delay(randomInt(12))
    const relay = await WireClient.silent(trusted.through)
    relay.send(cancelRequest(key))
    // Its end says that the signal is on its way; it may still reach the next statement, as
    // with PostgreSQL itself: so the next one is a harmless one of this very session.
    await relay.untilClosed()
    const state = sqlStateOf(await answer)
    expect([null, CANCELED]).toContain(state)
    if (state === CANCELED) hits += 1
    expect([null, CANCELED]).toContain(sqlStateOf(await client.query('SELECT pg_sleep(0.001)')))
  }
  await client[Symbol.asyncDispose]()
  return hits
}

async function keyed(): Promise<{ readonly client: WireClient; readonly key: Buffer }> {
  const client = await WireClient.silent(trusted.through)
  client.send(startupPacket(trusted.login))
  const greeting = await client.until('Z')
  const told = greeting.find(({ code }) => code === 'K')
  if (told === undefined) throw new Error('no BackendKeyData came')
  return { client, key: told.bytes.subarray(HEADER_BYTES) }
}

/** Sessions that nobody cancels and that work all the time, in both routes. */
class Witness {
  readonly #disturbed: string[] = []
  #isOver = false
  #done: Promise<unknown> = Promise.resolve()

  static async start(): Promise<Witness> {
    const witness = new Witness()
    const clients = await Promise.all([1, 2, 3, 4].map(() => trusted.connect('through')))
    witness.#done = Promise.all(clients.map((client) => witness.#work(client)))
    return witness
  }

  async #work(client: WireClient): Promise<void> {
    while (!this.#isOver) {
      const point = await client.query('SELECT v FROM items WHERE id = 17')
      const counted = await client.query('SELECT count(*), max(g) FROM items')
      const told = JSON.stringify([...rowsOf(point), ...rowsOf(counted)])
      if (told !== '[["v17"],["3000","49"]]') this.#disturbed.push(reportOf(point, counted))
    }
    await client[Symbol.asyncDispose]()
  }

  async stop(): Promise<{ readonly disturbed: readonly string[] }> {
    this.#isOver = true
    await this.#done
    return { disturbed: this.#disturbed }
  }
}

function reportOf(...answers: readonly (readonly Message[])[]): string {
  return answers.map((answer) => sqlStateOf(answer) ?? JSON.stringify(rowsOf(answer))).join(' ')
}

describe('strangers', () => {
  it(`${ROUNDS} rounds of broken frames: no crash, nobody disturbed, no memory kept`, async () => {
    const witness = await Witness.start()
    await round(1)
    const before = memoryOf(gateways)
    for (let n = 0; n < ROUNDS; n++) await round(n)
    const after = memoryOf(gateways)
    expect(await witness.stop()).toEqual({ disturbed: [] })
    expect(gateways.map(isAlive)).toEqual([true, true])
    // Each round is some 100 connections with up to 300 kB each: kept, it would be 300 MB.
    expect(after - before).toBeLessThan(100 * 1024)
  })

  it(`${SILENT} silent connections cost PostgreSQL nothing and keep nobody out`, async () => {
    const silent = await Promise.all(Array.from({ length: SILENT }, () =>
      WireClient.silent(trusted.through)))
    await using client = await trusted.connect('through')
    expect(rowsOf(await client.query(`SELECT count(*) FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND usename = 'wire'`))).toEqual([['1']])
    await Promise.all(silent.map((one) => one[Symbol.asyncDispose]()))
    expect(sqlStateOf(await client.query('SELECT 1'))).toBe(null)
  })

  it('a message that PostgreSQL refuses is refused with its very words', async () => {
    const broken = [
      frame('Q', 'no end'), frame('?', 'unknown'), frame('B', randomBytes(9)),
      frame('P', 'x'), frame('E', ''), frame('D', 'Zname\0'), frame('F', 'y'),
      Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0x51, 0, 0, 0, 2]),
      Buffer.from([0x53, 0x7f, 0xff, 0xff, 0xff]), frame('d', randomBytes(99)), frame('p', 'x'),
    ]
    for (const bytes of broken) {
      const [told, expected] = await Promise.all((['through', 'direct'] as const).map(
        async (way) => {
          await using client = await trusted.connect(way)
          client.send(Buffer.concat([bytes, syncMessage()]))
          client.end()
          return (await client.untilClosed()).map((message) => message.bytes.toString('latin1'))
        }))
      expect(told, bytes.toString('latin1')).toEqual(expected)
    }
  })
})

/** Strangers of every kind, before and after the login, all at once. */
async function round(seed: number): Promise<void> {
  await Promise.all(Array.from({ length: 100 }, async (_, n) => {
    const isIn = n % 2 === 0
    const client = isIn ? await trusted.connect('through')
      : await WireClient.silent(trusted.through)
    const bytes = garbage(seed + n, isIn)
    if (n % 10 < 2) await client.trickle(bytes.subarray(0, 400))
    else client.send(bytes)
    if (n % 3 === 0) client.end()
    await Promise.race([client.untilClosed(), delay(50 + randomInt(100))])
    await client[Symbol.asyncDispose]()
  }))
}

function garbage(kind: number, isIn: boolean): Buffer {
  const startup = startupPacket(trusted.login)
  switch (kind % 6) {
    case 0: return randomBytes(1 + randomInt(300_000))
    case 1: return isIn ? frame('Q', Buffer.concat([Buffer.from('SELECT count(*) FROM items -- '),
      Buffer.alloc(200_000, 0x78)])) : startup.subarray(0, randomInt(startup.length))
    // Far longer than what comes.
    case 2: return Buffer.from([isIn ? 0x50 : 0, 0x3f, 0xff, 0xff, 0xff, 0x73, 0, 0x53])
    case 3: return Buffer.concat([syncMessage(), executeMessage(), bindMessage({ statement: 'x' }),
      parseMessage('x', 'SELECT count(*) FROM items'), ...isIn ? [] : [startup]])
    case 4: return Buffer.concat([startup, startup])
    default: return Buffer.concat(Array.from({ length: 20 }, () =>
      frame([...'QPBDESCHFdcfXp'][randomInt(14)] ?? 'S', randomBytes(randomInt(200)))))
  }
}

function frame(code: string, body: Uint8Array | string): Buffer {
  return new MessageWriter().begin(code.charCodeAt(0)).bytes(Buffer.from(body)).finish().take()
}

/** Resident kB of all the processes; where there is no /proc, none. */
function memoryOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      return sum + Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    } catch {
      return sum
    }
  }, 0)
}
