/** `slipway delta rows` and `changes`: what a local Delta table holds, and what changed in it. */
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { RecordBatch } from 'apache-arrow'
import type { Command } from 'commander'
import { SlipwayError } from '../base/errors.ts'
import { tableChanges } from '../delta/changes.ts'
import { versionFrom } from '../delta/history.ts'
import { jsonRows } from '../delta/json-rows.ts'
import { parsePredicate } from '../delta/predicate-parser.ts'
import { scanTable, type ScanOptions } from '../delta/table-scan.ts'
import type { DeltaTable } from '../delta/table.ts'
import { version, type Version } from '../delta/version.ts'
import { OwnParquetReader } from '../olap/own-parquet.ts'
import { allowedFoldersOf, openSnapshot, openTable, storageOf, type ReadOptions }
  from './delta-table.ts'
import { momentOf, wholeNumberOf } from './option-values.ts'
import { formatTextTable } from './text-table.ts'

interface RowOptions extends ReadOptions {
  readonly columns?: string
  readonly where?: string
  readonly limit?: string
}

interface ChangesOptions extends RowOptions {
  readonly from: string
  readonly to?: string
}

/** A table on a terminal is laid out whole before it is shown. */
const TABLE_ROWS_MAX = 10_000

export function addRowCommands(delta: Command): void {
  filtered(delta.command('rows').argument('<path>', 'the table\'s folder')
    .description('the rows of the table')
    .option('--version <n>', 'as of this version')
    .option('--timestamp <t>', 'as of this moment, ISO 8601'))
    .action(async (path: string, options: RowOptions) => { await runRows(path, options) })
  filtered(delta.command('changes').argument('<path>', 'the table\'s folder')
    .description('the rows that came, went and changed in a range of versions')
    .requiredOption('--from <v>', 'first version, or the first one at or after a moment')
    .option('--to <v>', 'last version, or the last one at or before a moment (default: newest)'))
    .action(async (path: string, options: ChangesOptions) => { await runChanges(path, options) })
}

function filtered(command: Command): Command {
  return command
    .option('--columns <names>', 'only these columns, as a,b')
    .option('--where <condition>', 'only rows for which it is true: "id > 5 AND name LIKE \'a%\'"')
    .option('--limit <n>', 'at most this many rows')
    .option('--allow-folder <folders...>', 'read files there, too: shallow clones')
    .option('--json', 'one JSON object a line')
}

async function runRows(path: string, options: RowOptions): Promise<void> {
  await withScan(path, options, async (scan) => {
    await printRows(scanTable(await openSnapshot(path, options), scan), options)
  })
}

async function runChanges(path: string, options: ChangesOptions): Promise<void> {
  await withScan(path, options, async (scan) => {
    const table = await openTable(path, options)
    const from = await rangeEnd(table, '--from', options.from)
    const to = options.to === undefined ? {} : { to: await rangeEnd(table, '--to', options.to) }
    await printRows(tableChanges(table, { ...scan, from, ...to }), options)
  })
}

/** A version, or a moment's. */
async function rangeEnd(table: DeltaTable, option: '--from' | '--to', text: string)
  : Promise<Version> {
  if (/^\d+$/.test(text)) return version(wholeNumberOf(option, text))
  const moment = momentOf(option, text)
  return option === '--from' ? await versionFrom(table.storage, table.snapshot, moment)
    : moment >= table.snapshot.timestampMs ? table.snapshot.version
      : (await table.atTimestamp(moment)).version
}

async function withScan(path: string, options: RowOptions,
  work: (scan: ScanOptions) => Promise<void>): Promise<void> {
  const columns = options.columns === undefined ? {} : { columns: namesIn(options.columns) }
  const where = options.where === undefined ? {} : { where: parsePredicate(options.where) }
  const storage = storageOf(path, options)
  await using reader = await OwnParquetReader.open({
    folders: [resolve(path), ...allowedFoldersOf(options)] })
  await work({ storage, reader, ...columns, ...where })
}

/** Names with a comma in them are quoted as in a condition: "a,b". */
function namesIn(text: string): readonly string[] {
  const names = text.match(/\s*(?:"(?:[^"]|"")+"|[^,"]+)\s*(?:,|$)/g) ?? []
  if (names.join('') !== text || text.endsWith(',')) {
    throw new SlipwayError('usage', '--columns are names with commas between them: a,b')
  }
  return names.map((name) => {
    const bare = name.replace(/,$/, '').trim()
    return bare.startsWith('"') ? bare.slice(1, -1).replaceAll('""', '"') : bare
  })
}

async function printRows(batches: AsyncIterable<RecordBatch>, options: RowOptions)
  : Promise<void> {
  const limit = options.limit === undefined ? Infinity : wholeNumberOf('--limit', options.limit)
  if (options.json === true) await printJson(batches, limit)
  else await printTable(batches, limit)
}

/** Waits for the pipe; a reader that has had enough (`head`) ends it. */
async function printJson(batches: AsyncIterable<RecordBatch>, limit: number): Promise<void> {
  let left = limit
  if (left === 0) return
  const gone = new AbortController()
  const end = (): void => { gone.abort() }
  process.stdout.on('error', end)
  try {
    for await (const batch of batches) {
      const lines: string[] = []
      for (const line of jsonRows(batch)) {
        if (left-- > 0) lines.push(line, '\n')
      }
      if (!process.stdout.write(lines.join(''))) await drained(gone.signal)
      if (left <= 0 || gone.signal.aborted) return
    }
  } finally {
    process.stdout.off('error', end)
  }
}

async function drained(signal: AbortSignal): Promise<void> {
  await once(process.stdout, 'drain', { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}

async function printTable(batches: AsyncIterable<RecordBatch>, limit: number): Promise<void> {
  const rows: string[][] = []
  let columns: readonly string[] = []
  for await (const batch of batches) {
    columns = batch.schema.fields.map((field) => field.name)
    for (const line of jsonRows(batch)) {
      if (rows.length >= limit) break
      if (rows.length >= TABLE_ROWS_MAX) {
        throw new SlipwayError('usage', `the table has more than ${TABLE_ROWS_MAX} rows to show`, {
          hint: 'Add --json, or --limit.' })
      }
      const row = JSON.parse(line) as Readonly<Record<string, unknown>>
      rows.push(columns.map((name) => textOf(row[name])))
    }
    if (rows.length >= limit) break
  }
  if (rows.length === 0) process.stdout.write('no rows\n')
  else process.stdout.write(formatTextTable({ rows,
    columns: columns.map((name) => ({ name, align: 'left' })) }))
}

function textOf(value: unknown): string {
  return value === null ? 'NULL' : typeof value === 'string' ? value : JSON.stringify(value)
}
