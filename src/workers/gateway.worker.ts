/**
 * The gateway process: GatewayServer under the supervisor's eyes.
 *
 * Options come in the first message, as worker-message.ts has it; without the supervisor's
 * channel the process ends.
 */
import { createLogger, type Logger, type LogLevel } from '../base/logger.ts'
import { SlipwayError } from '../base/errors.ts'
import type { FromWorker, ToWorker } from '../base/worker-message.ts'
import { GatewayServer, type CertificateLogin, type SocketIo } from '../gateway/gateway-server.ts'
import type { TlsFiles } from '../gateway/tls-acceptor.ts'
import type { PostgresTarget } from '../oltp/target.ts'

export interface GatewayWorkerOptions {
  readonly host: string
  readonly port: number
  readonly target: PostgresTarget
  readonly linkPath: string
  readonly tls: TlsFiles | null
  readonly certificates: CertificateLogin
  readonly slowStatementMs: number | null
  readonly socketIo: SocketIo
  /** Open transactions may end until then. */
  readonly stopTimeoutMs: number
  readonly logLevel: LogLevel
  /** null: standard error. */
  readonly logFile: string | null
}

export interface GatewayInfo {
  readonly port: number
}

let gateway: GatewayServer | null = null
let isStopping = false
let logger: Logger | null = null
let stopTimeoutMs = 0

async function start(options: GatewayWorkerOptions): Promise<void> {
  const log = createLogger({ part: 'gateway', level: options.logLevel, file: options.logFile })
  logger = log
  stopTimeoutMs = options.stopTimeoutMs
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught')
    process.exit(1)
  })
  try {
    gateway = new GatewayServer({ ...options, logger: log })
    const port = await gateway.listen()
    log.info({ port, socketIo: gateway.socketIo }, 'listening')
    send({ kind: 'ready', info: { port } })
  } catch (error) {
    const told = error instanceof SlipwayError ? error
      : new SlipwayError('internal', error instanceof Error ? error.message : 'unknown fault')
    log.error({ err: error }, 'cannot start')
    send({ kind: 'failed', code: told.code, message: told.message, hint: told.hint })
    process.disconnect()
  }
}

async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  await gateway?.stop(stopTimeoutMs)
  process.exit(0)
}

/** A certificate that cannot be used leaves the old one in its place. */
function reload(): void {
  try {
    gateway?.reloadCertificates()
    logger?.info('certificates were read again')
  } catch (error) {
    logger?.error({ err: error }, 'certificates cannot be read again')
  }
}

function send(message: FromWorker<GatewayInfo>): void {
  process.send?.(message)
}

process.on('message', (message: ToWorker<GatewayWorkerOptions>) => {
  switch (message.kind) {
    case 'start':
      void start(message.options)
      return
    case 'reload':
      reload()
      return
    case 'ask':
      send({ kind: 'answer', id: message.id, value: gateway?.metrics.report() ?? null })
      return
    case 'answer': return
    case 'stop':
      void stop()
  }
})
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => void stop())
// The terminal sends Ctrl-C to the whole group: the supervisor says when to stop.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
send({ kind: 'listening' })
