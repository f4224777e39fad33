/** Diversion (V1-V3), ProbeExchange (X1-X4): what a client sees. */
import { createServer } from 'node:net'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseReport } from '../../src/pgwire/backend-message.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { GatewayServer } from '../../src/gateway/gateway-server.ts'
import { cancelRequest } from '../../src/pgwire/startup-packet.ts'
import { poll } from '../support/poll.ts'
import { ComparedClients, COUNT, GROUPS, ITEMS, oneShot } from './compared-clients.ts'
import { LOGIN, NO_CERTIFICATES, ScratchGateway } from './scratch-gateway.ts'
import {
  bindMessage, closeStatement, describePortal, describeStatement, executeMessage, letters,
  parseMessage, queryMessage, rowsOf, sqlStateOf, startupPacket, statusOf, syncMessage, WireClient,
  type Message,
} from './wire-client.ts'

let scratch: ScratchGateway
let clients: ComparedClients
let client: WireClient
let direct: WireClient

beforeAll(async () => {
  scratch = await ScratchGateway.start()
  await scratch.postgres.client.query(ITEMS)
  return () => scratch[Symbol.asyncDispose]()
})
beforeEach(async () => {
  scratch.engine.behaviour = 'answer'
  scratch.engine.answered.length = 0
  clients = await ComparedClients.connect(scratch)
  client = clients.through
  direct = clients.direct
  return () => clients[Symbol.asyncDispose]()
})

const both: ComparedClients['both'] = (bytes, syncs) => clients.both(bytes, syncs)

describe('a diverted statement answers message by message as PostgreSQL does', () => {
  it('simple Query', async () => {
    const told = await both(queryMessage(GROUPS))
    expect(letters(told)).toBe('TDDDDDCZ')
    expect(scratch.engine.answered).toEqual([GROUPS])
  })

  it('no row at all', async () => {
    await both(queryMessage('SELECT g, count(*) FROM items WHERE id < 0 GROUP BY g'))
    expect(scratch.engine.answered).toHaveLength(1)
  })

  it('Parse, Bind, Describe, Execute, Sync in one go; text and binary', async () => {
    for (const formats of [[], [0], [1], [0, 1, 1, 0]]) await both(oneShot(GROUPS, formats))
    expect(scratch.engine.answered).toHaveLength(4)
  })

  it('a named statement: prepared apart, parameters bound again and again', async () => {
    await both(Buffer.concat([parseMessage('s', COUNT), describeStatement('s'), syncMessage()]))
    for (const value of ['10', '99', null]) {
      const told = await both(Buffer.concat([
        bindMessage({ statement: 's', values: [value] }), describePortal(), executeMessage(),
        syncMessage(),
      ]))
      expect(letters(told)).toBe('2TDCZ')
    }
    expect(scratch.engine.answered).toEqual([COUNT, COUNT, COUNT])
  })

  it('a named statement parsed and executed in one batch stands in PostgreSQL too', async () => {
    const batch = Buffer.concat([parseMessage('s', COUNT), describeStatement('s'),
      bindMessage({ statement: 's', values: ['3'] }), executeMessage(), syncMessage()])
    expect(letters(await both(batch))).toBe('1tT2DCZ')
    expect(scratch.engine.answered).toHaveLength(1)
    await both(queryMessage(`SELECT name, statement FROM pg_prepared_statements`))
    // 42P05: the name is taken.
    expect(sqlStateOf(await both(batch))).toBe('42P05')
  })

  it('the unnamed statement can be bound again after a diverted and before a kept answer',
    async () => {
      const again = Buffer.concat([bindMessage({ statement: '', values: ['7'] }), describePortal(),
        executeMessage(), syncMessage()])
      await both(Buffer.concat([parseMessage('', COUNT), again]))
      await both(again)
      scratch.engine.behaviour = 'decline'
      await both(again)
      await both(again)
      scratch.engine.behaviour = 'answer'
      await both(again)
      await both(Buffer.concat([describeStatement(''), syncMessage()]))
      expect(scratch.engine.answered).toHaveLength(3)
    })

  it('a simple Query drops the unnamed statement, diverted or not', async () => {
    await both(Buffer.concat([parseMessage('', COUNT), syncMessage()]))
    await both(queryMessage(GROUPS))
    expect(sqlStateOf(await both(Buffer.concat([
      bindMessage({ statement: '', values: ['7'] }), executeMessage(), syncMessage(),
    ])))).toBe('26000')
  })

  it('inside a block, with the block\'s state and settings left as they were', async () => {
    await both(queryMessage(`BEGIN; SET LOCAL client_min_messages = 'error'`))
    expect(statusOf(await both(queryMessage(GROUPS)))).toBe('T')
    expect(scratch.engine.answered).toHaveLength(1)
    for (const name of ['client_min_messages', 'debug_print_rewritten', 'debug_pretty_print',
      'log_min_messages']) await both(queryMessage(`SHOW ${name}`))
    await both(queryMessage('COMMIT'))
    await both(queryMessage('SHOW client_min_messages'))
  })

  it('statements behind a diverted one in the same packet keep their order', async () => {
    await both(Buffer.concat([queryMessage(GROUPS), queryMessage('SELECT 2'),
      queryMessage(GROUPS), queryMessage('SELECT 4')]), 4)
  })

  it('delivered byte by byte', async () => {
    const bytes = Buffer.concat([oneShot(GROUPS), queryMessage(GROUPS), oneShot('SELECT 1')])
    direct.send(bytes)
    await client.trickle(bytes)
    const [told, expected] = await Promise.all([client.until('Z', 3), direct.until('Z', 3)])
    expect(told.map(({ bytes: message }) => message)).toEqual(
      expected.map(({ bytes: message }) => message))
    expect(scratch.engine.answered).toHaveLength(2)
  })
})

describe('what stays in PostgreSQL goes there unchanged', () => {
  it.each(['decline', 'fall-back'] as const)('the engine says %s', async (behaviour) => {
    scratch.engine.behaviour = behaviour
    await both(queryMessage(GROUPS))
    await both(oneShot(GROUPS, [1]))
    await both(Buffer.concat([parseMessage('s', COUNT), describeStatement('s'),
      bindMessage({ statement: 's', values: ['3'] }), executeMessage(), syncMessage()]))
    await both(Buffer.concat([bindMessage({ statement: 's', values: ['3'] }), executeMessage(),
      syncMessage()]))
    await both(Buffer.concat([closeStatement('s'), syncMessage()]))
    await both(queryMessage('SELECT count(*) FROM pg_prepared_statements'))
    expect(scratch.engine.answered).toEqual([])
  })

  it('pipelines of several executes, row limits, named portals', async () => {
    await both(Buffer.concat([oneShot(GROUPS).subarray(0, -5), oneShot(GROUPS)]))
    await both(Buffer.concat([parseMessage('', GROUPS), bindMessage({ statement: '' }),
      executeMessage(2), executeMessage(0), syncMessage()]))
    await both(Buffer.concat([parseMessage('', GROUPS),
      bindMessage({ statement: '', portal: 'p' }), executeMessage(0, 'p'), syncMessage()]))
    expect(scratch.engine.answered).toEqual([])
  })

  it('a statement that waits for a lock waits in PostgreSQL itself', async () => {
    await using holder = await scratch.connect()
    await holder.query('BEGIN; LOCK items')
    const answer = client.query(GROUPS)
    await poll('it waits', 5_000, async () => {
      const { rowCount } = await scratch.postgres.client.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = $1`, [GROUPS])
      return rowCount === 1 ? true : null
    })
    await holder.query('COMMIT')
    expect(letters(await answer)).toBe('TDDDDDCZ')
    expect(scratch.engine.answered).toEqual([])
    expect(rowsOf(await client.query('SHOW lock_timeout'))).toEqual([['0']])
  })

  it('several statements in one text', async () => {
    await both(queryMessage(`SELECT 1; ${GROUPS}; SELECT 3`))
    expect(scratch.engine.answered).toEqual([])
  })

  it('after DEALLOCATE another statement of the same name', async () => {
    await both(Buffer.concat([parseMessage('s', COUNT), syncMessage()]))
    await both(queryMessage('DEALLOCATE s'))
    await both(queryMessage('PREPARE s AS SELECT 1'))
    await both(Buffer.concat([bindMessage({ statement: 's' }), executeMessage(), syncMessage()]))
    expect(scratch.engine.answered).toEqual([])
  })

  it('when the engine is not there', async () => {
    await scratch.stopEngine()
    await both(queryMessage(GROUPS))
    await both(oneShot(GROUPS))
    await scratch.restartEngine()
  })
})

describe('errors', () => {
  it('PostgreSQL\'s own, with their position, in and out of a block', async () => {
    const wrong = 'SELECT count(*), nope FROM items'
    await both(queryMessage(wrong))
    await both(oneShot(wrong))
    await both(queryMessage('BEGIN'))
    expect(statusOf(await both(queryMessage(wrong)))).toBe('E')
    expect(sqlStateOf(await both(queryMessage(GROUPS)))).toBe('25P02')
    await both(queryMessage('ROLLBACK'))
    await both(queryMessage('BEGIN'))
    await both(oneShot(wrong))
    await both(queryMessage('ROLLBACK'))
  })

  it('a rejection fails the block, and the session goes on', async () => {
    scratch.engine.behaviour = 'reject'
    expect(statusOf(await client.query(GROUPS))).toBe('I')
    await client.query('BEGIN')
    const told = await client.query(GROUPS)
    expect([letters(told), sqlStateOf(told), statusOf(told)]).toEqual(['EZ', 'SW002', 'E'])
    expect(statusOf(await client.query('COMMIT'))).toBe('I')
    expect(rowsOf(await client.query('SELECT 1'))).toEqual([['1']])
  })

  it('a failure after the first row is SW005', async () => {
    scratch.engine.behaviour = 'fail-late'
    const told = await client.query(GROUPS)
    expect([letters(told), sqlStateOf(told)]).toEqual(['TDDDEZ', 'SW005'])
    expect(rowsOf(await client.query('SELECT 1'))).toEqual([['1']])
  })

  it('an engine that goes away after the first row is SW005, in a block too', async () => {
    for (const block of [false, true]) {
      if (block) await client.query('BEGIN')
      scratch.engine.behaviour = 'stall'
      client.send(queryMessage(GROUPS))
      const begun = await client.until('D', 3)
      await scratch.stopEngine()
      const told = [...begun, ...await client.until('Z')]
      expect([letters(told), sqlStateOf(told), statusOf(told)])
        .toEqual(['TDDDEZ', 'SW005', block ? 'E' : 'I'])
      scratch.engine.behaviour = 'answer'
      await scratch.restartEngine()
    }
  })

  it('cancel reaches a session of another gateway process through the engine', async () => {
    scratch.engine.behaviour = 'hang'
    const other = await anotherGateway()
    await using victim = await WireClient.silent(scratch.address)
    const key = await loginForKey(victim)
    victim.send(queryMessage(GROUPS))
    await poll('the statement runs', 2_000, () =>
      scratch.engine.probes.at(-1)?.sql === GROUPS ? true : null)
    await using killer = await WireClient.silent(other.address)
    killer.send(cancelRequest(key))
    await killer.untilClosed()
    // This engine says `fallback` when it is stopped, so that PostgreSQL answers.
    expect(letters(await victim.until('Z'))).toBe('TDDDDDCZ')
    await other.stop()
  })

  it('cancel of another process\'s session does not wait for an engine that hangs', async () => {
    await scratch.stopEngine()
    const hung = createServer((socket) => { socket.resume() }).listen(scratch.linkPath)
    const other = await anotherGateway()
    await using victim = await WireClient.silent(scratch.address)
    const key = await loginForKey(victim)
    victim.send(queryMessage('SELECT pg_sleep(30)'))
    const started = Date.now()
    await using killer = await WireClient.silent(other.address)
    killer.send(cancelRequest(key))
    expect(sqlStateOf(await victim.until('Z'))).toBe('57014')
    expect(Date.now() - started).toBeLessThan(2_500)
    await other.stop()
    await new Promise((resolve) => hung.close(resolve))
    await scratch.restartEngine()
  })

  it('cancel stops the engine\'s statement and only that', async () => {
    scratch.engine.behaviour = 'hang'
    const { aborted } = scratch.engine
    await using victim = await WireClient.silent(scratch.address)
    const key = await loginForKey(victim)
    victim.send(queryMessage(GROUPS))
    await new Promise((resolve) => { setTimeout(resolve, 300) })
    await using killer = await WireClient.silent(scratch.address)
    killer.send(cancelRequest(key))
    await killer.untilClosed()
    expect(sqlStateOf(await victim.until('Z'))).toBe('57014')
    await poll('the engine has heard of it', 2_000, () =>
      scratch.engine.aborted === aborted + 1 ? true : null)
    expect(rowsOf(await victim.query('SELECT pg_sleep(0.1)::text'))).toEqual([['']])
  })

  it('cancel of a statement in PostgreSQL', async () => {
    await using victim = await WireClient.silent(scratch.address)
    const key = await loginForKey(victim)
    victim.send(queryMessage('SELECT pg_sleep(30)'))
    await new Promise((resolve) => { setTimeout(resolve, 200) })
    await using killer = await WireClient.silent(scratch.address)
    killer.send(cancelRequest(key))
    expect(sqlStateOf(await victim.until('Z'))).toBe('57014')
  })
})

describe('routes', () => {
  it('slipway.route = postgres is heeded, and given up by RESET', async () => {
    await client.query(`SET slipway.route = 'postgres'`)
    await client.query(GROUPS)
    await client.query(GROUPS)
    expect(scratch.engine.answered).toEqual([])
    await client.query(`RESET slipway.route`)
    await client.query(GROUPS)
    expect(scratch.engine.answered).toHaveLength(1)
  })

  it('slipway.route = columnar: every read of a table is analysed', async () => {
    await client.query(`SET slipway.route = 'columnar'`)
    await client.query('SELECT v FROM items WHERE id = 3')
    await client.query('SELECT 1')
    expect(scratch.engine.answered).toEqual(['SELECT v FROM items WHERE id = 3'])
    expect(scratch.engine.probes.at(-1)?.settings.route).toBe('columnar')
  })

  it('columnar and no engine is SW001', async () => {
    await client.query(`SET slipway.route = 'columnar'`)
    await scratch.stopEngine()
    expect(sqlStateOf(await client.query(GROUPS))).toBe('SW001')
    await scratch.restartEngine()
  })

  it('EXPLAIN (ROUTE), simple and extended, of good and bad statements', async () => {
    const text = (messages: readonly Message[]): string =>
      rowsOf(messages).map(([line]) => line).join('\n')
    const told = await client.query(`explain (Route) ${GROUPS}`)
    expect(letters(told)).toMatch(/^TD+CZ$/)
    expect(text(told)).toMatch(/^Route: columnar\n[^]*Estimated cost: \d+[^]*DuckDB: /)
    client.send(oneShot(`EXPLAIN (ROUTE) ${GROUPS}`))
    expect(letters(await client.until('Z'))).toMatch(/^12TD+CZ$/)
    scratch.engine.behaviour = 'decline'
    expect(text(await client.query(`EXPLAIN (ROUTE) ${GROUPS}`)))
      .toMatch(/^Route: postgres\nReason: told to decline/)
    const wrong = await client.query('EXPLAIN (ROUTE) SELECT count(*), nope FROM items')
    const error = parseReport(wrong[0]?.bytes ?? Buffer.alloc(0))
    expect([error.get('C'), error.get('P')]).toEqual(['42703', '34'])
  })
})

/** BackendKeyData's content: process id and secret. */
/** As a second gateway process of the same instance. */
async function anotherGateway() {
  const gateway = new GatewayServer({ host: '127.0.0.1', port: 0, tls: null,
    certificates: NO_CERTIFICATES, slowStatementMs: null, socketIo: 'auto',
    target: scratch.postgres.target, linkPath: scratch.linkPath, logger: silentLogger })
  const port = await gateway.listen()
  return { address: { host: '127.0.0.1', port }, stop: () => gateway.stop(0) }
}

async function loginForKey(victim: WireClient): Promise<Buffer> {
  victim.send(startupPacket(LOGIN))
  const key = (await victim.until('Z')).find(({ code }) => code === 'K')
  return key?.bytes.subarray(5) ?? Buffer.alloc(0)
}
