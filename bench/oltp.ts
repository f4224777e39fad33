/**
 * OLTP: pgbench -S -M prepared with 16 clients through one gateway process, and through PgBouncer
 * (session mode) before the same PostgreSQL in the same run, interleaved.
 *
 * Arguments: [seconds a round, default 8] [rounds, default 3]
 */
import { initialisePgbench, startPgbench, tpsOf } from '../test/support/pgbench.ts'
import { Slipway } from '../test/support/slipway.ts'
import type { Address } from '../test/support/sql-client.ts'
import { startPgBouncer } from './support/pgbouncer.ts'
import type { BenchReport } from './support/report.ts'
import { median } from './support/statistics.ts'

const CLIENTS = 16
const SCALE = 10
const MODES = { simple: ['-S', '-M', 'simple'], prepared: ['-S', '-M', 'prepared'],
  update: ['-N', '-M', 'prepared'] } as const

export async function bench(args: readonly string[]): Promise<BenchReport> {
  const [seconds = '8', rounds = '3'] = args
  await using slipway = await Slipway.start({ args: ['--gateway-processes', '1'] })
  await using client = await slipway.connect()
  await initialisePgbench(slipway.address, client, SCALE)
  await using bouncer = await startPgBouncer(slipway)
  const lines: string[] = []
  const ratios: Record<string, number> = {}
  for (const [mode, flags] of Object.entries(MODES)) {
    const ours: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < Number(rounds); round++) {
      ours.push(await tps(slipway.address, Number(seconds), flags))
      theirs.push(await tps(bouncer.address, Number(seconds), flags))
    }
    const ratio = median(ours.map((value, i) => value / (theirs[i] ?? Number.NaN)))
    ratios[mode] = ratio
    const show = (values: readonly number[]): string =>
      values.map((value) => value.toFixed(0).padStart(7)).join('')
    lines.push(`${mode.padEnd(9)} gateway ${show(ours)}   pgbouncer ${show(theirs)}`
      + `   ratio ${ratio.toFixed(2)}`)
  }
  return {
    lines,
    bars: [{ name: 'pgbench -S -M prepared against PgBouncer', value: ratios['prepared'] ?? 0,
      unit: 'times', limit: { kind: 'least', value: 0.7 } }],
  }
}

async function tps(address: Address, seconds: number, args: readonly string[]): Promise<number> {
  const { status, output } = await startPgbench(address, { clients: CLIENTS, seconds, args }).done
  if (status !== 0) throw new Error(`pgbench ended with ${status}: ${output.slice(-1000)}`)
  return tpsOf(output)
}
