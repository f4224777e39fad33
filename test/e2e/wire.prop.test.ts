/**
 * The recorder: random scripts of the protocol are played to PostgreSQL itself and through the
 * gateway, aggregates on their way to the columnar engine included; the replies are equal, message
 * by message, but for process ids. fast-check prints the seed; SLIPWAY_TEST_SEED replays it,
 * SLIPWAY_TEST_RUNS plays more scripts.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { BACKEND, HEADER_BYTES } from '../../src/pgwire/message-code.ts'
import type { Message, WireClient } from '../gateway/wire-client.ts'
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
      for (const client of [through, direct]) await client.query(SETUP)
      for (const step of script) {
        const [told, expected] = await Promise.all([
          play(through, step, chunkBytes), play(direct, step, Infinity)])
        expect(told, step.label).toEqual(expected)
      }
    }), { numRuns: RUNS, seed: SEED, endOnFailure: false })
}, 1_200_000)

const SETUP = 'CREATE TEMP TABLE mine (id int, t text)'

/** Sends `step` in pieces and gives every message up to its last ReadyForQuery, readable. */
async function play(
  client: WireClient, step: WireStep, chunkBytes: number,
): Promise<readonly string[]> {
  for (let at = 0; at < step.bytes.length; at += chunkBytes) {
    client.send(step.bytes.subarray(at, Math.min(step.bytes.length, at + chunkBytes)))
    if (chunkBytes < step.bytes.length) await new Promise((resolve) => { setImmediate(resolve) })
  }
  return (await client.until('Z', step.readies)).map(readable)
}

function readable({ code, bytes }: Message): string {
  const body = Buffer.from(bytes.subarray(HEADER_BYTES))
  // The process that notified is each session's own.
  if (bytes[0] === BACKEND.notification) body.fill(0, 0, 4)
  return `${code} ${body.toString('latin1')}`
}
