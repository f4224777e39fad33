/**
 * ScratchPostgres: an embedded PostgreSQL of a test's own, gone when the test is over.
 * SCRAM on its unix socket, `wal_level=logical`, C.UTF-8, as Slipway sets it up.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import {
  locatePostgres, type EmbeddedVersion,
} from '../../src/oltp/postgres-binaries.ts'
import { giveTo, pickServerAccount } from '../../src/oltp/server-account.ts'
import { clientConfig, type PostgresTarget } from '../../src/oltp/target.ts'
import { poll } from './poll.ts'

const PORT = 5432
export const SCRATCH_USER = 'owner'
export const SCRATCH_PASSWORD = 'scratch-password'
export const SCRATCH_DATABASE = 'postgres'

export interface ScratchPostgres extends AsyncDisposable {
  readonly target: PostgresTarget
  /** A connected client of the superuser, ended with the server. */
  readonly client: pg.Client
}

export async function startScratchPostgres(
  version: EmbeddedVersion = 18, settings: readonly string[] = [],
): Promise<ScratchPostgres> {
  const home = mkdtempSync(join(tmpdir(), 'slipway-pg-'))
  const account = pickServerAccount(join(home, 'data'), home)
  const binaries = locatePostgres(version, account)
  const passwordFile = join(home, 'password')
  writeFileSync(passwordFile, SCRATCH_PASSWORD)
  giveTo(account, home)
  const locale = version >= 17
    ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
    : ['--locale=C.UTF-8']
  const made = spawnSync(binaries.initdb, ['-D', join(home, 'data'), '-U', SCRATCH_USER,
    '--no-sync', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', ...locale],
  { ...account, cwd: '/', encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
  return serve({ version, home, login: { user: SCRATCH_USER, password: SCRATCH_PASSWORD,
    database: SCRATCH_DATABASE }, settings: ['wal_level=logical', 'max_connections=50',
    ...settings] })
}

/** On `<home>/data`, which is there already, a base backup for one; `home` is its from now on. */
export async function servePostgres(options: {
  readonly version: EmbeddedVersion
  readonly home: string
  readonly login: PostgresLogin
  readonly settings: readonly string[]
}): Promise<ScratchPostgres> {
  giveTo(pickServerAccount(join(options.home, 'data'), options.home), options.home)
  return serve(options)
}

async function serve({ version, home, login, settings }: {
  readonly version: EmbeddedVersion
  readonly home: string
  readonly login: PostgresLogin
  readonly settings: readonly string[]
}): Promise<ScratchPostgres> {
  const account = pickServerAccount(join(home, 'data'), home)
  const args = ['listen_addresses=', `unix_socket_directories=${home}`, `port=${PORT}`,
    'fsync=off', ...settings]
  const server = spawn(locatePostgres(version, account).postgres,
    ['-D', join(home, 'data'), ...args.flatMap((arg) => ['-c', arg])],
    { ...account, cwd: '/', stdio: 'ignore' })
  const target: PostgresTarget = { kind: 'socket', directory: home, port: PORT }
  const client = await poll('PostgreSQL accepts', 20_000, () => connect(target, login))
  return {
    target, client,
    [Symbol.asyncDispose]: async () => {
      await client.end()
      server.kill('SIGQUIT')
      if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

interface PostgresLogin {
  readonly user: string
  readonly password: string
  readonly database: string
}

async function connect(target: PostgresTarget, login: PostgresLogin): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(target, login))
  await client.connect()
  return client
}
