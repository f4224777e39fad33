/**
 * `slipway delta optimize|vacuum|restore`: changes to a local Delta table.
 *
 * DM1  A table that a running Slipway writes is its alone: what could take files from under it
 *      or change its rows is refused, and says what to do instead.
 * DM2  `--dry-run` changes nothing.
 */
import { cpus, totalmem } from 'node:os'
import { realpathSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { SlipwayError } from '../base/errors.ts'
import { DataDirectory } from '../config/data-directory.ts'
import { optimize, type OptimizeReport } from '../delta/optimize.ts'
import { restore, type RestoreTarget } from '../delta/restore.ts'
import { DeltaTable } from '../delta/table.ts'
import { vacuum } from '../delta/vacuum.ts'
import { version } from '../delta/version.ts'
import { DeltaRewriter } from '../olap/delta-rewriter.ts'
import { DuckDb } from '../olap/duckdb.ts'
import { LocalStorage } from '../storage/local.ts'
import { DelayedProgress } from './delayed-progress.ts'
import { formatBytes } from './format-bytes.ts'
import { durationOf, momentOf, sizeOf, wholeNumberOf } from './option-values.ts'

interface MaintenanceOptions { readonly dryRun?: boolean; readonly json?: boolean }
interface OptimizeFlags extends MaintenanceOptions {
  readonly clusterBy?: string
  readonly targetSize?: string
  readonly memory?: string
}
interface VacuumFlags extends MaintenanceOptions {
  readonly retain?: string
  readonly retainHours?: string
  readonly force?: boolean
}
interface RestoreFlags extends MaintenanceOptions {
  readonly version?: string
  readonly timestamp?: string
}

export function addDeltaMaintenance(delta: Command): void {
  changing(delta, 'optimize', 'pack small files, leave deleted rows out, cluster rows')
    .option('--cluster-by <columns>', 'bring near values of these columns together: a,b')
    .option('--zorder <columns>', 'the same as --cluster-by')
    .option('--target-size <size>', 'of a file, such as 128MB')
    .option('--memory <size>', 'what the work may take, such as 2GB')
    .action(async (path: string, flags: OptimizeFlags & { zorder?: string }) => {
      const clusterBy = flags.clusterBy ?? flags.zorder
      await runOptimize(path, { ...flags, ...clusterBy === undefined ? {} : { clusterBy } })
    })
  changing(delta, 'vacuum', 'delete files that no version within the retention needs')
    .option('--retain <time>', 'such as 7d, 12h, 30m; default: the table\'s own, else 7d')
    .option('--retain-hours <n>', 'the same in hours')
    .option('--force', 'allow a retention below the table\'s own')
    .action(async (path: string, flags: VacuumFlags) => { await runVacuum(path, flags) })
  changing(delta, 'restore', 'make an older state the newest version')
    .option('--version <n>', 'as of this version')
    .option('--timestamp <t>', 'as of this moment, ISO 8601')
    .action(async (path: string, flags: RestoreFlags) => { await runRestore(path, flags) })
}

function changing(delta: Command, name: string, description: string): Command {
  return delta.command(name).argument('<path>', 'the table\'s folder').description(description)
    .option('--dry-run', 'say what would be done, change nothing')
    .option('--json', 'machine-readable output')
}

async function runOptimize(path: string, flags: OptimizeFlags): Promise<void> {
  const table = await openTable(path)
  if (flags.dryRun !== true) {
    refuseIfRunning(path, 'optimised',
      'Stop it first: at its start it takes over the files that are there.')
  }
  const { storage } = table
  const memoryLimit = flags.memory === undefined ? defaultMemory()
    : `${Math.ceil(sizeOf('--memory', flags.memory) / 1024)}KiB`
  const spill = join(storage.stagingDirectory, `spill-${randomUUID()}`)
  const progress = new DelayedProgress('optimize')
  const clusterBy = flags.clusterBy?.split(',').map((name) => name.trim()) ?? []
  try {
    await using duckdb = await DuckDb.open({ threads: cpus().length, tempDirectory: spill,
      memoryLimit, directories: [storage.root], macros: [] })
    const report = await optimize({ table, rewriter: new DeltaRewriter(duckdb), clusterBy,
      ...flags.targetSize === undefined ? {}
        : { fileBytes: sizeOf('--target-size', flags.targetSize) },
      dryRun: flags.dryRun === true,
      onProgress: (done, total) => { progress.update(done, total) } })
    progress.end()
    print(flags, report, optimizeText(report, flags.dryRun === true))
  } finally {
    await rm(spill, { recursive: true, force: true })
  }
}

function optimizeText(report: OptimizeReport, dry: boolean): string {
  const { filesRemoved, filesAdded } = report
  const before = `${filesRemoved} files (${formatBytes(report.bytesRemoved)})`
  if (dry) return `${before} would be rewritten`
  if (report.version === null) return 'nothing to optimise'
  return `version ${report.version}: ${before} became ${filesAdded} `
    + `(${formatBytes(report.bytesAdded)})`
    + (report.binsSkipped > 0 ? `; ${report.binsSkipped} groups changed meanwhile` : '')
}

async function runVacuum(path: string, flags: VacuumFlags): Promise<void> {
  const table = await openTable(path)
  if (flags.force === true && flags.dryRun !== true) {
    refuseIfRunning(path, 'vacuumed with a forced retention',
      'Stop it first, or vacuum with the table\'s own retention.')
  }
  const progress = new DelayedProgress('vacuum')
  const retentionMs = retentionOf(flags)
  const report = await vacuum({ table, nowMs: Date.now(), dryRun: flags.dryRun === true,
    force: flags.force === true, ...retentionMs === null ? {} : { retentionMs },
    onProgress: (done, total) => { progress.update(done, total) } })
  progress.end()
  const listed = flags.dryRun === true ? report.files.map((file) => `${file}\n`).join('') : ''
  const verb = flags.dryRun === true ? 'would be deleted' : 'deleted'
  print(flags, report, `${listed}${report.files.length} files `
    + `(${formatBytes(report.bytes)}) ${verb}`)
}

function retentionOf(flags: VacuumFlags): number | null {
  if (flags.retain !== undefined && flags.retainHours !== undefined) {
    throw new SlipwayError('usage', '--retain and --retain-hours exclude each other')
  }
  if (flags.retain !== undefined) return durationOf('--retain', flags.retain)
  return flags.retainHours === undefined ? null
    : durationOf('--retain-hours', `${flags.retainHours}h`)
}

async function runRestore(path: string, flags: RestoreFlags): Promise<void> {
  const target = targetOf(flags)
  const table = await openTable(path)
  if (flags.dryRun !== true && mirrorOf(path) !== null) {
    throw new SlipwayError('usage', 'the table mirrors one of PostgreSQL and follows it: '
      + 'it cannot be restored', { hint: 'Restore the rows in PostgreSQL, read the older version '
      + 'with --version, or restore a copy of the folder.' })
  }
  const report = await restore({ table, target, dryRun: flags.dryRun === true })
  const files = `${report.filesRestored} files come back, ${report.filesRemoved} go`
  print(flags, report, flags.dryRun === true ? files
    : report.version === null ? `the table is as it was at version ${report.restoredVersion}`
      : `version ${report.version} is version ${report.restoredVersion}: ${files}`)
}

function targetOf(flags: RestoreFlags): RestoreTarget {
  if ((flags.version === undefined) === (flags.timestamp === undefined)) {
    throw new SlipwayError('usage', 'name either --version or --timestamp')
  }
  return flags.version === undefined
    ? { timestampMs: momentOf('--timestamp', flags.timestamp ?? '') }
    : { version: version(wholeNumberOf('--version', flags.version)) }
}

async function openTable(path: string): Promise<DeltaTable> {
  return await DeltaTable.open({ storage: new LocalStorage({ root: resolve(path) }) })
}

/** DM1. */
function refuseIfRunning(path: string, what: string, hint: string): void {
  const holder = mirrorOf(path)?.holder() ?? null
  if (holder === null) return
  throw new SlipwayError('data-dir-held', `the table belongs to the running Slipway with process `
    + `id ${holder}: it cannot be ${what}`, { hint })
}

function mirrorOf(path: string): DataDirectory | null {
  return DataDirectory.ofLakePath(realpathSync(resolve(path)))
}

/** A quarter of the machine's, at least what DuckDB needs to be of use. */
function defaultMemory(): string {
  return `${Math.max(512, Math.floor(totalmem() / 4 / 1024 ** 2))}MB`
}

function print(flags: MaintenanceOptions, report: object, text: string): void {
  process.stdout.write(flags.json === true ? `${JSON.stringify(report)}\n` : `${text}\n`)
}
