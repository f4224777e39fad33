/** COPY out and in of a table of a given size by psql, against PostgreSQL's own port. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { psql } from '../../test/support/libpq-client.ts'
import { cleanEnvironment } from '../../test/support/slipway.ts'
import type { Bar } from '../support/report.ts'
import { timed } from '../support/statistics.ts'
import { interleaved, ratioOf, type OltpPart, type Way } from './bed.ts'

const ROW_BYTES = 1024
const FLOOR = 0.9

export const copyPart: OltpPart = async (bed, { rounds, megabytes }) => {
  const { gateway, 'direct-port': direct } = bed.ways
  const rows = Math.round(megabytes * 1024 * 1024 / ROW_BYTES)
  const select = `SELECT repeat('x', ${ROW_BYTES - 1}) FROM generate_series(1, ${rows})`
  // Not mirrored, not logged: what is measured is the way, not the disk.
  await psql(direct.address, ['-c', 'CREATE UNLOGGED TABLE copied (t text)'])
  const loads = {
    'COPY out': (way: Way) => psqlQuietly(way, `COPY (${select}) TO STDOUT`, null),
    'COPY in': (way: Way) => psqlQuietly(way, 'TRUNCATE copied; COPY copied FROM STDIN', rows),
  }
  const lines: string[] = []
  const bars: Bar[] = []
  for (const [name, run] of Object.entries(loads)) {
    const found = await interleaved([gateway, direct], rounds, (way) => timed(() => run(way)))
    const { text, median } = ratioOf(found.get('direct-port') ?? [], found.get('gateway') ?? [])
    lines.push(`${name.padEnd(24)}${megabytes} MB: gateway / direct ${text}`)
    bars.push({ name: `${name} against direct`, value: median, unit: 'times',
      limit: { kind: 'least', value: FLOOR } })
  }
  return { lines, bars }
}

/** Runs `sql`; `rows` rows go in, or all that comes out is thrown away. */
async function psqlQuietly({ address }: Way, sql: string, rows: number | null): Promise<void> {
  const child = spawn('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1',
    ...sql.split('; ').flatMap((one) => ['-c', one])], {
    env: { ...cleanEnvironment(), PGHOST: address.host, PGPORT: String(address.port),
      PGUSER: address.user, PGPASSWORD: address.password, PGDATABASE: address.database,
      PGSSLMODE: 'disable' },
    stdio: [rows === null ? 'ignore' : 'pipe', 'ignore', 'inherit'],
  })
  const closed = once(child, 'close')
  if (rows !== null && child.stdin !== null) {
    const piece = Buffer.from(`${'x'.repeat(ROW_BYTES - 1)}\n`.repeat(64))
    for (let sent = 0; sent < rows; sent += 64) {
      if (!child.stdin.write(piece)) await once(child.stdin, 'drain')
    }
    child.stdin.end()
  }
  const [status] = await closed as [number | null]
  if (status !== 0) throw new Error(`psql ended with ${status}`)
}
