/** PgBouncer in session mode before the same PostgreSQL socket: what our gateway is held to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { commandPath } from '../../test/support/cache.ts'
import { poll } from '../../test/support/poll.ts'
import { temporaryFolder, type Slipway } from '../../test/support/slipway.ts'
import { SqlClient, type Address } from '../../test/support/sql-client.ts'

export interface PgBouncer extends AsyncDisposable {
  readonly address: Address
  readonly pid: number
  /** PostgreSQL itself, on the socket that PgBouncer and the gateway use. */
  readonly direct: Address
}

export async function startPgBouncer(slipway: Slipway): Promise<PgBouncer> {
  const program = commandPath('pgbouncer')
  if (program === null) throw new Error('pgbouncer is missing: node test/provision.js tools')
  // PGDATA is closed to others, so PgBouncer runs as its owner; it refuses to run as root.
  const pgdata = join(slipway.dataDir, 'postgres')
  const { uid, gid } = statSync(pgdata)
  const folder = temporaryFolder('pgbouncer')
  const port = await freePort()
  const { user, password, database } = slipway.address
  const users = join(folder, 'users')
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(users, `"${user}" "${password}"\n`)
  writeFileSync(config, configuration({ database, users, port, ...serverSocket(pgdata) }))
  for (const path of [folder, users, config]) chownSync(path, uid, gid)
  const child = spawn(program, ['-q', config], { stdio: 'ignore', uid, gid })
  const address = { host: '127.0.0.1', port, user, password, database }
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await poll('PgBouncer answers', 10_000, async () => {
      await using client = await SqlClient.connect(address)
      return await client.value('SELECT 1')
    })
  } catch (error) {
    await stop()
    throw error
  }
  const { directory, serverPort } = serverSocket(pgdata)
  return {
    address, pid: child.pid ?? 0, direct: { ...address, host: directory, port: serverPort },
    [Symbol.asyncDispose]: stop,
  }
}

function configuration(options: {
  database: string; users: string; port: number; directory: string; serverPort: number
}): string {
  return `[databases]
${options.database} = host=${options.directory} port=${options.serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${options.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${options.users}
pool_mode = session
max_client_conn = 200
default_pool_size = 100
log_connections = 0
log_disconnections = 0
`
}

/** postmaster.pid: line 4 is the port, line 5 the first socket directory (miscadmin.h). */
function serverSocket(pgdata: string): { directory: string; serverPort: number } {
  const lines = readFileSync(join(pgdata, 'postmaster.pid'), 'utf8').split('\n')
  // Relative to PGDATA, which a path of any length then is.
  return { serverPort: Number(lines[3]), directory: resolve(pgdata, lines[4] ?? '') }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
