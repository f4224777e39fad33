/**
 * `slipway demo`: everything up on a temporary data directory, a data set of a million rows
 * with a progress bar, then writes and the same analytic query in both engines, side by side.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import { resolveConfig } from '../config/config.ts'
import { Supervisor } from '../supervisor/supervisor.ts'
import { DEMO_ANALYTIC_QUERY, loadDemoData } from './demo-data.ts'
import { DemoWriter } from './demo-writer.ts'
import { connectToEndpoint } from './endpoint-connection.ts'
import { formatDuration } from './format-duration.ts'
import { ProgressBar } from './progress-bar.ts'
import { formatTextTable } from './text-table.ts'

const WRITERS = 2

export interface DemoOptions {
  readonly rows: string
  readonly seconds: string
  readonly dataDir?: string
  readonly json?: boolean
}

export async function runDemo(options: DemoOptions): Promise<void> {
  const rows = wholeNumber('--rows', options.rows, 1_000)
  const seconds = wholeNumber('--seconds', options.seconds, 1)
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'slipway-demo-'))
  const config = resolveConfig({
    flags: { dataDir, port: '0', httpPort: '0', flushInterval: '2s' },
    environment: {}, file: null,
  })
  const supervisor = new Supervisor(config)
  const stop = new AbortController()
  const interrupt = (): void => { stop.abort(); supervisor.cancelStart() }
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  try {
    process.stderr.write(`starting on ${dataDir}\n`)
    const running = await supervisor.start()
    const { host, port } = running.endpoints.postgres
    process.stderr.write(`PostgreSQL endpoint ${host}:${port}, lake ${running.lakePath}\n`)
    if (!stop.signal.aborted) await loadAndShow({ ...options, dataDir, rows, seconds }, stop.signal)
  } finally {
    await supervisor.stop()
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true })
  }
}

interface Demo {
  readonly dataDir: string
  readonly rows: number
  readonly seconds: number
  readonly json?: boolean
}

async function loadAndShow(demo: Demo, signal: AbortSignal): Promise<void> {
  const connections: pg.Client[] = []
  const connect = async (): Promise<pg.Client> => {
    const client = await connectToEndpoint({ dataDir: demo.dataDir })
    connections.push(client)
    return client
  }
  try {
    const bar = new ProgressBar({ title: 'loading', total: demo.rows, out: process.stderr })
    const loader = await connect()
    const { orders } = await loadDemoData(loader,
      { lines: demo.rows, onProgress: (lines) => bar.update(lines) })
    bar.end()
    await showLive(demo, { loader, connect, firstOrder: orders + 1, signal })
  } finally {
    await Promise.allSettled(connections.map((client) => client.end()))
  }
}

interface LiveOptions {
  readonly loader: pg.Client
  readonly connect: () => Promise<pg.Client>
  readonly firstOrder: number
  readonly signal: AbortSignal
}

async function showLive(demo: Demo, options: LiveOptions): Promise<void> {
  let nextOrder = options.firstOrder
  const writers: DemoWriter[] = []
  for (let n = 0; n < WRITERS; n++) {
    writers.push(new DemoWriter(await options.connect(), () => nextOrder++))
  }
  const rowStore = await options.connect()
  await rowStore.query(`SET slipway.route = 'postgres'`)
  const columnar = await options.connect()
  await columnar.query(`SET slipway.route = 'columnar'`)
  await mirrored(options.loader, options.signal)
  const work = Promise.all(writers.map((writer) => writer.run()))
  try {
    await Promise.race([work, showSamples()])
  } finally {
    for (const writer of writers) writer.stop()
    await work
  }

  async function showSamples(): Promise<void> {
    for (let second = 1; second <= demo.seconds && !options.signal.aborted; second++) {
      const before = totalPlaced(writers)
      const started = Date.now()
      const sample = await takeSample(rowStore, columnar, options.loader)
      await sleep(Math.max(0, 1_000 - (Date.now() - started)), options.signal)
      const perSecond = (totalPlaced(writers) - before) / ((Date.now() - started) / 1_000)
      process.stdout.write(render({ ...sample, perSecond, second }, demo.json === true))
    }
  }
}

function totalPlaced(writers: readonly DemoWriter[]): number {
  return writers.reduce((sum, writer) => sum + writer.placed, 0)
}

async function mirrored(client: pg.Client, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + 120_000
  while (!signal.aborted && Date.now() < deadline) {
    const result = await client.query<{ waiting: number }>(
      `SELECT count(*)::int AS waiting FROM slipway.tables WHERE state <> 'ready'`)
    if (result.rows[0]?.waiting === 0) return
    await sleep(200, signal)
  }
  if (!signal.aborted) {
    throw new SlipwayError('table-not-mirrored', 'the demo\'s tables are not mirrored yet',
      { hint: '`slipway tables` names the state of each.' })
  }
}

interface Sample {
  readonly postgresMs: number
  readonly columnarMs: number
  readonly equal: boolean
  readonly freshnessMs: number
  readonly deltaVersion: string
  readonly answer: readonly (string | null)[][]
}

async function takeSample(
  rowStore: pg.Client, columnar: pg.Client, loader: pg.Client,
): Promise<Sample> {
  const freshnessMs = await commitToVisible(loader, columnar)
  // One REPEATABLE READ snapshot cannot span two engines: the writers' rows of the few
  // milliseconds between are kept out by a fixed upper bound on the order.
  const bound = await loader.query<{ id: string }>('SELECT max(id)::text AS id FROM orders')
  const last = Number(bound.rows[0]?.id ?? 0)
  const sql = DEMO_ANALYTIC_QUERY.replace(`<> 'returned'`, `<> 'returned' AND o.id <= ${last}`)
  const fromColumns = await timed(columnar, sql)
  const fromRows = await timed(rowStore, sql)
  const version = await loader.query<{ v: string }>(
    `SELECT coalesce(delta_version::text, '-') AS v FROM slipway.tables
      WHERE table_name = 'orders'`)
  return {
    postgresMs: fromRows.ms, columnarMs: fromColumns.ms, freshnessMs,
    equal: JSON.stringify(fromRows.rows) === JSON.stringify(fromColumns.rows),
    deltaVersion: version.rows[0]?.v ?? '-', answer: fromColumns.rows,
  }
}

/** Milliseconds from an acknowledged commit until a columnar aggregate shows it. */
async function commitToVisible(writer: pg.Client, reader: pg.Client): Promise<number> {
  await writer.query(
    `INSERT INTO customers SELECT max(id) + 1, 'demo', 'DE', current_date FROM customers`)
  const started = performance.now()
  await reader.query('SELECT count(*) FROM customers')
  return performance.now() - started
}

async function timed(client: pg.Client, sql: string): Promise<{
  readonly ms: number
  readonly rows: (string | null)[][]
}> {
  const started = performance.now()
  const result = await client.query<(string | null)[]>({ text: sql, rowMode: 'array' })
  return { ms: performance.now() - started, rows: result.rows }
}

function render(view: Sample & { perSecond: number; second: number }, json: boolean): string {
  if (json) return `${JSON.stringify(view)}\n`
  const table = formatTextTable({
    columns: [
      { name: 'country', align: 'left' }, { name: 'category', align: 'left' },
      { name: 'lines', align: 'right' }, { name: 'revenue', align: 'right' },
    ],
    rows: view.answer,
  })
  const speedup = (view.postgresMs / Math.max(view.columnarMs, 0.01)).toFixed(1)
  return `\n${view.second} s: ${Math.round(view.perSecond)} transactions/s | ` +
    `PostgreSQL ${formatDuration(view.postgresMs)}, columnar ` +
    `${formatDuration(view.columnarMs)} (${speedup}x), answers ` +
    `${view.equal ? 'equal' : 'DIFFER'} | fresh after ${formatDuration(view.freshnessMs)} | ` +
    `Delta version ${view.deltaVersion}\n${table}`
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least) return value
  throw new SlipwayError('usage', `${flag}: a whole number of at least ${least}`)
}
