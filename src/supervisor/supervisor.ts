/**
 * Supervisor: owns the data directory and the processes on it.
 *
 * V1  One supervisor for a data directory; a second one refuses and names the first.
 * V2  Whatever was started is stopped: clients first, PostgreSQL last.
 * V3  A part that dies is started again; the others go on.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Deferred } from '../base/deferred.ts'
import { SlipwayError } from '../base/errors.ts'
import { createLogger, type Logger } from '../base/logger.ts'
import { isTlsRequired, withoutSecrets, type Config } from '../config/config.ts'
import { DataDirectory, type Endpoints } from '../config/data-directory.ts'
import type { EngineInfo, EngineOptions } from '../workers/engine.worker.ts'
import { GatewayGroup } from './gateway-group.ts'
import { Part } from './part.ts'
import { startPostgres, type RunningPostgres } from './postgres-part.ts'

const GRACE_MS = 15_000
/** Statements that may run at once in libuv's pool, plus what sync, lmdb and files need. */
const ENGINE_THREAD_POOL = '32'
const ENGINE_NICENESS = 10

export interface RunningSlipway {
  readonly endpoints: Endpoints
  readonly lakePath: string
  /** Set when the password was made on this start. */
  readonly newPassword: string | null
  readonly passwordFile: string
  /** Rejects when a part is lost for good. */
  readonly lost: Promise<never>
}

export class Supervisor {
  readonly #config: Config
  readonly #directory: DataDirectory
  readonly #lost = new Deferred<never>()
  readonly #cancelled = new Deferred<never>()
  #logger: Logger | null = null
  #lock: Disposable | null = null
  #postgres: RunningPostgres | null = null
  #engine: Part<EngineOptions, EngineInfo> | null = null
  #gateways: GatewayGroup | null = null
  #httpPort: number
  #stopping: Promise<void> | null = null

  constructor(config: Config) {
    this.#config = config
    this.#directory = new DataDirectory(config.dataDir)
    this.#httpPort = config.httpPort
    this.#lost.promise.catch(() => {})
    this.#cancelled.promise.catch(() => {})
  }

  /** Resolves when every endpoint serves. On failure everything started is stopped again. */
  async start(): Promise<RunningSlipway> {
    this.#directory.prepare()
    this.#lock = this.#directory.lock()
    try {
      return await Promise.race([this.#startParts(), this.#cancelled.promise])
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Ends a start that is under way. */
  cancelStart(): void {
    this.#cancelled.reject(new SlipwayError('internal', 'stopped while starting',
      { hint: 'Nothing is left running.' }))
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stopParts()
    return this.#stopping
  }

  /** Certificates are read again, for clients that come from now on. */
  reload(): void {
    this.#logger?.info('reading the certificates again')
    this.#gateways?.reload()
  }

  /** Everything dies now; PostgreSQL recovers at the next start. */
  killAll(): void {
    this.#gateways?.kill()
    this.#engine?.kill()
    this.#postgres?.kill()
    this.#lock?.[Symbol.dispose]()
  }

  async #startParts(): Promise<RunningSlipway> {
    const directory = this.#directory
    const logger = createLogger({
      part: 'supervisor', level: this.#config.logLevel, file: `${directory.log}/supervisor.log`,
    })
    this.#logger = logger
    directory.writePid('supervisor', process.pid)
    directory.writeEffectiveConfig(withoutSecrets(this.#config))
    logger.info({ dataDir: directory.root }, 'starting')
    const password = directory.secret('password', this.#config.password)
    const postgres = await startPostgres({
      config: this.#config, directory, password, logger,
      onLost: (error) => this.#lost.reject(error),
    })
    this.#postgres = postgres
    const gateways = new GatewayGroup({
      config: this.#config, directory, target: postgres.gatewayTarget,
      certificates: postgres.certificates, logger, graceMs: GRACE_MS,
    })
    this.#gateways = gateways
    await Promise.all([this.#startEngine(postgres, logger), gateways.start()])
    const endpoints: Endpoints = {
      postgres: {
        host: this.#config.host, port: gateways.port, database: postgres.database,
        user: postgres.user, ...isTlsRequired(this.#config) ? { tlsRequired: true } : {},
      },
      http: { url: `http://${urlHost(this.#config.host)}:${this.#httpPort}` },
    }
    directory.writeEndpoints(endpoints)
    logger.info({ endpoints }, 'ready')
    return {
      endpoints, lakePath: directory.lake, lost: this.#lost.promise,
      newPassword: password.isNew && this.#config.password === null
        && this.#config.postgresUrl === null ? password.value : null,
      passwordFile: `${directory.root}/password`,
    }
  }

  #startEngine(postgres: RunningPostgres, logger: Logger): Promise<void> {
    const config = this.#config
    const directory = this.#directory
    this.#engine = new Part<EngineOptions, EngineInfo>({
      name: 'engine', logger, graceMs: GRACE_MS,
      spawn: () => forkEngine(),
      options: () => ({
        dataDir: directory.root, admin: postgres.admin, clientTarget: postgres.gatewayTarget,
        database: postgres.database, host: config.host, httpPort: this.#httpPort,
        threads: config.engineThreads, memoryBytes: config.engineMemory,
        flushIntervalMs: config.flushInterval, flushBytes: config.flushBytes,
        routeCostMin: config.routeCostMin, logLevel: config.logLevel,
      }),
      onReady: (info, pid) => {
        this.#httpPort = info.httpPort
        directory.writePid('engine', pid)
      },
      onGone: () => directory.removePid('engine'),
      onAsk: async () => await this.#gateways?.reports() ?? [],
    })
    return this.#engine.start()
  }

  async #stopParts(): Promise<void> {
    this.#logger?.info('stopping')
    await this.#gateways?.stop()
    await this.#engine?.stop()
    await this.#postgres?.stop()
    this.#directory.removeEndpoints()
    this.#directory.removePid('supervisor')
    this.#lock?.[Symbol.dispose]()
    this.#logger?.info('stopped')
  }
}

function forkEngine(): ChildProcess {
  const child = fork(fileURLToPath(new URL('../workers/engine.worker.js', import.meta.url)), [], {
    // Read once by libuv when its pool starts, so it must be there before the process is.
    env: { ...process.env, UV_THREADPOOL_SIZE: ENGINE_THREAD_POOL },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  try {
    if (child.pid !== undefined) setPriority(child.pid, ENGINE_NICENESS)
  } catch {
    // Without the right to lower it the engine runs at our own priority.
  }
  return child
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
