/** The programs that come with PostgreSQL, run against an endpoint. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { cleanEnvironment } from './slipway.ts'
import type { Address } from './sql-client.ts'

export interface ClientOptions {
  readonly stdinFile?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs psql against `address`; its standard output. Throws with its error text. */
export async function psql(
  address: Address, args: readonly string[], options: ClientOptions = {},
): Promise<string> {
  return runClient('psql', address, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...args], options)
}

/** Runs a libpq client (psql, pgbench, pg_dump …) against `address`. */
export async function runClient(
  command: string, address: Address, args: readonly string[],
  options: ClientOptions = {},
): Promise<string> {
  const env = { ...cleanEnvironment(), PGHOST: address.host, PGPORT: String(address.port),
    PGUSER: address.user, PGPASSWORD: address.password, PGDATABASE: address.database,
    ...options.env }
  const child = spawn(command, args, { env,
    stdio: [options.stdinFile === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] })
  if (options.stdinFile !== undefined && child.stdin !== null) {
    createReadStream(options.stdinFile).pipe(child.stdin)
  }
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [status] = await once(child, 'close') as [number | null]
  if (status === 0) return stdout
  throw new Error(`${command} ended with ${status}: ${stderr.trim().slice(-2000)}`)
}
