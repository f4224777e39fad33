/** pgbench -S by simple and prepared statements, -N and TPC-B, against PgBouncer and direct. */
import type { Bar } from '../support/report.ts'
import { median } from '../support/statistics.ts'
import {
  interleaved, ratioOf, runPgbench, settled, type OltpPart, type PgbenchRound, type WayName,
} from './bed.ts'

/** `floor`: of PgBouncer's throughput. */
const LOADS = [
  { name: '-S simple', args: ['-S', '-M', 'simple'], floor: 0.9, isRead: true },
  { name: '-S prepared', args: ['-S', '-M', 'prepared'], floor: 0.9, isRead: true },
  { name: '-N', args: ['-N', '-M', 'prepared'], floor: 0.97, isRead: false },
  { name: 'TPC-B', args: ['-M', 'prepared'], floor: 0.97, isRead: false },
] as const
const WRITERS = 16
const CPU_MOST = 1.35

export const throughputPart: OltpPart = async (bed, { seconds, rounds, clients }) => {
  const lines: string[] = []
  const bars: Bar[] = []
  for (const load of LOADS) {
    for (const count of load.isRead ? clients : [WRITERS]) {
      const found = await interleaved(Object.values(bed.ways), rounds, async (way) => {
        await settled(bed)
        return runPgbench(way, { seconds, clients: count, args: load.args })
      })
      const of = (name: WayName): readonly PgbenchRound[] => found.get(name) ?? []
      const tps = (name: WayName): readonly number[] => of(name).map((round) => round.tps)
      const label = `${load.name}, ${count} clients`
      for (const name of found.keys()) lines.push(describe(label, name, of(name)))
      const speed = ratioOf(tps('gateway'), tps('pgbouncer'))
      const cpu = ratioOf(of('gateway').map(cpuUs), of('pgbouncer').map(cpuUs))
      const direct = ratioOf(tps('direct-port'), tps('socket'))
      lines.push(`${label.padEnd(24)}gateway / pgbouncer: throughput ${speed.text}, `
        + `CPU ${cpu.text}; direct port / socket ${direct.text}`)
      bars.push({ name: `${label}: throughput against PgBouncer`, value: speed.median,
        unit: 'times', limit: { kind: 'least', value: load.floor } })
      if (load.isRead) {
        bars.push({ name: `${label}: CPU per transaction against PgBouncer`, value: cpu.median,
          unit: 'times', limit: { kind: 'most', value: CPU_MOST } })
      }
    }
  }
  return { lines, bars }
}

function cpuUs({ userUs, systemUs }: PgbenchRound): number {
  return userUs + systemUs
}

function describe(label: string, name: WayName, rounds: readonly PgbenchRound[]): string {
  const tps = rounds.map((round) => round.tps.toFixed(0).padStart(7)).join('')
  const cpu = median(rounds.map(cpuUs)) === 0 ? ''
    : `   ${median(rounds.map(({ userUs }) => userUs)).toFixed(1)} + `
      + `${median(rounds.map(({ systemUs }) => systemUs)).toFixed(1)} µs user + system`
  return `${label.padEnd(24)}${name.padEnd(12)}${tps} tps${cpu}`
}
