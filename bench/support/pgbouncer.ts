/** PgBouncer in session mode before the same PostgreSQL socket: what our gateway is held to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, copyFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../src/base/free-port.ts'
import { commandPath } from '../../test/support/cache.ts'
import type { Certificate } from '../../test/support/certificates.ts'
import { poll } from '../../test/support/poll.ts'
import { serverSocket } from '../../test/support/server-socket.ts'
import { temporaryFolder, type Slipway } from '../../test/support/slipway.ts'
import { SqlClient, type Address } from '../../test/support/sql-client.ts'

export interface PgBouncer extends AsyncDisposable {
  readonly address: Address
  readonly pid: number
  /** PostgreSQL itself, on the socket that PgBouncer and the gateway use. */
  readonly direct: Address
}

/** With TLS for clients that ask for it. */
export async function startPgBouncer(slipway: Slipway, certificate: Certificate)
  : Promise<PgBouncer> {
  const program = commandPath('pgbouncer')
  if (program === null) throw new Error('pgbouncer is missing: node test/provision.js tools')
  // PGDATA is closed to others, so PgBouncer runs as its owner; it refuses to run as root.
  const pgdata = join(slipway.dataDir, 'postgres')
  const { uid, gid } = statSync(pgdata)
  const folder = temporaryFolder('pgbouncer')
  const port = await freePort('127.0.0.1')
  const { user, password, database } = slipway.address
  const server = serverSocket(pgdata)
  const users = join(folder, 'users')
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(users, `"${user}" "${password}"\n`)
  const own = { certFile: join(folder, 'crt'), keyFile: join(folder, 'key') }
  copyFileSync(certificate.certFile, own.certFile)
  copyFileSync(certificate.keyFile, own.keyFile)
  writeFileSync(config, configuration({ database, users, port, server, certificate: own }))
  for (const path of [folder, users, config, ...Object.values(own)]) chownSync(path, uid, gid)
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
  return {
    address, pid: child.pid ?? 0, direct: { ...address, host: server.directory, port: server.port },
    [Symbol.asyncDispose]: stop,
  }
}

function configuration(options: {
  database: string; users: string; port: number
  server: { readonly directory: string; readonly port: number }; certificate: Certificate
}): string {
  return `[databases]
${options.database} = host=${options.server.directory} port=${options.server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${options.port}
unix_socket_dir =
client_tls_sslmode = allow
client_tls_cert_file = ${options.certificate.certFile}
client_tls_key_file = ${options.certificate.keyFile}
auth_type = scram-sha-256
auth_file = ${options.users}
pool_mode = session
max_client_conn = 200
default_pool_size = 100
log_connections = 0
log_disconnections = 0
`
}
