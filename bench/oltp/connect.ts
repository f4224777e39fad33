/**
 * Connect, one query, close: pgbench -C, with TLS and without, against PgBouncer, which keeps its
 * server connections.
 */
import type { Bar } from '../support/report.ts'
import { interleaved, ratioOf, runPgbench, type OltpPart, type PgbenchRound } from './bed.ts'

const CLIENTS = 8
const FLOOR = 0.8

export const connectPart: OltpPart = async (bed, { seconds, rounds }) => {
  const { gateway, pgbouncer } = bed.ways
  const lines: string[] = []
  const bars: Bar[] = []
  for (const isSecure of [false, true]) {
    const name = isSecure ? 'connect with TLS' : 'connect'
    // Only the two between speak TLS.
    const ways = isSecure ? [gateway, pgbouncer] : Object.values(bed.ways)
    const found = await interleaved(ways, rounds, (way) =>
      runPgbench(way, { seconds, clients: CLIENTS, args: ['-S', '-C'], isSecure }))
    for (const [way, all] of found) {
      lines.push(`${name.padEnd(24)}${way.padEnd(12)}`
        + `${all.map(({ tps }) => tps.toFixed(0).padStart(7)).join('')} a second`)
    }
    const { text, median } = ratioOf(speeds(found.get('gateway')), speeds(found.get('pgbouncer')))
    lines.push(`${name.padEnd(24)}gateway / pgbouncer: ${text}`)
    bars.push({ name: `${name}, query, close against PgBouncer`, value: median, unit: 'times',
      limit: { kind: 'least', value: FLOOR } })
  }
  return { lines, bars }
}

function speeds(rounds: readonly PgbenchRound[] = []): readonly number[] {
  return rounds.map(({ tps }) => tps)
}
