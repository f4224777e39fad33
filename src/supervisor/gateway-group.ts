/**
 * GatewayGroup: the gateway processes that share the PostgreSQL port.
 *
 * W1  The port is bound once, by this process; a gateway that is started again serves the same.
 */
import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { freePort } from '../base/free-port.ts'
import type { Logger } from '../base/logger.ts'
import { isTlsRequired, type Config } from '../config/config.ts'
import type { DataDirectory } from '../config/data-directory.ts'
import type { CertificateLogin } from '../gateway/gateway-server.ts'
import type { PostgresTarget } from '../oltp/target.ts'
import type { GatewayInfo, GatewayWorkerOptions } from '../workers/gateway.worker.ts'
import { Part } from './part.ts'

export interface GatewayGroupOptions {
  readonly config: Config
  readonly directory: DataDirectory
  readonly target: PostgresTarget
  readonly certificates: CertificateLogin
  readonly logger: Logger
  /** Beyond what open transactions are given. */
  readonly graceMs: number
}

export class GatewayGroup {
  readonly #options: GatewayGroupOptions
  readonly #parts: readonly Part<GatewayWorkerOptions, GatewayInfo>[]
  #port: number
  /** What the port was bound by: who asks for the same gets the same, until nobody has it. */
  #boundBy: number
  #living = 0

  constructor(options: GatewayGroupOptions) {
    this.#options = options
    this.#port = options.config.port
    this.#boundBy = options.config.port
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('../workers/gateway.worker.js', import.meta.url)), args: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#parts = Array.from({ length: options.config.gatewayProcesses },
      (_, index) => this.#part(index + 1))
  }

  /** The bound port, once started. */
  get port(): number { return this.#port }

  async start(): Promise<void> {
    await this.#choosePort()
    for (const part of this.#parts) await part.start()
  }

  /**
   * Cluster shares a port among those that ask for the same number, and 0 is another number than
   * the one it became: a second process, or one that is started again, would be refused.
   */
  async #choosePort(): Promise<void> {
    if (this.#port !== 0 || this.#parts.length === 1) return
    try {
      this.#port = await freePort(this.#options.config.host)
    } catch {
      // The first gateway says what is wrong with the host.
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.stop()))
  }

  /** Of the gateways that answer. */
  async reports(): Promise<readonly unknown[]> {
    const reports = await Promise.all(this.#parts.map((part) => part.ask()))
    return reports.filter((report) => report !== null)
  }

  /** Certificates are read again. */
  reload(): void {
    for (const part of this.#parts) part.reload()
  }

  kill(): void {
    for (const part of this.#parts) part.kill()
  }

  #part(index: number): Part<GatewayWorkerOptions, GatewayInfo> {
    const { config, directory, target, certificates, logger, graceMs } = this.#options
    const name = `gateway-${index}`
    let isLiving = false
    return new Part<GatewayWorkerOptions, GatewayInfo>({
      name, logger, graceMs: config.stopTimeout + graceMs,
      spawn: () => cluster.fork().process,
      options: () => ({
        host: config.host, port: this.#boundBy, target, linkPath: directory.linkPath,
        certificates, slowStatementMs: config.slowStatement,
        socketIo: config.socketIo, stopTimeoutMs: config.stopTimeout,
        tls: config.tlsCert === null || config.tlsKey === null ? null : {
          certFile: config.tlsCert, keyFile: config.tlsKey, clientCaFile: config.tlsClientCa,
          isRequired: isTlsRequired(config),
        },
        logLevel: config.logLevel, logFile: `${directory.log}/${name}.log`,
      }),
      onReady: (info, pid) => {
        this.#port = info.port
        this.#living++
        isLiving = true
        directory.writePid(name, pid)
      },
      onGone: () => {
        directory.removePid(name)
        if (isLiving) this.#living--
        isLiving = false
        // A port that was picked is kept, also when the last gateway died.
        if (this.#living === 0) this.#boundBy = this.#port
      },
    })
  }
}
