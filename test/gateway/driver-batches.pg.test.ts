/**
 * Diversion, PreparedStatements, UnnamedPortal: batches as drivers send them. Behind a BEGIN, with
 * a Flush in the middle, with a row limit; and what of the client's the server keeps meanwhile.
 */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import { ComparedClients, COUNT, GROUPS, ITEMS, oneShot } from './compared-clients.ts'
import { ScratchGateway } from './scratch-gateway.ts'
import {
  bindMessage, closeStatement, describePortal, describeStatement, executeMessage, flushMessage,
  letters, parseMessage, queryMessage, sqlStateOf, statusOf, syncMessage,
} from './wire-client.ts'

let scratch: ScratchGateway
let clients: ComparedClients

beforeAll(async () => {
  scratch = await ScratchGateway.start({ socketIo: 'node' })
  await scratch.postgres.client.query(ITEMS)
  return () => scratch[Symbol.asyncDispose]()
})
beforeEach(async () => {
  scratch.engine.answered.length = 0
  clients = await ComparedClients.connect(scratch)
  return () => clients[Symbol.asyncDispose]()
})

const both: ComparedClients['both'] = (bytes, syncs) => clients.both(bytes, syncs)

it('prepared and described up to a Flush, bound after the answer', async () => {
  for (const value of ['10', '20']) {
    const prepare = Buffer.concat([parseMessage('s', COUNT), describeStatement('s'),
      flushMessage()])
    for (const each of [clients.through, clients.direct]) each.send(prepare)
    await clients.same(1, 'T')
    await both(Buffer.concat([bindMessage({ statement: 's', values: [value] }),
      executeMessage(), syncMessage()]))
    await both(Buffer.concat([closeStatement('s'), syncMessage()]))
  }
  expect(scratch.engine.answered).toEqual([COUNT, COUNT])
})

it('a setting that a refusal in a block puts back is told behind the error', async () => {
  await both(queryMessage(`BEGIN; SET application_name = 'inside'`))
  expect(letters(await both(oneShot('SELECT count(nothing) FROM items')))).toBe('ESZ')
  await both(queryMessage('ROLLBACK'))
})

it('a refused named statement leaves the unnamed one of a diverted answer', async () => {
  const unnamed = Buffer.concat([bindMessage({ statement: '' }), executeMessage(), syncMessage()])
  for (const begin of ['BEGIN', 'SELECT 1']) {
    await both(queryMessage(begin))
    await both(Buffer.concat([parseMessage('s', COUNT), syncMessage()]))
    await both(oneShot(GROUPS))
    expect(sqlStateOf(await both(Buffer.concat([parseMessage('s', COUNT),
      bindMessage({ statement: 's', values: ['1'] }), executeMessage(), syncMessage()]))))
      .toBe('42P05')
    await both(unnamed)
    await both(queryMessage('ROLLBACK; DEALLOCATE ALL'))
  }
})

it('a refused Parse up to a Flush, and what PostgreSQL skips behind it', async () => {
  const prepare = Buffer.concat([parseMessage('s', 'SELECT count(*) FROM nothing'),
    describeStatement('s'), flushMessage()])
  for (const each of [clients.through, clients.direct]) each.send(prepare)
  await clients.same(1, 'E')
  await both(Buffer.concat([parseMessage('s', COUNT), bindMessage({ statement: 's',
    values: ['1'] }), executeMessage(), syncMessage()]))
  expect(scratch.engine.answered).toEqual([])
})

describe('the portal of a diverted answer, inside a block', () => {
  const again = (...messages: Buffer[]): Buffer => Buffer.concat([...messages, syncMessage()])

  it('is exhausted, described as before, and of no use to what does not name it', async () => {
    await both(queryMessage('BEGIN'))
    await both(oneShot(GROUPS, [1]))
    await both(again(parseMessage('s', 'SELECT 1'), bindMessage({ statement: 's', portal: 'p' }),
      executeMessage(0, 'p')))
    expect(letters(await both(again(describePortal(), executeMessage())))).toBe('TCZ')
    expect(letters(await both(again(executeMessage(1))))).toBe('CZ')
    await both(oneShot(COUNT.replace('$1', '5')))
    // Behind something else in one batch, in one packet with another batch, and in pieces.
    await both(again(parseMessage('t', 'SELECT 2'), executeMessage()))
    await both(oneShot(GROUPS))
    await both(Buffer.concat([oneShot('SELECT 3').subarray(0, -5), again(executeMessage())]))
    await both(oneShot(GROUPS))
    await both(Buffer.concat([again(parseMessage('u', 'SELECT 4')), again(executeMessage())]), 2)
    await both(oneShot(GROUPS))
    const pieces = again(closeStatement('t'), flushMessage(), executeMessage())
    clients.direct.send(pieces)
    await clients.through.trickle(pieces)
    await clients.same()
    expect(scratch.engine.answered).toHaveLength(5)
    await both(queryMessage('COMMIT'))
    expect(sqlStateOf(await both(again(executeMessage())))).toBe('34000')
  })

  it('outlives its statement, named or not', async () => {
    await both(again(parseMessage('s', COUNT)))
    await both(queryMessage('BEGIN'))
    await both(again(bindMessage({ statement: 's', values: ['5'], resultFormats: [1] }),
      executeMessage()))
    await both(again(closeStatement('s')))
    expect(letters(await both(again(describePortal(), executeMessage())))).toBe('TCZ')
    await both(oneShot(GROUPS))
    await both(again(parseMessage('', 'SELECT 1')))
    await both(again(describePortal(), executeMessage()))
    await both(again(bindMessage({ statement: '' }), executeMessage()))
    await both(queryMessage('COMMIT'))
    await both(queryMessage('SELECT name FROM pg_prepared_statements'))
    expect(scratch.engine.answered).toEqual([COUNT, GROUPS])
  })

  it('is gone after a Query, a Close and the block\'s end, as in PostgreSQL', async () => {
    const bound = again(bindMessage({ statement: 's', values: ['5'] }), executeMessage())
    await both(again(parseMessage('s', COUNT)))
    for (const end of [queryMessage('SELECT 1'),
      again(new MessageWriter().begin(0x43).byte(0x50).byte(0).finish().take())]) {
      await both(queryMessage('BEGIN'))
      await both(bound)
      await both(end)
      expect(sqlStateOf(await both(again(executeMessage())))).toBe('34000')
      await both(queryMessage('ROLLBACK'))
    }
    await both(bound)
    expect(sqlStateOf(await both(again(describePortal())))).toBe('34000')
    expect(scratch.engine.answered).toEqual([COUNT, COUNT, COUNT])
  })
})

it('a row limit that the result does not reach, meets or passes', async () => {
  const limited = (rowsMax: number): Buffer => Buffer.concat([
    parseMessage('', `${GROUPS} LIMIT 4`), bindMessage({ statement: '' }), describePortal(),
    executeMessage(rowsMax), syncMessage()])
  const ends = []
  for (const rowsMax of [-1, 1, 3, 4, 5]) {
    ends.push(letters(await both(limited(rowsMax))).slice(-2))
  }
  expect(ends).toEqual(['CZ', 'sZ', 'sZ', 'sZ', 'CZ'])
  expect(scratch.engine.answered).toHaveLength(5)
  // Inside a block the portal stays.
  await both(queryMessage('BEGIN'))
  await both(limited(3))
  await both(Buffer.concat([executeMessage(3), syncMessage()]))
  await both(queryMessage('COMMIT'))
  expect(scratch.engine.answered).toHaveLength(5)
})

it.each([
  ['Parse, Bind and Execute', Buffer.concat([parseMessage('', 'BEGIN'),
    bindMessage({ statement: '' }), executeMessage()])],
  ['a Query', queryMessage('START TRANSACTION READ ONLY;')],
])('behind a BEGIN in the same packet: %s', async (_name, begin) => {
  const isQuery = begin[0] === 0x51
  const told = await both(Buffer.concat([begin, oneShot(GROUPS)]), isQuery ? 2 : 1)
  expect([letters(told), statusOf(told)])
    .toEqual([isQuery ? 'CZ12TDDDDDCZ' : '12C12TDDDDDCZ', 'T'])
  await both(oneShot(GROUPS))
  await both(queryMessage('SELECT transaction_timestamp() IS NOT NULL; COMMIT'))
  // Nothing stands behind this one that is worth a wait.
  await both(Buffer.concat([begin, oneShot('SELECT 1'), oneShot('COMMIT')]), isQuery ? 3 : 2)
  expect(scratch.engine.answered).toEqual([GROUPS, GROUPS])
})

it('behind a BEGIN that was prepared before', async () => {
  await both(Buffer.concat([parseMessage('b', 'begin isolation level repeatable read'),
    parseMessage('s', COUNT), syncMessage()]))
  const batch = Buffer.concat([bindMessage({ statement: 'b' }), executeMessage(),
    bindMessage({ statement: 's', values: ['5'] }), describePortal(), executeMessage(),
    syncMessage()])
  expect(letters(await both(batch))).toBe('2C2TDCZ')
  await both(queryMessage('SHOW transaction_isolation'))
  await both(queryMessage('COMMIT'))
  expect(scratch.engine.answered).toEqual([COUNT])
})

it('behind a BEGIN that is refused, everything is skipped up to the Sync', async () => {
  for (const begin of [Buffer.concat([parseMessage('', 'BEGIN READ NEVER'),
    bindMessage({ statement: '' }), executeMessage()]), queryMessage('BEGIN READ NEVER')]) {
    const syncs = begin[0] === 0x51 ? 2 : 1
    const told = await both(Buffer.concat([begin, oneShot(GROUPS)]), syncs)
    expect(sqlStateOf(told)).toBe('42601')
    expect(statusOf(told)).toBe('I')
    await both(oneShot('SELECT 1'))
  }
})
