/**
 * The recorder: random scripts of the protocol are played to PostgreSQL itself and through the
 * gateway, aggregates on their way to the columnar engine included; the replies are equal, message
 * by message, but for process ids. fast-check prints the seed; SLIPWAY_TEST_SEED replays it,
 * SLIPWAY_TEST_RUNS plays more scripts.
 */
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { BACKEND, HEADER_BYTES } from '../../src/pgwire/message-code.ts'
import { rowsOf, type Message, type WireClient } from '../gateway/wire-client.ts'
import { mirrored } from '../support/mirror.ts'
import { poll } from '../support/poll.ts'
import { TrustedSlipway } from '../support/trusted-slipway.ts'
import { AGGREGATES, wireScript, type WireStep } from '../support/wire-scripts.ts'

const RUNS = Number(process.env['SLIPWAY_TEST_RUNS'] ?? 60)
const SEED = Number(process.env['SLIPWAY_TEST_SEED'] ?? 20_261_129)

let trusted: TrustedSlipway
beforeAll(async () => {
  trusted = await TrustedSlipway.start(['--route-cost-min', '0', '--engine-memory', '1GB'])
  const { owner } = trusted
  await owner.query('CREATE TABLE items (id int PRIMARY KEY, g int, v text, n numeric(10,2))')
  await owner.query(`INSERT INTO items SELECT i, i % 5, 'v' || i, i * 1.25
    FROM generate_series(1, 200) i`)
  await owner.query('ANALYZE items')
  await mirrored(owner, ['items'])
})
afterAll(() => trusted[Symbol.asyncDispose]())

it('what the scripts aggregate is answered by columns', async () => {
  for (const sql of AGGREGATES) {
    await poll(`columnar: ${sql}`, 20_000, async () => {
      const { rows } = await trusted.owner.query(`EXPLAIN (ROUTE) ${sql}`)
      return rows.some(([line]) => line === 'Route: columnar') ? true : null
    })
  }
})

it('replies are equal message by message, direct and through', async () => {
  await fc.assert(fc.asyncProperty(wireScript, fc.integer({ min: 1, max: 4000 }),
    async (script, chunkBytes) => {
      await using through = await trusted.connect('through')
      await using direct = await trusted.connect('direct')
      const [ownThrough, ownDirect] = [await setUp(through), await setUp(direct)]
      for (const step of script) {
        const [told, expected] = await Promise.all([
          play(through, step, { pid: ownThrough, chunkBytes }),
          play(direct, step, { pid: ownDirect, chunkBytes: Infinity })])
        expect(told, step.label).toEqual(expected)
      }
    }), { numRuns: RUNS, seed: SEED, endOnFailure: false })
}, 1_200_000)

/** Mostly; what comes later is a script of another kind. */
const ANSWERED_WITHIN_MS = 5
const SETUP = 'CREATE TEMP TABLE mine (id int, t text)'

/** Gives the session's process id. */
async function setUp(client: WireClient): Promise<number> {
  await client.query(SETUP)
  return Number(rowsOf(await client.query('SELECT pg_backend_pid()'))[0]?.[0])
}

/**
 * Sends `step` in pieces and gives every message up to its last ReadyForQuery, readable. What the
 * other session notifies comes at any time.
 */
async function play(client: WireClient, step: WireStep, { pid, chunkBytes }: {
  readonly pid: number; readonly chunkBytes: number
}): Promise<readonly string[]> {
  const { bytes, waitsAt = 0 } = step
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(at + chunkBytes, at < waitsAt ? waitsAt : bytes.length)
    client.send(bytes.subarray(at, end))
    at = end
    if (at === waitsAt) await delay(ANSWERED_WITHIN_MS)
    if (chunkBytes < bytes.length) await new Promise((resolve) => { setImmediate(resolve) })
  }
  const told = await client.until('Z', step.readies)
  return told.filter((message) => !isForeign(message, pid)).map(readable)
}

function isForeign({ bytes }: Message, pid: number): boolean {
  return bytes[0] === BACKEND.notification && bytes.readInt32BE(HEADER_BYTES) !== pid
}

function readable({ code, bytes }: Message): string {
  const body = Buffer.from(bytes.subarray(HEADER_BYTES))
  // The process that notified is each session's own.
  if (bytes[0] === BACKEND.notification) body.fill(0, 0, 4)
  return `${code} ${body.toString('latin1')}`
}
