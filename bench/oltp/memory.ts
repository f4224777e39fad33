/**
 * Memory of the gateway: clients that have asked once and now do nothing, and one row of half a
 * gigabyte on its way out and in.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { cleanEnvironment, Slipway, temporaryFolder } from '../../test/support/slipway.ts'
import { SqlClient, type Address } from '../../test/support/sql-client.ts'
import { memoryOf } from '../support/process-memory.ts'
import type { OltpPart } from './bed.ts'

/** What the first clients need, every later one shares. */
const FIRST_CLIENTS = 100
const AT_ONCE = 20
const SETTLE_MS = 5_000
const CLIENT_KB_MAX = 40
const ROW_MB = 500
const ROW_GROWTH_MB_MAX = 64

export const idlePart: OltpPart = async (_bed, { idle }) => {
  const folder = temporaryFolder('idle')
  const config = join(folder, 'slipway.json')
  writeFileSync(config, JSON.stringify({ postgres: { settings: {
    max_connections: String(idle + FIRST_CLIENTS + 50), shared_buffers: '64MB' } } }))
  await using slipway = await Slipway.start({
    args: ['--gateway-processes', '1', '--config', config] })
  const pid = slipway.partPid('gateway-1')
  const clients: SqlClient[] = []
  try {
    await connectMany(slipway.address, clients, FIRST_CLIENTS)
    await setTimeout(SETTLE_MS)
    const before = memoryOf(pid)
    await connectMany(slipway.address, clients, idle)
    await setTimeout(SETTLE_MS)
    const each = (memoryOf(pid).residentKb - before.residentKb) / idle
    return {
      lines: [`idle clients            ${idle}: ${each.toFixed(1)} KB each in the gateway`],
      bars: [{ name: `memory of each of ${idle} idle clients`, value: each, unit: 'KB',
        limit: { kind: 'most', value: CLIENT_KB_MAX } }],
    }
  } finally {
    await Promise.all(clients.map((client) => client.end()))
    rmSync(folder, { recursive: true, force: true })
  }
}

async function connectMany(address: Address, clients: SqlClient[], count: number): Promise<void> {
  for (let made = 0; made < count; made += AT_ONCE) {
    clients.push(...await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - made) },
      async () => {
        const client = await SqlClient.connect(address)
        await client.value('SELECT 1')
        return client
      })))
  }
}

export const largeRowPart: OltpPart = async (bed) => {
  const { gateway } = bed.ways
  const pid = gateway.pid ?? 0
  const lines: string[] = []
  const bars = []
  await runPsql(gateway.address, 'CREATE UNLOGGED TABLE large (t text)', 0)
  for (const [name, sql, megabytes] of [
    ['out', `SELECT repeat('x', ${ROW_MB} * 1024 * 1024)`, 0],
    ['in', 'COPY large FROM STDIN', ROW_MB],
  ] as const) {
    const before = memoryOf(pid, { forgetPeak: true })
    await runPsql(gateway.address, sql, megabytes)
    const growth = (memoryOf(pid).peakKb - before.residentKb) / 1024
    lines.push(`a row of ${ROW_MB} MB ${name.padEnd(8)}${growth.toFixed(1)} MB more at the most`)
    bars.push({ name: `memory for a row of ${ROW_MB} MB ${name}`, value: growth, unit: 'MB',
      limit: { kind: 'most' as const, value: ROW_GROWTH_MB_MAX } })
  }
  return { lines, bars }
}

/** `megabytes`: of one line that goes in; what comes out is thrown away. */
async function runPsql(address: Address, sql: string, megabytes: number): Promise<void> {
  const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', sql], {
    env: { ...cleanEnvironment(), PGHOST: address.host, PGPORT: String(address.port),
      PGUSER: address.user, PGPASSWORD: address.password, PGDATABASE: address.database,
      PGSSLMODE: 'disable' }, stdio: ['pipe', 'ignore', 'inherit'] })
  const closed = once(child, 'close')
  const piece = Buffer.alloc(1024 * 1024, 'x')
  for (let sent = 0; sent < megabytes; sent++) {
    if (!child.stdin.write(piece)) await once(child.stdin, 'drain')
  }
  child.stdin.end(megabytes > 0 ? '\n' : '')
  const [status] = await closed as [number | null]
  if (status !== 0) throw new Error(`psql ended with ${status}`)
}
