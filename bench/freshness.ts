/**
 * Freshness: from the acknowledgement of a commit on one connection to its being seen by a
 * columnar aggregate on another, while others commit about 500 times a second.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { mirrored } from '../test/support/mirror.ts'
import { Slipway } from '../test/support/slipway.ts'
import type { SqlClient } from '../test/support/sql-client.ts'
import type { BenchReport } from './support/report.ts'
import { quantile } from './support/statistics.ts'

const COMMITS_PER_SECOND = 500
const WRITERS = 5
const PROBES = 400
const BETWEEN_PROBES_MS = 50

export async function bench(): Promise<BenchReport> {
  await using slipway = await Slipway.start()
  await using writer = await slipway.connect()
  await using reader = await slipway.connect()
  await writer.query(`CREATE TABLE load
      (id bigserial PRIMARY KEY, account int, amount numeric(12,2));
    CREATE TABLE probes (id int PRIMARY KEY, note text)`)
  await writer.query(`INSERT INTO load (account, amount)
    SELECT i % 1000, i / 100.0 FROM generate_series(1, 100000) i`)
  await mirrored(writer, ['load', 'probes'])
  await reader.query(`SET slipway.route = 'columnar'`)
  const load = await startLoad(slipway)
  await delay(2_000)
  const begun = Date.now()
  const before = load.commits
  const delays: number[] = []
  for (let id = 1; id <= PROBES; id++) {
    delays.push(await probe(writer, reader, id))
    await delay(BETWEEN_PROBES_MS)
  }
  const rate = (load.commits - before) / ((Date.now() - begun) / 1000)
  await load.stop()
  const [p50, p99] = [quantile(delays, 0.5), quantile(delays, 0.99)]
  return {
    lines: [
      `${PROBES} probes under ${rate.toFixed(0)} commits/s: p50 ${p50.toFixed(1)} ms, `
      + `p90 ${quantile(delays, 0.9).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, `
      + `worst ${Math.max(...delays).toFixed(1)} ms`,
    ],
    bars: [
      { name: 'freshness p50', value: p50, unit: 'ms', limit: { kind: 'most', value: 30 } },
      { name: 'freshness p99', value: p99, unit: 'ms', limit: { kind: 'most', value: 150 } },
      { name: 'background load', value: rate, unit: 'commits/s',
        limit: { kind: 'least', value: 0.9 * COMMITS_PER_SECOND } },
    ],
  }
}

/** Milliseconds until the aggregate shows the commit; it must at its first answer. */
async function probe(writer: SqlClient, reader: SqlClient, id: number): Promise<number> {
  await writer.query(`INSERT INTO probes VALUES (${id}, 'probe')`)
  const committed = performance.now()
  const seen = await reader.value('SELECT max(id) FROM probes')
  if (Number(seen) !== id) throw new Error(`probe ${id} was acknowledged and not seen`)
  return performance.now() - committed
}

async function startLoad(
  slipway: Slipway,
): Promise<{ readonly commits: number; stop(): Promise<void> }> {
  const state = { commits: 0, running: true }
  const clients = await Promise.all(Array.from({ length: WRITERS }, () => slipway.connect()))
  const everyMs = 1000 * WRITERS / COMMITS_PER_SECOND
  const writing = clients.map(async (client) => {
    let due = performance.now()
    while (state.running) {
      await client.query(`INSERT INTO load (account, amount) VALUES (1, 2.50)`)
      state.commits += 1
      due += everyMs
      const ahead = due - performance.now()
      if (ahead > 1) await delay(ahead)
    }
    await client.end()
  })
  return {
    get commits() { return state.commits },
    stop: async () => {
      state.running = false
      await Promise.all(writing)
    },
  }
}
