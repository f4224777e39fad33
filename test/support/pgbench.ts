/** pgbench's TPC-B: every account, teller and branch changes with a line of history. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { runClient } from './libpq-client.ts'
import { cleanEnvironment } from './slipway.ts'
import type { Address, SqlClient } from './sql-client.ts'

export const PGBENCH_TABLES = [
  'pgbench_accounts', 'pgbench_branches', 'pgbench_tellers', 'pgbench_history',
] as const

/** What TPC-B keeps true in every state that a transaction leaves: a query of one row, all true. */
export const TPCB_INVARIANT = `SELECT h.total, a.total, t.total, b.total
  FROM (SELECT coalesce(sum(delta), 0) AS total FROM pgbench_history) AS h,
       (SELECT coalesce(sum(abalance), 0) AS total FROM pgbench_accounts) AS a,
       (SELECT coalesce(sum(tbalance), 0) AS total FROM pgbench_tellers) AS t,
       (SELECT coalesce(sum(bbalance), 0) AS total FROM pgbench_branches) AS b`

/** True when the four sums that TPCB_INVARIANT answers are one. */
export function invariantHolds(row: readonly (string | null)[] | undefined): boolean {
  return row !== undefined && row.length === 4 && row[0] !== null && new Set(row).size === 1
}

/** Makes the tables; history gets a primary key, without which it would not be mirrored. */
export async function initialisePgbench(
  address: Address, client: SqlClient, scale: number,
): Promise<void> {
  await runClient('pgbench', address, ['-i', '-q', '-s', String(scale), address.database])
  await client.query('ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY')
}

export interface PgbenchRun {
  readonly child: ChildProcess
  /** Resolves at its end; `output` is both streams. */
  readonly done: Promise<{ readonly status: number | null; readonly output: string }>
}

/** `isSecure`: over TLS; without, never. */
export function startPgbench(address: Address, options: { readonly clients: number
  readonly seconds: number; readonly args?: readonly string[]; readonly isSecure?: boolean })
  : PgbenchRun {
  const env = { ...cleanEnvironment(), PGHOST: address.host, PGPORT: String(address.port),
    PGUSER: address.user, PGPASSWORD: address.password, PGDATABASE: address.database,
    PGSSLMODE: options.isSecure === true ? 'require' : 'disable' }
  const child = spawn('pgbench', ['-n', '-c', String(options.clients), '-j', '2', '-T',
    String(options.seconds), ...options.args ?? [], address.database],
  { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const collect = (text: string): void => { output += text }
  child.stdout.setEncoding('utf8').on('data', collect)
  child.stderr.setEncoding('utf8').on('data', collect)
  const done = once(child, 'close').then(([status]) =>
    ({ status: status as number | null, output }))
  return { child, done }
}

/** The transactions that pgbench counted, and how many of them failed. */
export function pgbenchTally(output: string): { processed: number; failed: number } {
  const processed = /transactions actually processed: (\d+)/.exec(output)?.[1]
  const failed = /failed transactions: (\d+)/.exec(output)?.[1]
  return { processed: Number(processed ?? Number.NaN), failed: Number(failed ?? 0) }
}

export function tpsOf(output: string): number {
  return Number(/^tps = ([\d.]+)/m.exec(output)?.[1] ?? Number.NaN)
}
