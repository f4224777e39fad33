/** Connect, one query, close: pgbench -C, against PgBouncer, which keeps its server connections. */
import { interleaved, ratioOf, runPgbench, type OltpPart } from './bed.ts'

const CLIENTS = 8
const FLOOR = 0.8

export const connectPart: OltpPart = async (bed, { seconds, rounds }) => {
  const found = await interleaved(Object.values(bed.ways), rounds, (way) =>
    runPgbench(way, { seconds, clients: CLIENTS, args: ['-S', '-C'] }))
  const tps = Object.fromEntries([...found].map(([name, all]) =>
    [name, all.map((round) => round.tps)]))
  const { text, median } = ratioOf(tps['gateway'] ?? [], tps['pgbouncer'] ?? [])
  return {
    lines: [
      ...Object.entries(tps).map(([name, all]) => `connect                 ${name.padEnd(12)}`
        + `${all.map((one) => one.toFixed(0).padStart(7)).join('')} a second`),
      `connect                 gateway / pgbouncer: ${text}`,
    ],
    bars: [{ name: 'connect, query, close against PgBouncer', value: median, unit: 'times',
      limit: { kind: 'least', value: FLOOR } }],
  }
}
