/**
 * Delta: the log library beside delta-rs. Each open is the first of a fresh process, timed inside
 * it; rounds are interleaved, so that both meet the same machine.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { LocalStorage, DeltaTable } from '../src/delta/api.ts'
import { PYTHON } from '../test/support/cache.ts'
import { temporaryFolder } from '../test/support/slipway.ts'
import { appendCommit, writeCheckpointTable, writeCommitTable } from './support/delta-logs.ts'
import { bench as benchWriting } from './delta-write.ts'
import type { Bar, BenchReport } from './support/report.ts'
import { median, timed } from './support/statistics.ts'

const CHECKPOINT_FILES = 300_000
const COMMITS = 10_000
const YOUNG = 100
const OLD = 20_000
const ROUNDS = 5
const STEPS = 300

const DELTA_RS = `
import json, resource, sys, time, deltalake
started = time.perf_counter()
table = deltalake.DeltaTable(sys.argv[1])
ms = (time.perf_counter() - started) * 1000
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({'openMs': ms, 'files': len(table.file_uris()), 'peakBytes': peak}))
`

interface Opened {
  readonly openMs: number
  readonly files: number
  readonly peakBytes: number
}

function openOurs(folder: string): Opened {
  const script = join(import.meta.dirname, 'support/delta-open.js')
  return opened(execFileSync(process.execPath, [script, folder], { encoding: 'utf8' }))
}

function openDeltaRs(folder: string): Opened {
  return opened(execFileSync(PYTHON, ['-c', DELTA_RS, folder], { encoding: 'utf8' }))
}

function opened(output: string): Opened {
  return JSON.parse(output) as Opened
}

/** `args`: `read` or `write`; none: both. */
export async function bench(args: readonly string[]): Promise<BenchReport> {
  const parts = [...args.includes('write') ? [] : [await benchReading()],
    ...args.includes('read') ? [] : [await benchWriting([])]]
  return { lines: parts.flatMap(({ lines }) => lines), bars: parts.flatMap(({ bars }) => bars) }
}

async function benchReading(): Promise<BenchReport> {
  const folder = temporaryFolder('delta-bench')
  try {
    const checkpoint = join(folder, 'checkpoint')
    await writeCheckpointTable(checkpoint, CHECKPOINT_FILES)
    const fromCheckpoint = compareOpens(checkpoint)
    const commits = join(folder, 'commits')
    writeCommitTable(commits, COMMITS)
    const replayed = compareOpens(commits)
    const steps = await compareSteps(folder)
    return {
      lines: [
        ...linesOf(`open ${CHECKPOINT_FILES} files from a checkpoint`, fromCheckpoint),
        ...linesOf(`replay ${COMMITS} JSON commits`, replayed),
        `from version n to n + 1 (ms, median): n = ${YOUNG} ${steps.young.toFixed(3)}, `
          + `n = ${OLD} ${steps.old.toFixed(3)}`,
      ],
      bars: [
        ratioBar('open from a checkpoint, of delta-rs', fromCheckpoint, 2),
        { name: 'peak memory of that', unit: 'GB', limit: { kind: 'most', value: 1.5 },
          value: Math.max(...fromCheckpoint.ours.map(({ peakBytes }) => peakBytes)) / 1e9 },
        ratioBar('replay of JSON commits, of delta-rs', replayed, 3),
        { name: `a step at n = ${OLD}, of one at n = ${YOUNG}`, unit: 'times',
          value: steps.old / steps.young, limit: { kind: 'most', value: 1.3 } },
      ],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Opens {
  readonly ours: readonly Opened[]
  readonly deltaRs: readonly Opened[]
}

function compareOpens(folder: string): Opens {
  const ours: Opened[] = []
  const deltaRs: Opened[] = []
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(openOurs(folder))
    deltaRs.push(openDeltaRs(folder))
  }
  if (ours[0]?.files !== deltaRs[0]?.files) throw new Error('the two disagree on the files')
  return { ours, deltaRs }
}

function linesOf(title: string, { ours, deltaRs }: Opens): readonly string[] {
  const show = (runs: readonly Opened[]): string =>
    `${runs.map(({ openMs }) => openMs.toFixed(0)).join(' ')} ms, peak `
    + `${(Math.max(...runs.map(({ peakBytes }) => peakBytes)) / 1e6).toFixed(0)} MB`
  return [`${title}:`, `  Slipway:  ${show(ours)}`, `  delta-rs: ${show(deltaRs)}`]
}

/** The median of each round's own ratio: what the machine did meanwhile cancels out. */
function ratioBar(name: string, { ours, deltaRs }: Opens, most: number): Bar {
  const ratios = ours.map(({ openMs }, round) => openMs / (deltaRs[round]?.openMs ?? Number.NaN))
  return { name, value: median(ratios), unit: 'times', limit: { kind: 'most', value: most } }
}

/** An open table that follows another writer, step by step, beside one 200 times as old. */
async function compareSteps(folder: string): Promise<{ young: number; old: number }> {
  const tables = await Promise.all([YOUNG, OLD].map(async (count) => {
    const root = join(folder, `steps ${count}`)
    writeCommitTable(root, count)
    return { root, count, times: [] as number[],
      table: await DeltaTable.open({ storage: new LocalStorage({ root }) }) }
  }))
  for (let step = 0; step < STEPS; step++) {
    for (const { root, count, table, times } of tables) {
      appendCommit(root, count + step)
      times.push(await timed(() => table.latest()))
    }
  }
  const [young = Number.NaN, old = Number.NaN] = tables.map(({ times }) => median(times))
  return { young, old }
}
