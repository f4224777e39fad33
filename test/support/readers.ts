/**
 * Readers: stock Spark, delta-rs and the Java kernel, asked whether a table of ours holds
 * exactly PostgreSQL's rows (test/support/readers.py does the comparing).
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CACHE, PYTHON, SUPPORT } from './cache.ts'
import { temporaryFolder } from './slipway.ts'
import type { Address } from './sql-client.ts'

export type Reader = 'spark' | 'delta-rs' | 'kernel'
export const ALL_READERS: readonly Reader[] = ['spark', 'delta-rs', 'kernel']

export interface Comparison {
  /** Rows in PostgreSQL. */
  readonly rows: number
  /** Per reader: null when it read exactly those rows, else what differs. */
  readonly readers: Partial<Record<Reader, string | null>>
}

/** The process that holds Spark; one for a whole run. Its socket is what tests connect to. */
export async function startReaders(): Promise<{ socket: string; child: ChildProcess }> {
  const socket = join(temporaryFolder('readers'), 'socket')
  const child = spawn(PYTHON, [join(SUPPORT, 'readers.py'), socket, CACHE, SUPPORT],
    { stdio: ['pipe', 'pipe', 'ignore'] })
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => { throw new Error('readers.py did not start') }),
  ])
  return { socket, child }
}

export async function compareTable(socket: string, request: {
  readonly address: Address
  /** Qualified and quoted as SQL needs it. */
  readonly table: string
  readonly path: string
  readonly readers?: readonly Reader[]
  /** A version of the table instead of the latest (not for the kernel). */
  readonly version?: number
}): Promise<Comparison> {
  const { host, port, user, password, database } = request.address
  const dsn = `host=${host} port=${port} user=${user} password=${password} dbname=${database}`
  const answer = await ask(socket, {
    op: 'compare', dsn, table: request.table, path: request.path,
    readers: request.readers ?? ALL_READERS, version: request.version,
  }) as Comparison & { readonly error?: string }
  if (answer.error !== undefined) throw new Error(answer.error)
  return answer
}

/** The rows that a reader finds, as readers.py's canonical texts with ` | ` between columns. */
export async function readLines(socket: string, request: { readonly reader: Reader
  readonly path: string; readonly version?: number; readonly timestampMs?: number })
  : Promise<readonly string[]> {
  const answer = await ask(socket, { op: 'lines', ...request }) as
    { readonly lines?: readonly string[]; readonly error?: string }
  if (answer.lines === undefined) throw new Error(`${request.reader}: ${answer.error ?? ''}`)
  return answer.lines.map((line) => line.replaceAll('\u001f', ' | ').replaceAll('\u001aN', 'NULL'))
}

/** A statement of Spark's; values as texts. */
export async function sparkSql(socket: string, query: string)
  : Promise<readonly (readonly (string | null)[])[]> {
  const answer = await ask(socket, { op: 'sql', query }) as
    { readonly rows?: readonly (readonly (string | null)[])[]; readonly error?: string }
  if (answer.rows === undefined) throw new Error(answer.error)
  return answer.rows
}

/** What every reader answers when all agree: for one comparison of a whole result. */
export function agreement(
  rows: number, readers: readonly Reader[] = ALL_READERS,
): Comparison {
  return { rows, readers: Object.fromEntries(readers.map((reader) => [reader, null])) }
}

async function ask(socket: string, request: unknown): Promise<unknown> {
  const connection = createConnection(socket)
  try {
    await once(connection, 'connect')
    connection.write(`${JSON.stringify(request)}\n`)
    for await (const line of createInterface({ input: connection })) return JSON.parse(line)
    throw new Error('readers.py closed the connection')
  } finally {
    connection.destroy()
  }
}
