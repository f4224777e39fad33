/**
 * OLTP: pgbench with 16 clients through one gateway process, through PgBouncer (session mode)
 * before the same PostgreSQL, and to its socket; interleaved, each round in another order. CPU is
 * the proxy process's own, per transaction: on a busy machine the steadier figure.
 *
 * Arguments: [seconds a round, default 8] [rounds, default 3] [clients, default 16]
 */
import { initialisePgbench, startPgbench, pgbenchTally, tpsOf } from '../test/support/pgbench.ts'
import { Slipway } from '../test/support/slipway.ts'
import type { Address } from '../test/support/sql-client.ts'
import { startPgBouncer } from './support/pgbouncer.ts'
import { cpuTimeOf } from './support/process-cpu.ts'
import type { BenchReport } from './support/report.ts'
import { median } from './support/statistics.ts'

const SCALE = 10
const MODES = { simple: ['-S', '-M', 'simple'], prepared: ['-S', '-M', 'prepared'],
  update: ['-N', '-M', 'prepared'] } as const

interface Way {
  readonly name: 'gateway' | 'pgbouncer' | 'direct'
  readonly address: Address
  /** The process between; null when there is none. */
  readonly pid: number | null
}

interface Round { readonly tps: number; readonly userUs: number; readonly systemUs: number }

export async function bench(args: readonly string[]): Promise<BenchReport> {
  const [seconds = '8', rounds = '3', clients = '16'] = args
  await using slipway = await Slipway.start({ args: ['--gateway-processes', '1'] })
  await using client = await slipway.connect()
  await initialisePgbench(slipway.address, client, SCALE)
  await using bouncer = await startPgBouncer(slipway)
  const ways: readonly Way[] = [
    { name: 'gateway', address: slipway.address, pid: slipway.partPid('gateway-1') },
    { name: 'pgbouncer', address: bouncer.address, pid: bouncer.pid },
    { name: 'direct', address: bouncer.direct, pid: null },
  ]
  const lines: string[] = []
  const ratios: Record<string, number> = {}
  for (const [mode, flags] of Object.entries(MODES)) {
    const found = await interleaved(ways, Number(rounds), (way) =>
      runOnce(way, { seconds: Number(seconds), clients: Number(clients), args: flags }))
    for (const { name } of ways) lines.push(`${mode.padEnd(9)}${describe(name, found[name])}`)
    ratios[mode] = median(found.gateway.map(({ tps }, i) =>
      tps / (found.pgbouncer[i]?.tps ?? Number.NaN)))
    const cpu = median(found.gateway.map(cpuUs)) / median(found.pgbouncer.map(cpuUs))
    lines.push(`${mode.padEnd(9)}gateway / pgbouncer: throughput ${ratios[mode].toFixed(2)}, `
      + `CPU per transaction ${cpu.toFixed(2)}`)
  }
  return {
    lines,
    bars: [{ name: 'pgbench -S -M prepared against PgBouncer', value: ratios['prepared'] ?? 0,
      unit: 'times', limit: { kind: 'least', value: 0.7 } }],
  }
}

/** Each round begins with another way, so that none always follows the same one. */
async function interleaved(
  ways: readonly Way[], rounds: number, run: (way: Way) => Promise<Round>,
): Promise<Record<Way['name'], Round[]>> {
  const found: Record<Way['name'], Round[]> = { gateway: [], pgbouncer: [], direct: [] }
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < ways.length; place++) {
      const way = ways[(round + place) % ways.length]
      if (way !== undefined) found[way.name].push(await run(way))
    }
  }
  return found
}

async function runOnce(way: Way, options: {
  readonly seconds: number
  readonly clients: number
  readonly args: readonly string[]
}): Promise<Round> {
  const before = way.pid === null ? null : cpuTimeOf(way.pid)
  const { status, output } = await startPgbench(way.address, options).done
  if (status !== 0) throw new Error(`pgbench ended with ${status}: ${output.slice(-1000)}`)
  const after = way.pid === null ? null : cpuTimeOf(way.pid)
  const perTransaction = 1000 / pgbenchTally(output).processed
  return {
    tps: tpsOf(output),
    userUs: ((after?.userMs ?? 0) - (before?.userMs ?? 0)) * perTransaction,
    systemUs: ((after?.systemMs ?? 0) - (before?.systemMs ?? 0)) * perTransaction,
  }
}

function cpuUs({ userUs, systemUs }: Round): number {
  return userUs + systemUs
}

function describe(name: Way['name'], rounds: readonly Round[]): string {
  const tps = rounds.map((round) => round.tps.toFixed(0).padStart(7)).join('')
  if (name === 'direct') return `${name.padEnd(10)}${tps} tps`
  const user = median(rounds.map(({ userUs }) => userUs)).toFixed(1)
  const system = median(rounds.map(({ systemUs }) => systemUs)).toFixed(1)
  return `${name.padEnd(10)}${tps} tps   ${user} + ${system} µs user + system a transaction`
}
