/**
 * Read-your-writes: what one connection was told is committed, the next columnar aggregate on
 * any other connection sees.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { SharedSchema } from '../support/shared-slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

const WRITERS = 4
const ROUNDS = 2_000

describe('read your writes', () => {
  let schema: SharedSchema
  let reader: SqlClient
  beforeAll(async () => {
    schema = await SharedSchema.create('ryw')
    reader = await schema.connect()
    await reader.query('CREATE TABLE counters (writer int, round int, PRIMARY KEY (writer, round))')
    await schema.mirrored(reader, ['counters'])
    await reader.query(`SET slipway.route = 'columnar'`)
    return async () => { await reader.end() }
  })

  it(`${ROUNDS} rounds of ${WRITERS} writers: no miss`, async () => {
    const writers = await Promise.all(
      Array.from({ length: WRITERS }, () => schema.connect()))
    let misses = 0
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(writers.map((writer, i) =>
        writer.query('INSERT INTO counters VALUES ($1, $2)', [i, round])))
      const seen = await reader.value('SELECT count(*) FROM counters')
      if (Number(seen) !== (round + 1) * WRITERS) misses += 1
    }
    for (const writer of writers) await writer.end()
    expect(misses).toBe(0)
  }, 900_000)

  it('an aggregate is never behind an acknowledgement while writers go on', async () => {
    const writers = await Promise.all(Array.from({ length: WRITERS }, () => schema.connect()))
    let acknowledged = WRITERS * ROUNDS
    let running = true
    const writing = writers.map(async (writer, i) => {
      for (let round = ROUNDS; running; round++) {
        await writer.query('INSERT INTO counters VALUES ($1, $2)', [i, round])
        acknowledged += 1
      }
    })
    let misses = 0
    for (let i = 0; i < 200; i++) {
      const atLeast = acknowledged
      const seen = Number(await reader.value('SELECT count(*) FROM counters'))
      if (seen < atLeast) misses += 1
    }
    running = false
    await Promise.all(writing)
    for (const writer of writers) await writer.end()
    expect(misses).toBe(0)
  }, 900_000)
})
