/** `slipway status`: is each part up, how far behind is the mirror, what does each table do. */
import { resolve } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import { processStartTime } from '../base/process-identity.ts'
import { DataDirectory } from '../config/data-directory.ts'
import type { EndpointOptions } from './endpoint-connection.ts'
import { fetchTables, renderTables, type TableRow } from './tables-command.ts'
import { formatTextTable } from './text-table.ts'

interface PartStatus {
  readonly part: string
  readonly health: 'up' | 'down'
  readonly pid: number | null
  readonly endpoint: string | null
}

interface Status {
  readonly parts: readonly PartStatus[]
  readonly tables: readonly TableRow[]
  /** Why the tables could not be read; null when they could. */
  readonly error: string | null
}

export async function runStatus(options: EndpointOptions & { json?: boolean }): Promise<void> {
  const status = await fetchStatus(options)
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(status, null, 2)}\n`)
  } else {
    process.stdout.write(renderStatus(status))
  }
  if (status.parts.some((part) => part.health === 'down')) process.exitCode = 1
}

async function fetchStatus(options: EndpointOptions): Promise<Status> {
  const directory = new DataDirectory(resolve(options.dataDir))
  const endpoints = directory.readEndpoints()
  const address = `${endpoints.postgres.host}:${endpoints.postgres.port}`
  const parts = [
    await httpPart(directory, endpoints.http.url),
    ...partNames(directory).map((part): PartStatus => {
      const pid = directory.readPid(part)
      const up = pid !== null && processStartTime(pid) !== null
      const endpoint = part.startsWith('gateway') ? address : null
      return { part, health: up ? 'up' : 'down', pid, endpoint }
    }),
  ]
  try {
    return { parts, tables: await fetchTables(options), error: null }
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    return { parts, tables: [], error: error.message }
  }
}

function partNames(directory: DataDirectory): readonly string[] {
  return ['supervisor', 'postgres', ...directory.partsWithPid().filter((part) =>
    part.startsWith('gateway'))]
}

async function httpPart(directory: DataDirectory, url: string): Promise<PartStatus> {
  const pid = directory.readPid('engine')
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })
    return { part: 'engine', health: answer.ok ? 'up' : 'down', pid, endpoint: url }
  } catch {
    return { part: 'engine', health: 'down', pid, endpoint: url }
  }
}

function renderStatus(status: Status): string {
  const parts = formatTextTable({
    columns: [
      { name: 'part', align: 'left' }, { name: 'health', align: 'left' },
      { name: 'pid', align: 'right' }, { name: 'endpoint', align: 'left' },
    ],
    rows: status.parts.map((part) =>
      [part.part, part.health, part.pid === null ? null : String(part.pid), part.endpoint]),
  })
  const tables = status.error === null ? renderTables(status.tables) : `${status.error}\n`
  return `${parts}\n${tables}`
}
