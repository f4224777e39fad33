/**
 * PostgreSQL's own clients, of the newest version, through the gateway before each version of
 * the server: protocol versions and cancel keys, dumps, base backups, standbys, WAL, decoding.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cancelRequest } from '../../src/pgwire/startup-packet.ts'
import {
  queryMessage, sqlStateOf, startupPacket, WireClient, type Message,
} from '../gateway/wire-client.ts'
import { POSTGRES_CLIENTS } from '../support/cache.ts'
import { runClient } from '../support/libpq-client.ts'
import { mirrored } from '../support/mirror.ts'
import { poll } from '../support/poll.ts'
import { describeWith } from '../support/requires.ts'
import { servePostgres } from '../support/scratch-postgres.ts'
import { serverSocket } from '../support/server-socket.ts'
import { cleanEnvironment, temporaryFolder } from '../support/slipway.ts'
import type { Address } from '../support/sql-client.ts'
import { TrustedSlipway } from '../support/trusted-slipway.ts'

const run = promisify(execFile)
const VERSIONS = [16, 17, 18] as const
const PROTOCOL_3_0 = 3 << 16
const PROTOCOL_3_2 = PROTOCOL_3_0 + 2
/** Of no version there will be: a client may ask for it to see whether it is told no. */
const PROTOCOL_GREASE = PROTOCOL_3_0 + 9999
const PIPELINE = `\\startpipeline
SELECT count(*) FROM items \\bind \\sendpipeline
SELECT g, sum(id) FROM items WHERE g < $1 GROUP BY g \\bind 1 \\sendpipeline
\\endpipeline
`
const ENDLESS = 'SELECT count(*) FROM items a, items b, items c WHERE a.g + b.g > c.g'

for (const version of VERSIONS) {
  describeWith(['postgresTests'], `before PostgreSQL ${version}`, () => { suite(version) })
}

function suite(version: typeof VERSIONS[number]): void {
  let trusted: TrustedSlipway
  /** The gateway, and PostgreSQL itself, for the owner. */
  let through: Address
  let direct: Address
  beforeAll(async () => {
    trusted = await TrustedSlipway.start(['--pg-version', String(version),
      '--gateway-processes', '2', '--route-cost-min', '0', '--engine-memory', '1GB'])
    through = trusted.slipway.address
    const socket = serverSocket(join(trusted.slipway.dataDir, 'postgres'))
    direct = { ...through, host: socket.directory, port: socket.port }
    await trusted.owner.query(`CREATE TABLE items (id int PRIMARY KEY, g int, v text);
      INSERT INTO items SELECT i, i % 7, 'v' || i FROM generate_series(1, 5000) i;
      ANALYZE items`)
    await mirrored(trusted.owner, ['items'])
  })
  afterAll(() => trusted[Symbol.asyncDispose]())

  it('a client gets the protocol version and the options that the server has', async () => {
    for (const protocol of [PROTOCOL_3_0, PROTOCOL_3_2, PROTOCOL_GREASE]) {
      const options = { ...trusted.login, '_pq_.unheard_of': 'on' }
      const [told, expected] = await Promise.all([trusted.through, trusted.direct].map(
        async (address) => {
          await using client = await WireClient.silent(address)
          client.send(startupPacket(options, protocol))
          return (await client.until('Z')).map(keyless)
        }))
      expect(told).toEqual(expected)
      expect(expected?.[0]?.startsWith('v')).toBe(true)
    }
    const key = (await login(PROTOCOL_3_2)).key
    expect(key.length).toBe(version >= 18 ? 4 + 32 : 4 + 4)
  })

  it('cancels find their statement in either gateway process, by a key of any length', async () => {
    for (const protocol of [PROTOCOL_3_0, PROTOCOL_3_2]) {
      for (const sql of ['SELECT pg_sleep(60)', ENDLESS]) {
        const { client, key } = await login(protocol)
        client.send(queryMessage(sql))
        let told: readonly Message[] | null = null
        const answer = client.until('Z').then((messages) => { told = messages })
        // Each goes to whichever process takes it; one that comes too early hits nothing.
        for (let turn = 0; told === null && turn < 200; turn++) {
          await using messenger = await WireClient.silent(trusted.through)
          messenger.send(cancelRequest(key))
          expect(await messenger.untilClosed()).toEqual([])
          await Promise.race([answer, delay(100)])
        }
        await answer
        expect(sqlStateOf(told ?? []), sql).toBe('57014')
        await client[Symbol.asyncDispose]()
      }
    }
  })

  it('psql: its newest protocol, a cancel by Ctrl-C, a pipeline', async () => {
    const words = `min_protocol_version=3.${version >= 18 ? 2 : 0} max_protocol_version=latest`
    const psql = (...args: readonly string[]): Promise<string> =>
      runClient(join(POSTGRES_CLIENTS, 'psql'), through, ['-X', '-At', '-d', words, ...args])
    expect(await psql('-c', '\\conninfo')).toContain(`Protocol Version|3.${version >= 18 ? 2 : 0}`)
    const folder = temporaryFolder('psql')
    writeFileSync(join(folder, 'script'), PIPELINE)
    expect(await psql('-f', join(folder, 'script'))).toBe('5000\n0|1786785\n')
    rmSync(folder, { recursive: true, force: true })
    const child = spawn(join(POSTGRES_CLIENTS, 'psql'),
      ['-X', '-d', words, '-c', 'SELECT pg_sleep(60)'],
      { env: clientEnvironment(through), stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    await poll('it sleeps', 5_000, async () => await trusted.owner.value(
      `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`) === '1' ? true : null)
    child.kill('SIGINT')
    await once(child, 'close')
    expect(stderr).toContain('canceling statement due to user request')
  })

  it('a dump is the same through the gateway, and what is restored dumps the same', async () => {
    await trusted.owner.query(`CREATE SCHEMA dumped; SET search_path = dumped;
      CREATE TABLE t (id serial PRIMARY KEY, v text[], n numeric DEFAULT 1.5);
      INSERT INTO t (v) SELECT ARRAY[i::text, NULL, '"'] FROM generate_series(1, 3000) i;
      CREATE VIEW totals AS SELECT n, count(*) FROM t GROUP BY n;
      RESET search_path`)
    await trusted.owner.query('CREATE DATABASE restored')
    const dump = (address: Address): Promise<string> =>
      runClient(join(POSTGRES_CLIENTS, 'pg_dump'), address,
        ['-n', 'dumped', '--restrict-key=fixed'])
    const text = await dump(through)
    expect(text).toBe(await dump(direct))
    const folder = temporaryFolder('dump')
    writeFileSync(join(folder, 'dump.sql'), text)
    const copy = { ...through, database: 'restored' }
    // Settings that an older server does not know are errors that psql goes on after.
    await runClient(join(POSTGRES_CLIENTS, 'psql'), copy,
      ['-X', '-q', '-f', join(folder, 'dump.sql')])
    expect(await dump(copy)).toBe(text)
    rmSync(folder, { recursive: true, force: true })
  })

  it('a base backup starts; a standby follows and is promoted', async () => {
    const home = temporaryFolder('standby')
    await runClient(join(POSTGRES_CLIENTS, 'pg_basebackup'), through, ['-D', join(home, 'data'),
      '-X', 'stream', '-c', 'fast', '--no-sync'])
    if (version === 18) {
      await run(join(POSTGRES_CLIENTS, 'pg_verifybackup'), ['-n', join(home, 'data')])
    }
    // What pg_basebackup -R would write; its own newer options an older server does not know.
    writeFileSync(join(home, 'data', 'standby.signal'), '')
    const { host, port, user, password, database } = through
    await using standby = await servePostgres({ version, home, login: { user, password, database },
      settings: [`primary_conninfo=host=${host} port=${port} user=${user} password=${password}`] })
    const digest = async (client: pg.Client): Promise<string> => JSON.stringify((await client.query(
      `SELECT count(*), sum(id), md5(string_agg(v, ',' ORDER BY id)) FROM items`)).rows)
    expect(await digest(standby.client)).toBe(await digest(trusted.owner.client))
    await trusted.owner.query(`UPDATE items SET v = v || ' again' WHERE id <= 100`)
    const changed = await digest(trusted.owner.client)
    await poll('the standby has followed', 20_000, async () =>
      await digest(standby.client) === changed ? true : null)
    expect((await trusted.owner.query('SELECT state FROM pg_stat_replication WHERE '
      + `application_name = 'walreceiver'`)).rows).toEqual([['streaming']])
    await standby.client.query('SELECT pg_promote()')
    await standby.client.query('DELETE FROM items')
    expect(await trusted.owner.value('SELECT count(*) FROM items')).toBe('5000')
  })

  it('pg_receivewal receives the server\'s WAL, byte for byte', async () => {
    const folder = temporaryFolder('wal')
    const receivewal = (...args: readonly string[]): Promise<string> => runClient(
      join(POSTGRES_CLIENTS, 'pg_receivewal'), through, args)
    await receivewal('--slot', 'made', '--create-slot')
    await receivewal('--slot', 'made', '--drop-slot')
    const start = await trusted.owner.value('SELECT pg_walfile_name(lsn) '
      + `FROM pg_create_physical_replication_slot('receiver', true)`)
    await trusted.owner.query(`CREATE TABLE walled AS SELECT i, repeat('w', 500) AS v
      FROM generate_series(1, 60000) i`)
    const end = await trusted.owner.value('SELECT pg_current_wal_flush_lsn()') ?? ''
    await receivewal('--slot', 'receiver', '-D', folder, '--endpos', end, '--no-loop', '--no-sync')
    const whole = readdirSync(folder).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort()
    expect(whole.length).toBeGreaterThanOrEqual(2)
    expect(whole[0]).toBe(start)
    for (const name of whole) {
      const own = readFileSync(join(trusted.slipway.dataDir, 'postgres', 'pg_wal', name))
      expect(readFileSync(join(folder, name)).equals(own), name).toBe(true)
    }
    await receivewal('--slot', 'receiver', '--drop-slot')
    rmSync(folder, { recursive: true, force: true })
  })

  it('pg_recvlogical decodes what it decodes from the server itself', async () => {
    const folder = temporaryFolder('decoded')
    const receive = (address: Address, slot: string, ...args: readonly string[]): Promise<string> =>
      runClient(join(POSTGRES_CLIENTS, 'pg_recvlogical'), address,
        ['-d', address.database, '--slot', slot, ...args])
    for (const [slot, address] of [['here', through], ['there', direct]] as const) {
      await receive(address, slot, '--create-slot', '-P', 'test_decoding')
    }
    await trusted.owner.query(`INSERT INTO items SELECT i, 1, 'streamed ' || i
      FROM generate_series(10001, 12000) i; DELETE FROM items WHERE id > 10000`)
    const end = await trusted.owner.value('SELECT pg_current_wal_flush_lsn()') ?? ''
    const decoded = new Map<string, string>()
    for (const [slot, address] of [['here', through], ['there', direct]] as const) {
      const file = join(folder, slot)
      await receive(address, slot, '--start', '--endpos', end, '--no-loop', '-f', file)
      decoded.set(slot, readFileSync(file, 'utf8'))
      await receive(address, slot, '--drop-slot')
    }
    const changes = (slot: string): readonly string[] =>
      (decoded.get(slot) ?? '').split('\n').filter((line) => line.includes('public.items'))
    expect(changes('here')).toHaveLength(4000)
    expect(changes('here')).toEqual(changes('there'))
    rmSync(folder, { recursive: true, force: true })
  })

  async function login(protocol: number): Promise<{ client: WireClient; key: Buffer }> {
    const client = await WireClient.silent(trusted.through)
    client.send(startupPacket(trusted.login, protocol))
    const messages = await client.until('Z')
    const key = messages.find(({ code }) => code === 'K')?.bytes.subarray(5) ?? Buffer.alloc(0)
    return { client, key: Buffer.from(key) }
  }
}

function clientEnvironment({ host, port, user, password, database }: Address):
Record<string, string> {
  return { ...cleanEnvironment(), PGHOST: host, PGPORT: String(port), PGUSER: user,
    PGPASSWORD: password, PGDATABASE: database }
}

/** Of a cancel key its length. */
function keyless({ code, bytes }: Message): string {
  return code + (code === 'K' ? String(bytes.length) : bytes.toString('latin1'))
}
