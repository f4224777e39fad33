/** `slipway delta …`: looks into any local Delta table, with no server running. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { SlipwayError } from '../base/errors.ts'
import { dataCheck } from '../delta/data-check.ts'
import { checkTable, type FsckReport } from '../delta/fsck.ts'
import { OwnParquetReader } from '../olap/own-parquet.ts'
import { LocalStorage } from '../storage/local.ts'
import { describeTable, listFiles, type FileEntry, type TableDetail } from './delta-detail.ts'
import { addDeltaMaintenance } from './delta-maintenance.ts'
import { addRowCommands } from './delta-rows.ts'
import { allowedFoldersOf, openSnapshot, openTable, type ReadOptions } from './delta-table.ts'
import { wholeNumberOf } from './option-values.ts'
import { formatTextTable } from './text-table.ts'

interface FsckOptions {
  readonly deep?: boolean
  readonly allowFolder?: readonly string[]
  readonly json?: boolean
}

export function addDeltaCommands(program: Command): void {
  // `--version` after a subcommand is the table's, not the program's.
  program.enablePositionalOptions()
  const delta = program.command('delta').description('work on a local Delta table')
  reading(delta, 'detail', 'what the table is: schema, size, protocol, properties')
    .action(async (path: string, options: ReadOptions) => { await runDetail(path, options) })
  delta.command('history').argument('<path>', 'the table\'s folder')
    .description('the versions of the table, newest first')
    .option('--limit <n>', 'at most this many')
    .option('--json', 'one JSON object a line')
    .action(async (path: string, options: { limit?: string; json?: boolean }) => {
      await runHistory(path, options)
    })
  reading(delta, 'files', 'the live data files: rows, deleted rows, size')
    .action(async (path: string, options: ReadOptions) => { await runFiles(path, options) })
  addRowCommands(delta)
  delta.command('fsck').argument('<path>', 'the table\'s folder')
    .description('check the log, checkpoints, files and deletion vectors; change nothing')
    .option('--deep', 'read the data files: rows, bounds, NULLs against the statistics')
    .option('--allow-folder <folders...>', 'look at files there, too: shallow clones')
    .option('--json', 'machine-readable output')
    .action(async (path: string, options: FsckOptions) => { await runFsck(path, options) })
  addDeltaMaintenance(delta)
}

function reading(delta: Command, name: string, description: string): Command {
  return delta.command(name).argument('<path>', 'the table\'s folder').description(description)
    .option('--version <n>', 'as of this version')
    .option('--timestamp <t>', 'as of this moment, ISO 8601')
    .option('--json', 'machine-readable output')
}

async function runDetail(path: string, options: ReadOptions): Promise<void> {
  const detail = describeTable(resolve(path), await openSnapshot(path, options))
  process.stdout.write(options.json === true ? `${JSON.stringify(detail)}\n` : textOf(detail))
}

function textOf(detail: TableDetail): string {
  const { schema, ...rest } = detail
  const rows = Object.entries(rest).map(([name, value]) =>
    [name, typeof value === 'string' ? value : JSON.stringify(value)])
  const left = (name: string): { name: string; align: 'left' } => ({ name, align: 'left' })
  return formatTextTable({ columns: [left('property'), left('value')], rows }) + '\n'
    + formatTextTable({ columns: [left('column'), left('type')],
      rows: schema.map((field) => [field.name, field.type]) })
}

async function runHistory(path: string, options: { limit?: string; json?: boolean })
  : Promise<void> {
  const limit = options.limit === undefined ? Infinity : wholeNumberOf('--limit', options.limit)
  const rows: string[][] = []
  let count = 0
  for await (const entry of (await openTable(path)).history()) {
    if (count++ >= limit) break
    const { commitInfo } = entry
    const timestamp = new Date(entry.timestampMs).toISOString()
    if (options.json === true) {
      const { operation = null, operationParameters = {}, engineInfo = null } = commitInfo
      process.stdout.write(`${JSON.stringify({ version: entry.version, timestamp, operation,
        operationParameters, engineInfo, isBlindAppend: commitInfo.isBlindAppend ?? null })}\n`)
      continue
    }
    rows.push([String(entry.version), timestamp, commitInfo.operation ?? '',
      JSON.stringify(commitInfo.operationParameters ?? {}), commitInfo.engineInfo ?? ''])
  }
  if (options.json === true) return
  process.stdout.write(formatTextTable({ rows, columns: [{ name: 'version', align: 'right' },
    { name: 'time', align: 'left' }, { name: 'operation', align: 'left' },
    { name: 'parameters', align: 'left' }, { name: 'writer', align: 'left' }] }))
}

async function runFiles(path: string, options: ReadOptions): Promise<void> {
  const files = listFiles(await openSnapshot(path, options))
  if (options.json === true) {
    for (const file of files) process.stdout.write(`${JSON.stringify(file)}\n`)
    return
  }
  process.stdout.write(formatTextTable({
    columns: [{ name: 'path', align: 'left' }, { name: 'rows', align: 'right' },
      { name: 'deleted', align: 'right' }, { name: 'bytes', align: 'right' },
      { name: 'partition', align: 'left' }],
    rows: files.map(fileRow),
  }))
}

function fileRow(file: FileEntry): (string | null)[] {
  const partition = Object.entries(file.partitionValues)
    .map(([name, value]) => `${name}=${value ?? 'NULL'}`).join(' ')
  return [file.path, file.rows === null ? null : String(file.rows), String(file.deletedRows),
    String(file.sizeBytes), partition]
}

async function runFsck(path: string, options: FsckOptions): Promise<void> {
  const report = await checked(path, options)
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(report)}\n`)
  } else {
    for (const { path: file, problem } of report.findings) {
      process.stdout.write(`${file}: ${problem}\n`)
    }
    process.stdout.write(`version ${report.version ?? '?'}: ${report.commits} commits, `
      + `${report.checkpoints} checkpoints, ${report.checksums} checksums, ${report.files} files, `
      + `${report.deletionVectors} deletion vectors; ${report.findings.length} problems\n`)
  }
  if (report.findings.length > 0) {
    throw new SlipwayError('delta-corrupt', `${report.findings.length} problems in ${path}`)
  }
}

async function checked(path: string, options: FsckOptions): Promise<FsckReport> {
  const allowedFolders = allowedFoldersOf(options)
  const storage = new LocalStorage({ root: resolve(path), allowedFolders })
  if (options.deep !== true) return await checkTable(storage)
  await using reader = await OwnParquetReader.open({ folders: [resolve(path), ...allowedFolders] })
  return await checkTable(storage, { dataCheck: dataCheck(storage, reader) })
}
