/** Session (S1-S4), ClientGreeting (G1-G4), CancelRelay: PostgreSQL through us. */
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { GatewayServer } from '../../src/gateway/gateway-server.ts'
import { BACKEND, FRONTEND } from '../../src/pgwire/message-code.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import { SCRATCH_DATABASE, SCRATCH_PASSWORD, SCRATCH_USER } from '../support/scratch-postgres.ts'
import { LOGIN, NO_CERTIFICATES, ScratchGateway } from './scratch-gateway.ts'
import {
  bindMessage, executeMessage, letters, parseMessage, queryMessage, rowsOf, sqlStateOf,
  startupPacket, statusOf, syncMessage, WireClient,
} from './wire-client.ts'

const run = promisify(execFile)
let scratch: ScratchGateway
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-tls-'))
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')])
  scratch = await ScratchGateway.start({ tls: { certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'), clientCaFile: null, isRequired: false } })
})
afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const copyData = (bytes: Buffer): Buffer =>
  new MessageWriter().begin(FRONTEND.copyData).bytes(bytes).finish().take()
const copyDone = (): Buffer => new MessageWriter().begin(FRONTEND.copyDone).finish().take()

describe('PostgreSQL through the gateway', () => {
  it('SCRAM, a parameter, an error and a notification with node-postgres', async () => {
    const client = new pg.Client({ host: '127.0.0.1', port: scratch.port, user: SCRATCH_USER,
      password: SCRATCH_PASSWORD, database: SCRATCH_DATABASE })
    await client.connect()
    expect((await client.query('SELECT $1::int + 1 AS n', [41])).rows).toEqual([{ n: 42 }])
    await expect(client.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' })
    const heard = once(client, 'notification')
    await client.query('LISTEN news')
    await scratch.postgres.client.query(`NOTIFY news, 'hello'`)
    expect(await heard).toMatchObject([{ channel: 'news', payload: 'hello' }])
    await client.end()
  })

  it('a wrong password is PostgreSQL\'s to refuse', async () => {
    const client = new pg.Client({ host: '127.0.0.1', port: scratch.port, user: SCRATCH_USER,
      password: 'wrong', database: SCRATCH_DATABASE })
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' })
  })

  it('rows larger than every buffer, both ways', async () => {
    await using client = await scratch.connect()
    const told = await client.query(`SELECT repeat('x', 30000000)`)
    expect(told[1]?.bytes.length).toBe(30_000_000 + 11)
    const text = randomBytes(2_000_000).toString('hex')
    client.send(Buffer.concat([parseMessage('', 'SELECT md5($1)'),
      bindMessage({ statement: '', values: [text] }), executeMessage(), syncMessage()]))
    const { rows } = await scratch.postgres.client.query<{ md5: string }>('SELECT md5($1)', [text])
    expect(rowsOf(await client.until('Z'))).toEqual([[rows[0]?.md5]])
    expect(rowsOf(await client.query(`SELECT length('${text}')`))).toEqual([['4000000']])
  })

  it('many small rows to a reader that takes its time, byte for byte', async () => {
    await using client = await scratch.connect()
    client.pause()
    client.send(queryMessage('SELECT i, md5(i::text) FROM generate_series(1, 100000) i'))
    await delay(300)
    client.resume()
    const rows = rowsOf(await client.until('Z'))
    expect(rows).toHaveLength(100_000)
    expect(rows.at(-1)).toEqual(
      ['100000', createHash('md5').update('100000').digest('hex')])
  })

  it('COPY in by Query and by Execute, COPY out, and the session goes on', async () => {
    await using client = await scratch.connect()
    await client.query('CREATE TEMP TABLE copied (id int, t text)')
    const lines = Array.from({ length: 50_000 }, (_, i) => `${i}\tvalue ${i}\n`).join('')
    client.send(queryMessage('COPY copied FROM STDIN'))
    await client.until('G')
    client.send(Buffer.concat([copyData(Buffer.from(lines)), copyDone()]))
    expect(letters(await client.until('Z'))).toBe('CZ')
    // As libpq does: the first Sync is ignored by the server.
    client.send(Buffer.concat([parseMessage('', 'COPY copied FROM STDIN'),
      bindMessage({ statement: '' }), executeMessage(), syncMessage()]))
    await client.until('G')
    client.send(Buffer.concat([copyData(Buffer.from('1\tone\n')), copyDone(), syncMessage()]))
    expect(letters(await client.until('Z'))).toBe('CZ')
    const out = await client.query('COPY copied TO STDOUT')
    expect(out.filter(({ code }) => code === 'd')).toHaveLength(50_001)
    const { length } = scratch.engine.probes
    await client.query('SELECT count(*) FROM pg_class')
    expect(scratch.engine.probes).toHaveLength(length + 1)
  })

  it('a failed COPY leaves the session in order', async () => {
    await using client = await scratch.connect()
    await client.query('CREATE TEMP TABLE copied (id int)')
    for (const extended of [false, true]) {
      client.send(extended ? Buffer.concat([parseMessage('', 'COPY copied FROM STDIN'),
        bindMessage({ statement: '' }), executeMessage(), syncMessage()])
        : queryMessage('COPY copied FROM STDIN'))
      await client.until('G')
      client.send(Buffer.concat([copyData(Buffer.from('no number\n')), copyDone(),
        ...extended ? [syncMessage()] : []]))
      expect(sqlStateOf(await client.until('Z'))).toBe('22P02')
      expect(rowsOf(await client.query('SELECT id FROM copied'))).toEqual([])
    }
  })

  it('pipelines with an error in the middle skip to the Sync', async () => {
    await using client = await scratch.connect()
    const one = (sql: string): Buffer => Buffer.concat([
      parseMessage('', sql), bindMessage({ statement: '' }), executeMessage()])
    client.send(Buffer.concat([one('SELECT 1'), one('SELECT 1/0'), one('SELECT 3'), syncMessage(),
      one('SELECT 4'), syncMessage()]))
    expect(letters(await client.until('Z', 2))).toBe('12DC1EZ12DCZ')
  })

  it('startup parameters arrive as they were sent', async () => {
    await using client = await WireClient.connect(scratch.address, { ...LOGIN,
      options: '-c statement_timeout=12345', application_name: 'me' })
    expect(rowsOf(await client.query('SHOW statement_timeout'))).toEqual([['12345ms']])
    expect(rowsOf(await client.query('SHOW application_name'))).toEqual([['me']])
  })

  it('pg_terminate_backend ends that very session, with PostgreSQL\'s words', async () => {
    await using client = await scratch.connect()
    const [[pid]] = rowsOf(await client.query('SELECT pg_backend_pid()')) as [[string]]
    await scratch.postgres.client.query('SELECT pg_terminate_backend($1)', [pid])
    expect(sqlStateOf(await client.untilClosed())).toBe('57P01')
  })

  it('a client that goes away takes its server process along', async () => {
    const client = await scratch.connect()
    const [[pid]] = rowsOf(await client.query('SELECT pg_backend_pid()')) as [[string]]
    await client[Symbol.asyncDispose]()
    for (let turn = 0; ; turn++) {
      const { rowCount } = await scratch.postgres.client.query(
        'SELECT FROM pg_stat_activity WHERE pid = $1', [pid])
      if (rowCount === 0) break
      expect(turn).toBeLessThan(100)
      await delay(20)
    }
  })

  it('a half-closed client still gets its answer', async () => {
    const client = await scratch.connect()
    client.send(queryMessage('SELECT pg_sleep(0.2), 7'))
    client.end()
    expect(letters(await client.untilClosed())).toBe('TDCZ')
  })

  it('replication commands', async () => {
    await using client = await WireClient.connect(scratch.address,
      { ...LOGIN, replication: 'database' })
    expect(letters(await client.query('IDENTIFY_SYSTEM'))).toBe('TDCZ')
  })
})

describe('TLS', () => {
  const login = async (socket: ReturnType<typeof connectTls>): Promise<string> => {
    socket.write(Buffer.concat([startupPacket(LOGIN)]))
    let text = ''
    socket.on('data', (chunk: Buffer) => { text += chunk.toString('latin1') })
    while (!text.includes('Z\0\0\0\x05')) await once(socket, 'data')
    socket.destroy()
    return text
  }

  it('after SSLRequest', async () => {
    const plain = connect({ host: '127.0.0.1', port: scratch.port })
    plain.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    const [answer] = await once(plain, 'data') as [Buffer]
    expect(answer.toString()).toBe('S')
    const socket = connectTls({ socket: plain, ca: readFileSync(join(folder, 'cert.pem')),
      servername: 'localhost' })
    expect(await login(socket)).toContain('server_version')
  })

  it('at once, with ALPN; refused without', async () => {
    const options = { host: '127.0.0.1', port: scratch.port, servername: 'localhost',
      ca: readFileSync(join(folder, 'cert.pem')) }
    expect(await login(connectTls({ ...options, ALPNProtocols: ['postgresql'] })))
      .toContain('server_version')
    const nameless = connectTls(options)
    nameless.on('error', () => {})
    await once(nameless, 'close')
  })

  it('bytes in clear behind an SSLRequest end the connection', async () => {
    const socket = await WireClient.silent(scratch.address)
    socket.send(Buffer.concat([Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), startupPacket(LOGIN)]))
    expect(await socket.untilClosed()).toEqual([])
  })

  it('GSSENCRequest is answered N, and the session goes on in clear', async () => {
    const socket = connect({ host: '127.0.0.1', port: scratch.port })
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 48]))
    const [answer] = await once(socket, 'data') as [Buffer]
    expect(answer.toString()).toBe('N')
    socket.write(startupPacket(LOGIN))
    const [next] = await once(socket, 'data') as [Buffer]
    expect(next[0]).toBe(BACKEND.authentication)
    socket.destroy()
  })
})

describe('strangers and broken clients', () => {
  it('garbage before the login ends the connection and nothing else', async () => {
    const packets = [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(64),
      Buffer.from([0, 0, 0, 4]), Buffer.from([255, 255, 255, 255, 0, 0, 0, 0]),
      ...Array.from({ length: 40 }, () => randomBytes(40))]
    for (const packet of packets) {
      const socket = await WireClient.silent(scratch.address)
      socket.send(packet)
      socket.end()
      await socket.untilClosed()
    }
    await using client = await scratch.connect()
    expect(statusOf(await client.query('SELECT 1'))).toBe('I')
  })

  it('another major version is PostgreSQL\'s to refuse', async () => {
    const socket = await WireClient.silent(scratch.address)
    socket.send(startupPacket(LOGIN, 4 << 16))
    expect(sqlStateOf(await socket.untilClosed())).toBe('0A000')
  })

  it('frames of impossible length are refused with 08P01, as PostgreSQL does', async () => {
    for (const code of 'QPBDESCHFdcfXpz?') {
      const frame = Buffer.from([code.charCodeAt(0), 0, 0, 0, 1, 0, 0])
      const told = await Promise.all([scratch.address, scratch.direct].map(async (address) => {
        const client = await WireClient.connect(address, LOGIN)
        client.send(frame)
        client.end()
        return (await client.untilClosed()).map(({ bytes }) => bytes.toString('latin1'))
      }))
      expect(told[0], code).toEqual(told[1])
    }
  })

  it('random frames after the login disturb nobody else', async () => {
    await using witness = await scratch.connect()
    for (let round = 0; round < 60; round++) {
      const client = await scratch.connect()
      const frames = Array.from({ length: 8 }, () => {
        const body = randomBytes(Math.floor(Math.random() * 60))
        const code = [...'QPBDESCHdcfX'][Math.floor(Math.random() * 12)] ?? 'S'
        return new MessageWriter().begin(code.charCodeAt(0)).bytes(body).finish().take()
      })
      client.send(Buffer.concat(frames))
      client.end()
      await Promise.race([client.untilClosed(), delay(2_000)])
      await client[Symbol.asyncDispose]()
    }
    expect(rowsOf(await witness.query('SELECT 1'))).toEqual([['1']])
  })
})

describe('the gateway itself', () => {
  it('answers 57P03 while PostgreSQL does not', async () => {
    await using orphan = disposable(new GatewayServer({ host: '127.0.0.1', port: 0, tls: null,
      certificates: NO_CERTIFICATES, slowStatementMs: null, socketIo: 'auto',
      target: { kind: 'socket', directory: folder, port: 1 }, linkPath: join(folder, 'no.sock'),
      logger: silentLogger }))
    const client = await WireClient.silent({ host: '127.0.0.1', port: await orphan.it.listen() })
    client.send(startupPacket(LOGIN))
    expect(sqlStateOf(await client.untilClosed())).toBe('57P03')
  })

  it('stop() ends idle sessions with 57P01 and lets a transaction end', async () => {
    await using other = disposable(new GatewayServer({ host: '127.0.0.1', port: 0, tls: null,
      certificates: NO_CERTIFICATES, slowStatementMs: null, socketIo: 'auto',
      target: scratch.postgres.target, linkPath: scratch.linkPath, logger: silentLogger }))
    const address = { host: '127.0.0.1', port: await other.it.listen() }
    const idle = await WireClient.connect(address, LOGIN)
    const busy = await WireClient.connect(address, LOGIN)
    await busy.query('BEGIN')
    const stopped = other.it.stop(5_000)
    expect(sqlStateOf(await idle.untilClosed())).toBe('57P01')
    expect(statusOf(await busy.query('SELECT 1'))).toBe('T')
    expect(statusOf(await busy.query('COMMIT'))).toBe('I')
    expect(sqlStateOf(await busy.untilClosed())).toBe('57P01')
    await stopped
  })

  it('refuses a port that is taken, by its name', async () => {
    const second = new GatewayServer({ host: '127.0.0.1', port: scratch.port, tls: null,
      certificates: NO_CERTIFICATES, slowStatementMs: null, socketIo: 'auto',
      target: scratch.postgres.target, linkPath: scratch.linkPath, logger: silentLogger })
    await expect(second.listen()).rejects.toMatchObject({ code: 'port-taken' })
  })
})

function disposable(it: GatewayServer): AsyncDisposable & { readonly it: GatewayServer } {
  return { it, [Symbol.asyncDispose]: () => it.stop(0) }
}
