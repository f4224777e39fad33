/** `slipway sql`: one statement through the endpoint, its result as a table, JSON or CSV. */
import type pg from 'pg'
import { connectToEndpoint, type EndpointOptions } from './endpoint-connection.ts'
import { formatCsv, formatTextTable, type TextTable } from './text-table.ts'

const RIGHT_ALIGNED = new Set([20, 21, 23, 26, 700, 701, 790, 1700])
/** Types whose PostgreSQL text is a JSON number that JavaScript holds exactly. */
const JSON_NUMBERS = new Set([21, 23, 26])

export interface SqlOptions extends EndpointOptions {
  readonly json?: boolean
  readonly csv?: boolean
  readonly explainRoute?: boolean
}

/** Keeps PostgreSQL's own text of every value. */
const AS_TEXT: pg.CustomTypesConfig = {
  getTypeParser: () => (value: string | Buffer) => value.toString(),
}

export async function runSql(sql: string, options: SqlOptions): Promise<void> {
  const client = await connectToEndpoint(options)
  try {
    const text = options.explainRoute === true ? `EXPLAIN (ROUTE) ${sql}` : sql
    const result = await client.query<(string | null)[]>(
      { text, rowMode: 'array', types: AS_TEXT })
    const results = Array.isArray(result) ? result as pg.QueryArrayResult[] : [result]
    for (const one of results) process.stdout.write(render(one, options))
  } finally {
    await client.end()
  }
}

function render(result: pg.QueryArrayResult, options: SqlOptions): string {
  const table: TextTable = {
    columns: result.fields.map((field) => ({
      name: field.name,
      align: RIGHT_ALIGNED.has(field.dataTypeID) ? 'right' : 'left',
    })),
    rows: result.rows as (string | null)[][],
  }
  if (options.json === true) return renderJson(result)
  if (result.fields.length === 0) return `${commandTag(result)}\n`
  if (options.csv === true) return formatCsv(table)
  const count = result.rows.length
  return `${formatTextTable(table)}(${count} ${count === 1 ? 'row' : 'rows'})\n`
}

function commandTag(result: pg.QueryArrayResult): string {
  return [result.command, result.rowCount].filter((part) => part !== null).join(' ')
}

function renderJson(result: pg.QueryArrayResult): string {
  const names = result.fields.map((field) => field.name)
  const rows = (result.rows as (string | null)[][]).map((row) => Object.fromEntries(
    row.map((value, at) => [names[at] ?? `column${at + 1}`,
      jsonValue(value, result.fields[at]?.dataTypeID ?? 25)])))
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

function jsonValue(value: string | null, typeOid: number): unknown {
  if (value === null) return null
  if (typeOid === 16) return value === 't'
  return JSON_NUMBERS.has(typeOid) ? Number(value) : value
}
