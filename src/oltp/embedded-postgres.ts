/**
 * EmbeddedPostgres: a PostgreSQL of our own, in <data-dir>/postgres.
 *
 * E1  `start` resolves when the server accepts connections, recovery after a crash included.
 * E2  PGDATA comes into being whole: initdb works beside it and a rename puts it in place.
 * E3  A PGDATA of another major version is refused and not touched.
 * E4  Run by root, the server runs as another user (server-account.ts), also where that user
 *     cannot enter the directories above PGDATA.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import { freePort } from '../base/free-port.ts'
import type { Logger } from '../base/logger.ts'
import type { PostgresSection } from '../config/postgres-section.ts'
import { LOGIN_NAME } from './login-certificate.ts'
import { locatePostgres, type EmbeddedVersion, type PostgresBinaries } from './postgres-binaries.ts'
import { canEnter, giveTo, pickServerAccount, type ServerAccount } from './server-account.ts'
import { authLines, type GatewayClients } from './host-based-auth.ts'
import { takeOverServerFiles, writeFor, writeServerFiles } from './server-files.ts'
import { ServerLog } from './server-log.ts'
import {
  endLeftovers, serverEnvironment, spawnServer, type ServerExit, type ServerProcess,
} from './server-process.ts'
import {
  requiredSettings, SERVER_CERTIFICATE, SERVER_KEY, serverPort, type DirectListener,
} from './server-settings.ts'
import {
  clientConfig, socketPath, type CertificateFiles, type Credentials, type PostgresTarget,
} from './target.ts'

/** The bootstrap superuser, Slipway's own role; its secret never leaves the data directory. */
export const ADMIN_ROLE = 'slipway_admin'

export interface EmbeddedPostgresOptions {
  /** Slipway's data directory; it exists. */
  readonly dataDir: string
  readonly version: EmbeddedVersion
  readonly adminPassword: string
  /** Port 0: a free one, which is then `target.port`. */
  readonly direct: DirectListener | null
  readonly section: PostgresSection
  readonly clients: GatewayClients
  /** Who shows this certificate on 127.0.0.1 logs in as any role; `port` 0: a free one. */
  readonly login: { readonly files: CertificateFiles; readonly port: number } | null
  readonly logger: Logger
}

/** Where the gateways show their certificate. */
const LOGIN_ADDRESS = '127.0.0.1'

type SocketTarget = PostgresTarget & { readonly kind: 'socket' }

/** Longest recovery after a crash that is waited for. */
const READY_MAX_MS = 600_000
const READY_POLL_MS = 15
/** sockaddr_un.sun_path holds 108 bytes on Linux, 104 elsewhere, a zero included. */
const SOCKET_PATH_MAX_BYTES = process.platform === 'linux' ? 107 : 103

export class EmbeddedPostgres {
  readonly target: SocketTarget
  /** Where a login certificate counts. */
  readonly loginTarget: PostgresTarget | null
  readonly #process: ServerProcess
  #stopping: Promise<void> | null = null

  private constructor(
    target: SocketTarget, server: ServerProcess, login: EmbeddedPostgresOptions['login'],
  ) {
    this.target = target
    this.loginTarget = login === null ? null : {
      kind: 'tcp', host: LOGIN_ADDRESS, port: target.port, tls: {
        kind: 'verified', checkHost: false, caFile: login.files.certFile, client: login.files },
    }
    this.#process = server
  }

  /**
   * Throws 'data-dir-unusable' (another version, rights), 'postgres-unfit' (no binaries),
   * 'port-taken' or 'postgres-unreachable' with what PostgreSQL's log says.
   */
  static async start(given: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const listener = await withPort(given.direct
      ?? (given.login === null ? null : { host: LOGIN_ADDRESS, port: given.login.port }))
    const options = { ...given, direct: given.direct === null ? null : listener }
    const port = serverPort(listener)
    const pgdata = join(options.dataDir, 'postgres')
    const account = pickServerAccount(pgdata, options.dataDir)
    refuseOtherVersion(pgdata, options.version)
    const binaries = locatePostgres(options.version, account)
    if (!existsSync(pgdata)) await initialise(pgdata, binaries, account, options)
    giveTo(account, pgdata)
    configure(pgdata, account, options)
    if (options.section.settings.size > 0) await refuseUnfitSettings(binaries, pgdata, account)
    const target: SocketTarget = {
      kind: 'socket',
      directory: socketDirectory(pgdata, options, account, port),
      port,
    }
    if ((await endLeftovers(pgdata, target.directory)) > 0) {
      options.logger.warn('ended a PostgreSQL that an earlier run had left behind')
    }
    const log = new ServerLog(join(options.dataDir, 'log', 'postgres.log'))
    const server = await spawnServer({
      program: binaries.postgres,
      arguments: serverArguments(pgdata, account, target, options),
      pgdata, account, log,
    })
    const started = new EmbeddedPostgres(target, server, options.login)
    await started.#ready(options, log)
    return started
  }

  get pid(): number {
    return this.#process.pid
  }

  /** How the server ended; resolves only then. */
  get exited(): Promise<ServerExit> {
    return this.#process.exited
  }

  /** The first call is a fast shutdown; calling again while it runs makes it immediate. */
  async stop(): Promise<void> {
    if (this.#stopping === null) this.#stopping = this.#process.stop('fast')
    else await this.#process.stop('immediate')
    await this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #ready(options: EmbeddedPostgresOptions, log: ServerLog): Promise<void> {
    const admin: Credentials = { user: ADMIN_ROLE, password: options.adminPassword }
    const until = Date.now() + READY_MAX_MS
    while (this.#process.running && Date.now() < until) {
      const answer = await tryConnect(this.target, admin)
      if (answer === 'ready') return
      if (answer === 'refused') {
        await this.stop()
        throw new SlipwayError('data-dir-unusable',
          `the PostgreSQL in ${options.dataDir} does not know Slipway's own secret`,
          { hint: 'Put the file admin-password back as it was, or choose another --data-dir.' })
      }
      await sleep(READY_POLL_MS)
    }
    if (this.#process.running) await this.#process.stop('immediate')
    await this.#process.exited
    throw startFailure(options, log)
  }
}

/** Port 0 asks for a free one: PostgreSQL itself knows no such wish. */
async function withPort(direct: DirectListener | null): Promise<DirectListener | null> {
  if (direct === null || direct.port !== 0) return direct
  return { host: direct.host, port: await freePort(direct.host) }
}

function startFailure(options: EmbeddedPostgresOptions, log: ServerLog): SlipwayError {
  const reasons = log.reasons()
  if (options.direct !== null && reasons.includes('could not create any TCP/IP sockets')) {
    return new SlipwayError('port-taken',
      `PostgreSQL cannot listen on ${options.direct.host}:${options.direct.port}`,
      { hint: 'Choose another --direct-port.' })
  }
  return new SlipwayError('postgres-unreachable',
    `PostgreSQL did not start: ${reasons === '' ? 'it gave no reason' : reasons}`,
    { hint: `Its log is ${log.path}` })
}

/** E3. PG_VERSION holds the major version. */
function refuseOtherVersion(pgdata: string, wanted: EmbeddedVersion): void {
  if (!existsSync(pgdata)) return
  let found: string
  try {
    found = readFileSync(join(pgdata, 'PG_VERSION'), 'utf8').trim()
  } catch (error) {
    throw new SlipwayError('data-dir-unusable', `${pgdata} is not a PostgreSQL data directory`,
      { hint: 'Move it away, or choose another --data-dir.', cause: error })
  }
  if (found === String(wanted)) return
  throw new SlipwayError('data-dir-unusable',
    `${pgdata} was made by PostgreSQL ${found}, and PostgreSQL ${wanted} is asked for`,
    {
      hint: `Run: slipway up --pg-version ${found}. To move to ${wanted}, with that running:`
        + ' pg_dumpall --no-role-passwords > all.sql; then start PostgreSQL'
        + ` ${wanted} with another --data-dir and run psql -f all.sql.`,
    })
}

/** E2. */
async function initialise(
  pgdata: string, binaries: PostgresBinaries, account: ServerAccount,
  options: EmbeddedPostgresOptions,
): Promise<void> {
  const half = `${pgdata}.new`
  rmSync(half, { recursive: true, force: true })
  mkdirSync(half, { mode: 0o700 })
  giveTo(account, half)
  const secrets = mkdtempSync(join(tmpdir(), 'slipway-'))
  try {
    const passwordFile = join(secrets, 'password')
    writeFor(account, passwordFile, `${options.adminPassword}\n`)
    giveTo(account, secrets)
    await runInitdb(binaries, half, account, options.version, passwordFile)
  } finally {
    rmSync(secrets, { recursive: true, force: true })
  }
  takeOverServerFiles(half, account)
  renameSync(half, pgdata)
}

/** Slipway's own role needs its secret whatever the user's lines say. */
function configure(
  pgdata: string, account: ServerAccount, options: EmbeddedPostgresOptions,
): void {
  const { section, clients, direct, login } = options
  const own = ['all', 'replication'].map((database) =>
    `local ${database} ${ADMIN_ROLE} scram-sha-256`)
  const user = authLines(section.hba, clients, direct !== null).lines
  if (login !== null) {
    writeFor(account, join(pgdata, SERVER_CERTIFICATE), readFileSync(login.files.certFile, 'utf8'))
    writeFor(account, join(pgdata, SERVER_KEY), readFileSync(login.files.keyFile, 'utf8'))
  }
  writeServerFiles(pgdata, {
    account, section,
    identLines: login === null ? [] : [`${LOGIN_NAME} ${LOGIN_NAME} all`],
    hbaLines: [...own, ...login === null ? [] : loginLines(direct !== null), ...user],
  })
}

/** Nobody else gets in where only the gateways should. */
function loginLines(direct: boolean): readonly string[] {
  return [
    `hostssl all,replication ${ADMIN_ROLE} all reject`,
    `hostssl all,replication all ${LOGIN_ADDRESS}/32 cert map=${LOGIN_NAME}`,
    ...direct ? [] : ['host all,replication all all reject'],
  ]
}

/** PostgreSQL reads its files and says what does not fit, without starting. Throws 'usage'. */
async function refuseUnfitSettings(
  binaries: PostgresBinaries, pgdata: string, account: ServerAccount,
): Promise<void> {
  try {
    await promisify(execFile)(binaries.postgres,
      ['-D', reachable(pgdata, account), '-C', 'data_directory'],
      { cwd: pgdata, ...account, env: serverEnvironment() })
  } catch (error) {
    const said = (error as { readonly stderr?: string }).stderr ?? ''
    // The value stands behind a colon, the file and line behind that.
    const why = /(?:LOG|FATAL|ERROR): {2}([^:\n]*?)(?:: "[^\n]*| in file [^\n]*)?\n/.exec(said)?.[1]
    throw new SlipwayError('usage', `PostgreSQL refuses its settings: ${why ?? 'no reason given'}`,
      { hint: 'Correct "postgres.settings" in slipway.json, or the server\'s postgresql.conf.',
        cause: error })
  }
}

async function runInitdb(
  binaries: PostgresBinaries, directory: string, account: ServerAccount,
  version: EmbeddedVersion, passwordFile: string,
): Promise<void> {
  const common = [
    '-D', reachable(directory, account), '--no-sync', '--encoding=UTF8',
    `--username=${ADMIN_ROLE}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256',
    ...(version >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
  ]
  let failure: unknown = null
  // Not every system has the C.UTF-8 locale; code point order comes with C too.
  for (const locale of ['C.UTF-8', 'C']) {
    try {
      await promisify(execFile)(binaries.initdb, [...common, `--locale=${locale}`],
        { cwd: directory, ...account, env: serverEnvironment() })
      return
    } catch (error) {
      failure = error
    }
  }
  const said = (failure as { readonly stderr?: string }).stderr?.trim().split('\n').at(-1) ?? ''
  throw new SlipwayError('data-dir-unusable',
    `initdb could not make ${directory}: ${said === '' ? 'it could not be started' : said}`,
    { cause: failure })
}

/**
 * E4. Where the account cannot pass the directories above, the server finds PGDATA through
 * its own current directory, which the kernel gives without walking the path.
 */
function reachable(directory: string, account: ServerAccount): string {
  if (canEnter(account, directory)) return directory
  if (existsSync('/proc/self/cwd')) return '/proc/self/cwd'
  throw new SlipwayError('data-dir-unusable',
    `PostgreSQL may not run as root, and ${directory} is closed to other users`,
    { hint: 'Start Slipway as an ordinary user, or choose a --data-dir that others can enter.' })
}

function serverArguments(
  pgdata: string, account: ServerAccount, target: SocketTarget, options: EmbeddedPostgresOptions,
): string[] {
  // Relative to PGDATA: never too long, never closed to the server.
  const directory = target.directory === pgdata ? '.' : target.directory
  const settings = requiredSettings({
    socketDirectory: directory, addresses: addresses(options), port: target.port,
    tls: options.login !== null,
  })
  return [
    '-D', reachable(pgdata, account),
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
}

function addresses({ direct, login }: EmbeddedPostgresOptions): string {
  const wanted = [
    ...direct === null ? [] : [direct.host],
    ...login === null || coversLogin(direct?.host) ? [] : [LOGIN_ADDRESS],
  ]
  return wanted.join(',')
}

function coversLogin(host: string | undefined): boolean {
  return host !== undefined && [LOGIN_ADDRESS, '0.0.0.0', '*', 'localhost'].includes(host)
}

/**
 * PGDATA itself, closed to other users as it is. When its path is too long for a socket, a
 * directory under the system's temporary one, kept in run/socket-directory from start to start.
 */
function socketDirectory(
  pgdata: string, options: EmbeddedPostgresOptions, account: ServerAccount, port: number,
): string {
  const path = socketPath({ kind: 'socket', directory: pgdata, port })
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX_BYTES) return pgdata
  const note = join(options.dataDir, 'run', 'socket-directory')
  try {
    const known = readFileSync(note, 'utf8').trim()
    const owner = statSync(known).uid
    if (owner === (account?.uid ?? process.getuid?.())) return known
  } catch {
    // None yet, or swept away.
  }
  const made = mkdtempSync(join(tmpdir(), 'slipway-'))
  chmodSync(made, 0o700)
  giveTo(account, made)
  mkdirSync(join(options.dataDir, 'run'), { recursive: true })
  writeFileSync(note, `${made}\n`)
  return made
}

async function tryConnect(
  target: PostgresTarget, admin: Credentials,
): Promise<'ready' | 'not-yet' | 'refused'> {
  const client = new Client(clientConfig(target, { ...admin, database: 'postgres' }))
  client.on('error', () => {})
  try {
    await client.connect()
    return 'ready'
  } catch (error) {
    const code = (error as { readonly code?: string }).code ?? ''
    // invalid_password, invalid_authorization_specification
    return code === '28P01' || code === '28000' ? 'refused' : 'not-yet'
  } finally {
    await client.end().catch(() => {})
  }
}
