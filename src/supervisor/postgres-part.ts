/**
 * The PostgreSQL of one Slipway: embedded and kept alive, or external and only checked.
 *
 * G1  An embedded server that dies is started again on the same socket, with the back-off of
 *     part-state.ts; recovery is PostgreSQL's own.
 */
import { sleep } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { isTlsRequired, type Config } from '../config/config.ts'
import type { DataDirectory, Secret } from '../config/data-directory.ts'
import type { CertificateLogin } from '../gateway/gateway-server.ts'
import { ADMIN_ROLE, EmbeddedPostgres } from '../oltp/embedded-postgres.ts'
import { checkExternalPostgres, parsePostgresUrl } from '../oltp/external-postgres.ts'
import { authLines, type GatewayClients } from '../oltp/host-based-auth.ts'
import { loginCertificate } from '../oltp/login-certificate.ts'
import type { Credentials, PostgresTarget } from '../oltp/target.ts'
import { ensureUserRole } from '../oltp/user-role.ts'
import { nextPartState, PART_START, type PartState } from './part-state.ts'

/** How the engine reaches PostgreSQL as Slipway itself. */
export interface AdminAccess extends Credentials {
  readonly target: PostgresTarget
}

export interface RunningPostgres {
  readonly admin: AdminAccess
  readonly gatewayTarget: PostgresTarget
  readonly certificates: CertificateLogin
  readonly database: string
  readonly user: string
  stop(): Promise<void>
  /** At once; recovery at the next start. */
  kill(): void
}

export interface StartPostgresOptions {
  readonly config: Config
  readonly directory: DataDirectory
  readonly password: Secret
  readonly logger: Logger
  /** Called when an embedded server cannot be brought back. */
  readonly onLost: (error: unknown) => void
}

export async function startPostgres(options: StartPostgresOptions): Promise<RunningPostgres> {
  return options.config.postgresUrl === null
    ? await startEmbedded(options)
    : await useExternal(options, options.config.postgresUrl)
}

async function useExternal(
  { config, directory }: StartPostgresOptions, url: string,
): Promise<RunningPostgres> {
  const { target, database, ...credentials } = await checkExternalPostgres(parsePostgresUrl(url))
  // For `slipway sql` and its like.
  const password = config.password ?? credentials.password
  if (password !== null) directory.keepSecret('password', password)
  return {
    admin: { target, ...credentials }, gatewayTarget: target, database, user: credentials.user,
    // Nobody but its own pg_hba.conf can spare its users the password.
    certificates: { identLines: [], identMap: null, target: null },
    stop: async () => {}, kill: () => {},
  }
}

async function startEmbedded(options: StartPostgresOptions): Promise<RunningPostgres> {
  const { config, directory } = options
  const { value: adminPassword, isNew } = directory.secret('admin-password', null)
  if (isNew) directory.keepSecret('admin-password', adminPassword)
  const keeper = new EmbeddedKeeper(options, adminPassword)
  const { target, loginTarget } = await keeper.start()
  const admin: AdminAccess = { target, user: ADMIN_ROLE, password: adminPassword }
  try {
    await ensureUserRole({
      target, admin, user: config.user, password: options.password.value,
      isNewPassword: options.password.isNew, database: config.database,
    })
    // Only now: a start that was cut short sets it again.
    if (options.password.isNew) directory.keepSecret('password', options.password.value)
  } catch (error) {
    await keeper.stop()
    throw error
  }
  return {
    admin, gatewayTarget: target, database: config.database, user: config.user,
    certificates: {
      identLines: config.postgres.ident, target: loginTarget,
      identMap: authLines(config.postgres.hba, gatewayClients(config), true).certificateMap,
    },
    stop: () => keeper.stop(), kill: () => keeper.kill(),
  }
}

function gatewayClients(config: Config): GatewayClients {
  const certificates = config.tlsClientCa !== null
  return { host: config.host, certificates, 
    tls: config.tlsCert === null ? 'none' : isTlsRequired(config) ? 'required' : 'offered' }
}

class EmbeddedKeeper {
  readonly #options: StartPostgresOptions
  readonly #adminPassword: string
  readonly #stop = new AbortController()
  #server: EmbeddedPostgres | null = null
  #state: PartState = PART_START

  constructor(options: StartPostgresOptions, adminPassword: string) {
    this.#options = options
    this.#adminPassword = adminPassword
  }

  /** Targets stay as they are when the server is started again. */
  async start(): Promise<Pick<EmbeddedPostgres, 'target' | 'loginTarget'>> {
    const server = await this.#launch()
    void this.#watch(server)
    return server
  }

  async stop(): Promise<void> {
    this.#state = nextPartState(this.#state, { kind: 'stop' })
    this.#stop.abort()
    await this.#server?.stop()
  }

  kill(): void {
    this.#state = nextPartState(this.#state, { kind: 'stop' })
    this.#stop.abort()
    const pid = this.#server?.pid
    // SIGQUIT: PostgreSQL's immediate shutdown, which takes its children along.
    if (pid !== undefined) process.kill(pid, 'SIGQUIT')
  }

  async #launch(): Promise<EmbeddedPostgres> {
    const { config, directory, logger } = this.#options
    const server = await EmbeddedPostgres.start({
      dataDir: directory.root, version: config.pgVersion,
      adminPassword: this.#adminPassword, logger,
      direct: config.directPort === null ? null : { host: config.host, port: config.directPort },
      section: config.postgres, clients: gatewayClients(config),
      login: config.tlsClientCa === null ? null
        : { files: loginCertificate(directory.login), port: this.#server?.target.port ?? 0 },
    })
    this.#server = server
    this.#state = nextPartState(this.#state, { kind: 'ready', nowMs: Date.now() })
    directory.writePid('postgres', server.pid)
    return server
  }

  async #watch(first: EmbeddedPostgres): Promise<void> {
    let server: EmbeddedPostgres | null = first
    while (server !== null) {
      await server.exited
      this.#options.directory.removePid('postgres')
      this.#state = nextPartState(this.#state, { kind: 'exited', nowMs: Date.now() })
      server = await this.#relaunch()
    }
  }

  /** The next server; null when it is not wanted any more or cannot be had. */
  async #relaunch(): Promise<EmbeddedPostgres | null> {
    while (this.#state.kind === 'waiting') {
      const state = this.#state
      this.#options.logger.warn({ failures: state.failures }, 'PostgreSQL died; starting it again')
      await sleep(state.untilMs - Date.now(), this.#stop.signal)
      if (this.#stop.signal.aborted) return null
      this.#state = nextPartState(state, { kind: 'wake' })
      try {
        return await this.#launch()
      } catch (error) {
        if (state.failures >= FAILURES_MAX) {
          this.#options.onLost(error)
          return null
        }
        this.#state = nextPartState(this.#state, { kind: 'exited', nowMs: Date.now() })
      }
    }
    return null
  }
}

/** Failed starts in a row after which the whole Slipway gives up. */
const FAILURES_MAX = 20
