/**
 * The engine's process: DuckDB, the mirror, routed queries for the gateways, HTTP.
 *
 * N1  It may die at any time: no transaction depends on it, and what it confirmed is durable.
 * N2  It ends with its supervisor: a lost channel stops it.
 */
import { availableParallelism } from 'node:os'
import { createLogger, type LogLevel, type Logger } from '../base/logger.ts'
import { SlipwayError } from '../base/errors.ts'
import { Questions } from '../base/questions.ts'
import type { FromWorker, ToWorker } from '../base/worker-message.ts'
import { DataDirectory } from '../config/data-directory.ts'
import type { GatewayReport } from '../gateway/gateway-metrics.ts'
import type { Credentials, PostgresTarget } from '../oltp/target.ts'
import { Engine } from './engine.ts'

export interface EngineOptions {
  readonly dataDir: string
  readonly admin: Credentials & { readonly target: PostgresTarget }
  /** Where HTTP's own sessions connect, as the request's role. */
  readonly clientTarget: PostgresTarget
  readonly database: string
  readonly host: string
  readonly httpPort: number
  /** null: one per core. */
  readonly threads: number | null
  readonly memoryBytes: number
  readonly flushIntervalMs: number
  readonly flushBytes: number
  readonly routeCostMin: number
  readonly logLevel: LogLevel
}

export interface EngineInfo {
  readonly httpPort: number
}

const questions = new Questions()
let engine: Engine | null = null
let logger: Logger | null = null

process.on('message', (message: ToWorker<EngineOptions>) => {
  switch (message.kind) {
    case 'start':
      void start(message.options)
      return
    case 'reload': case 'ask': return
    case 'answer':
      questions.answered(message.id, message.value)
      return
    case 'stop':
      void stop(0)
      return
  }
})
process.on('disconnect', () => { void stop(0) })
// The terminal sends these to the whole group; the supervisor decides when we stop.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('SIGTERM', () => { void stop(0) })
say({ kind: 'listening' })

async function start(options: EngineOptions): Promise<void> {
  const directory = new DataDirectory(options.dataDir)
  logger = createLogger({
    part: 'engine', level: options.logLevel, file: `${directory.log}/engine.log`,
  })
  try {
    engine = await Engine.start({
      ...options, directory, logger,
      threads: options.threads ?? availableParallelism(),
      gatewayReports: async () => await questions.ask((id) => { say({ kind: 'ask', id }) }) as
        readonly GatewayReport[] | null ?? [],
    })
    engine.failed.then((error) => { void fail(error) }, () => {})
    say({ kind: 'ready', info: { httpPort: engine.httpPort } })
  } catch (error) {
    void fail(error)
  }
}

/** Says why and ends; the supervisor starts the engine anew. */
async function fail(error: unknown): Promise<void> {
  logger?.error({ err: error instanceof Error ? error.message : 'unknown',
    stack: error instanceof Error ? error.stack : undefined }, 'the engine ends')
  if (error instanceof SlipwayError) {
    say({ kind: 'failed', code: error.code, message: error.message, hint: error.hint })
  } else {
    const message = error instanceof Error ? error.message : 'the engine failed'
    say({ kind: 'failed', code: 'internal', message, hint: 'See engine.log in the log folder.' })
  }
  await stop(1)
}

let stopping = false

async function stop(status: number): Promise<void> {
  if (stopping) return
  stopping = true
  try {
    await engine?.stop()
  } catch (error) {
    logger?.error({ err: error instanceof Error ? error.message : 'unknown' }, 'unclean stop')
  }
  process.exit(status)
}

function say(message: FromWorker<EngineInfo>): void {
  if (process.connected) process.send?.(message)
}
