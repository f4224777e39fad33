/**
 * TPC-B by pgbench with 8 clients while analytics go on: no torn transaction, and nothing lost or
 * doubled when the engine, or everything, is killed.
 */
import { rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { columnar, inPostgres, mirrored, tableFolder } from '../support/mirror.ts'
import {
  initialisePgbench, invariantHolds, PGBENCH_TABLES, pgbenchTally, startPgbench, TPCB_INVARIANT,
} from '../support/pgbench.ts'
import { agreement, compareTable } from '../support/readers.ts'
import { poll } from '../support/poll.ts'
import { describeWith } from '../support/requires.ts'
import { isAlive, Slipway, temporaryFolder } from '../support/slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

const CLIENTS = 8
const SECONDS = 20

const SUMMARY = `SELECT count(*), sum(aid), sum(abalance), min(abalance), max(abalance)
  FROM pgbench_accounts`
const HISTORY = `SELECT tid, count(*), sum(delta), min(hid), max(hid) FROM pgbench_history
  GROUP BY tid ORDER BY tid`

describeWith(['pgbench', 'psql'], 'pgbench TPC-B', () => {
  let dataDir: string
  let slipway: Slipway
  let client: SqlClient
  beforeAll(async () => {
    dataDir = temporaryFolder('pgbench')
    slipway = await Slipway.start({ dataDir, args: ['--flush-interval', '3s'] })
    client = await slipway.connect()
    await initialisePgbench(slipway.address, client, 1)
    await mirrored(client, PGBENCH_TABLES)
  }, 900_000)
  afterAll(async () => {
    await client.end()
    await slipway.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  /** Columnar equals PostgreSQL, and stock readers read every row as PostgreSQL has it. */
  async function everythingAgrees(): Promise<void> {
    for (const sql of [SUMMARY, HISTORY, TPCB_INVARIANT]) {
      expect(await columnar(client, sql)).toEqual(await inPostgres(client, sql))
    }
    expect(invariantHolds((await columnar(client, TPCB_INVARIANT))[0])).toBe(true)
    await client.query('SELECT slipway.flush()')
    for (const sql of [SUMMARY, HISTORY]) {
      expect(await columnar(client, sql)).toEqual(await inPostgres(client, sql))
    }
    if (inject('readers') === '') return
    for (const table of PGBENCH_TABLES) {
      const rows = Number(await client.value(`SELECT count(*) FROM ${table}`))
      const readers = ['spark', 'delta-rs'] as const
      const found = await compareTable(inject('readers'), { address: slipway.address, table,
        path: tableFolder(slipway.shared, table), readers })
      expect({ table, ...found }).toEqual({ table, ...agreement(rows, readers) })
    }
  }

  it(`${SECONDS} s: every columnar answer is a state that some transaction left`, async () => {
    const bench = startPgbench(slipway.address, { clients: CLIENTS, seconds: SECONDS })
    let running = true
    void bench.done.then(() => { running = false })
    const torn: string[] = []
    let checks = 0
    while (running) {
      const [row] = await columnar(client, TPCB_INVARIANT)
      checks += 1
      if (!invariantHolds(row)) torn.push(String(row))
    }
    const { status, output } = await bench.done
    expect({ status, ...pgbenchTally(output) }, output).toMatchObject({ status: 0, failed: 0 })
    expect(pgbenchTally(output).processed).toBeGreaterThan(500)
    expect(checks).toBeGreaterThan(20)
    expect(torn).toEqual([])
    await everythingAgrees()
  }, 900_000)

  it('kill -9 of the engine: transactions go on, the mirror catches up', async () => {
    const before = slipway.partPid('engine')
    const bench = startPgbench(slipway.address, { clients: CLIENTS, seconds: 12 })
    await delay(4_000)
    slipway.killPart('engine')
    // With route auto nobody notices: PostgreSQL answers.
    await client.query(`SET slipway.route = 'auto'`)
    expect(invariantHolds((await client.query(TPCB_INVARIANT)).rows[0])).toBe(true)
    await poll('the engine is started again', 20_000, () => {
      const pid = slipway.partPid('engine')
      return pid !== before && isAlive(pid) ? true : null
    })
    const { status, output } = await bench.done
    expect({ status, ...pgbenchTally(output) }, output).toMatchObject({ status: 0, failed: 0 })
    await poll('analytics are columnar again', 60_000, async () =>
      invariantHolds((await columnar(client, TPCB_INVARIANT))[0]) ? true : null)
    await everythingAgrees()
  }, 900_000)

  it('kill -9 of everything, then up: nothing lost or doubled', async () => {
    const bench = startPgbench(slipway.address, { clients: CLIENTS, seconds: 30 })
    await delay(4_000)
    await slipway.killEverything()
    await bench.done
    await client.end()
    slipway = await Slipway.start({ dataDir, args: ['--flush-interval', '3s'] })
    client = await slipway.connect()
    expect(invariantHolds((await inPostgres(client, TPCB_INVARIANT))[0])).toBe(true)
    await poll('analytics are columnar again', 60_000, async () =>
      invariantHolds((await columnar(client, TPCB_INVARIANT))[0]) ? true : null)
    await everythingAgrees()
  }, 900_000)

  it('a stop in the middle of load, then up: the same', async () => {
    const bench = startPgbench(slipway.address, { clients: CLIENTS, seconds: 30 })
    await delay(3_000)
    expect(await slipway.stop()).toBe(0)
    await bench.done
    await client.end()
    slipway = await Slipway.start({ dataDir, args: ['--flush-interval', '3s'] })
    client = await slipway.connect()
    await poll('analytics are columnar again', 60_000, async () =>
      invariantHolds((await columnar(client, TPCB_INVARIANT))[0]) ? true : null)
    await everythingAgrees()
  }, 900_000)
})
