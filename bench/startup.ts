/** Startup: from the command to `slipway is ready`, first start and on an existing directory. */
import { rmSync } from 'node:fs'
import { Slipway, temporaryFolder } from '../test/support/slipway.ts'
import type { BenchReport } from './support/report.ts'
import { median } from './support/statistics.ts'

const ROUNDS = 5

export async function bench(): Promise<BenchReport> {
  const first: number[] = []
  const again: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const dataDir = temporaryFolder('startup')
    try {
      first.push(await secondsToReady(dataDir))
      again.push(await secondsToReady(dataDir))
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  }
  const show = (values: readonly number[]): string =>
    values.map((value) => value.toFixed(2)).join(' ')
  return {
    lines: [`first start (s):        ${show(first)}`, `existing directory (s): ${show(again)}`],
    bars: [
      { name: 'first start', value: median(first), unit: 's', limit: { kind: 'most', value: 8 } },
      { name: 'start on an existing directory', value: median(again), unit: 's',
        limit: { kind: 'most', value: 3 } },
    ],
  }
}

async function secondsToReady(dataDir: string): Promise<number> {
  const started = performance.now()
  const slipway = await Slipway.start({ dataDir })
  const seconds = (performance.now() - started) / 1000
  await slipway.stop()
  return seconds
}
