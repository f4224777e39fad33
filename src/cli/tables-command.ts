/** `slipway tables` and `slipway flush`: the mirror as slipway.tables shows it. */
import { connectToEndpoint, type EndpointOptions } from './endpoint-connection.ts'
import { formatDuration } from './format-duration.ts'
import { formatTextTable } from './text-table.ts'

export interface TableRow {
  readonly schema: string
  readonly table: string
  readonly state: string
  readonly reason: string | null
  readonly delta_path: string | null
  readonly delta_version: string | null
  readonly rows: string | null
  readonly files: string | null
  readonly tail_rows: string | null
  readonly lag: string | null
  readonly durable_lsn: string | null
  readonly applied_lsn: string | null
}

const TABLES_SQL = `SELECT schema_name AS schema, table_name AS "table", state, reason,
  delta_path, delta_version::text, rows::text, files::text, tail_rows::text, lag::text,
  durable_lsn::text, applied_lsn::text
  FROM slipway.tables ORDER BY 1, 2`

export async function fetchTables(options: EndpointOptions): Promise<readonly TableRow[]> {
  const client = await connectToEndpoint(options)
  try {
    return (await client.query<TableRow>(TABLES_SQL)).rows
  } finally {
    await client.end()
  }
}

export async function runTables(options: EndpointOptions & { json?: boolean }): Promise<void> {
  const rows = await fetchTables(options)
  if (options.json === true) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`)
    return
  }
  process.stdout.write(renderTables(rows))
}

export function renderTables(rows: readonly TableRow[]): string {
  if (rows.length === 0) return 'no tables yet: every table with a primary key is mirrored\n'
  return formatTextTable({
    columns: [
      { name: 'table', align: 'left' }, { name: 'state', align: 'left' },
      { name: 'version', align: 'right' }, { name: 'rows', align: 'right' },
      { name: 'files', align: 'right' }, { name: 'tail', align: 'right' },
      { name: 'lag', align: 'right' }, { name: 'path or reason', align: 'left' },
    ],
    rows: rows.map((row) => [
      `${row.schema}.${row.table}`, row.state, row.delta_version, row.rows, row.files,
      row.tail_rows, row.lag, row.reason ?? row.delta_path,
    ]),
  })
}

export async function runFlush(options: EndpointOptions & { json?: boolean }): Promise<void> {
  const started = Date.now()
  const client = await connectToEndpoint(options)
  try {
    const result = await client.query<{ lsn: string | null }>('SELECT slipway.flush()::text AS lsn')
    const lsn = result.rows[0]?.lsn ?? null
    const elapsedMs = Date.now() - started
    process.stdout.write(options.json === true
      ? `${JSON.stringify({ durableLsn: lsn, elapsedMs })}\n`
      : `durable in the lake up to ${lsn ?? 'now'} (${formatDuration(elapsedMs)})\n`)
  } finally {
    await client.end()
  }
}
