/** One client's point select, prepared: what the gateway adds to the direct port's latency. */
import { SqlClient } from '../../test/support/sql-client.ts'
import { quantile } from '../support/statistics.ts'
import { interleaved, type OltpPart, type Way } from './bed.ts'

const SELECTS = 5000
const WARM = 500
const P50_MOST_US = 60
const P99_MOST_US = 300

export const latencyPart: OltpPart = async (bed, { rounds }) => {
  const found = await interleaved([bed.ways.gateway, bed.ways['direct-port']], rounds, selects)
  const us = (name: 'gateway' | 'direct-port', share: number): number =>
    quantile((found.get(name) ?? []).flat(), share)
  const added = (share: number): number => us('gateway', share) - us('direct-port', share)
  const line = (name: 'gateway' | 'direct-port'): string => `latency                 `
    + `${name.padEnd(12)} p50 ${us(name, 0.5).toFixed(0)} µs, p99 ${us(name, 0.99).toFixed(0)} µs`
  return {
    lines: [line('gateway'), line('direct-port')],
    bars: [
      { name: 'point select, p50 over direct', value: added(0.5), unit: 'µs',
        limit: { kind: 'most', value: P50_MOST_US } },
      { name: 'point select, p99 over direct', value: added(0.99), unit: 'µs',
        limit: { kind: 'most', value: P99_MOST_US } },
    ],
  }
}

/** Microseconds of each select. */
async function selects({ address }: Way): Promise<readonly number[]> {
  await using client = await SqlClient.connect(address)
  const times: number[] = []
  for (let n = 0; n < WARM + SELECTS; n++) {
    const started = performance.now()
    await client.client.query({ name: 'point', values: [1 + n * 97 % 100_000],
      text: 'SELECT abalance FROM pgbench_accounts WHERE aid = $1' })
    if (n >= WARM) times.push((performance.now() - started) * 1000)
  }
  return times
}
