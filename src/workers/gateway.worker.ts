/**
 * The gateway process: GatewayServer under the supervisor's eyes.
 *
 * Options come in the first message, as worker-message.ts has it; without the supervisor's
 * channel the process ends.
 */
import { createLogger, type LogLevel } from '../base/logger.ts'
import { SlipwayError } from '../base/errors.ts'
import type { FromWorker, ToWorker } from '../base/worker-message.ts'
import { GatewayServer } from '../gateway/gateway-server.ts'
import type { TlsFiles } from '../gateway/tls-acceptor.ts'
import type { PostgresTarget } from '../oltp/target.ts'

export interface GatewayWorkerOptions {
  readonly host: string
  readonly port: number
  readonly target: PostgresTarget
  readonly linkPath: string
  readonly tls: TlsFiles | null
  readonly logLevel: LogLevel
  /** null: standard error. */
  readonly logFile: string | null
}

export interface GatewayInfo {
  readonly port: number
}

/** Open transactions may end until then. */
const STOP_GRACE_MS = 5000

let gateway: GatewayServer | null = null
let isStopping = false

async function start(options: GatewayWorkerOptions): Promise<void> {
  const logger = createLogger({ part: 'gateway', level: options.logLevel, file: options.logFile })
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught')
    process.exit(1)
  })
  try {
    gateway = new GatewayServer({ ...options, logger })
    send({ kind: 'ready', info: { port: await gateway.listen() } })
  } catch (error) {
    const told = error instanceof SlipwayError ? error
      : new SlipwayError('internal', error instanceof Error ? error.message : 'unknown fault')
    logger.error({ err: error }, 'cannot start')
    send({ kind: 'failed', code: told.code, message: told.message, hint: told.hint })
    process.disconnect()
  }
}

async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  await gateway?.stop(STOP_GRACE_MS)
  process.exit(0)
}

function send(message: FromWorker<GatewayInfo>): void {
  process.send?.(message)
}

process.on('message', (message: ToWorker<GatewayWorkerOptions>) => {
  switch (message.kind) {
    case 'start':
      void start(message.options)
      return
    case 'stop':
      void stop()
  }
})
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => void stop())
// The terminal sends Ctrl-C to the whole group: the supervisor says when to stop.
process.on('SIGINT', () => {})
send({ kind: 'listening' })
