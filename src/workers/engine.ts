/**
 * Engine: the parts of the engine's process, wired.
 *
 * W1  start() resolves when statements can be routed and HTTP serves; tables become ready on
 *     their own, and until then PostgreSQL answers.
 * W2  stop() ends them in the opposite order of their making.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { systemClock } from '../base/clock.ts'
import { ResourceStack } from '../base/disposal.ts'
import type { Logger } from '../base/logger.ts'
import type { DataDirectory } from '../config/data-directory.ts'
import { Mirror } from '../delta-sync/mirror.ts'
import type { GatewayReport } from '../gateway/gateway-metrics.ts'
import { LinkServer } from '../gateway/link-server.ts'
import { metricsPage } from '../gateway/metrics-page.ts'
import { createHttpServer, type HttpServer } from '../http/http-server.ts'
import { ColumnarExecutor } from '../olap/columnar-executor.ts'
import { DuckDb } from '../olap/duckdb.ts'
import { EpochRegistry } from '../olap/epoch-registry.ts'
import { LiveStore } from '../olap/live-store.ts'
import { ParquetFiles } from '../olap/parquet-files.ts'
import { PostgresReplicationSource } from '../oltp/replication-source.ts'
import { Session } from '../oltp/session.ts'
import { clientConfig, type Credentials, type PostgresTarget } from '../oltp/target.ts'
import { databaseCollation } from '../query/database-collation.ts'
import { QueryService } from '../query/query-service.ts'
import { ZoneCatalog, type RunSql } from '../query/zone-offsets.ts'
import { MACRO_STATEMENTS } from '../router/macros.ts'

export interface EngineStartOptions {
  readonly directory: DataDirectory
  readonly admin: Credentials & { readonly target: PostgresTarget }
  readonly clientTarget: PostgresTarget
  readonly database: string
  readonly host: string
  readonly httpPort: number
  readonly threads: number
  readonly memoryBytes: number
  readonly flushIntervalMs: number
  readonly flushBytes: number
  readonly routeCostMin: number
  readonly gatewayReports: () => Promise<readonly GatewayReport[]>
  readonly logger: Logger
}

export class Engine {
  readonly #resources: ResourceStack
  readonly #mirror: Mirror
  readonly #http: HttpServer

  private constructor(resources: ResourceStack, mirror: Mirror, http: HttpServer) {
    this.#resources = resources
    this.#mirror = mirror
    this.#http = http
  }

  static async start(options: EngineStartOptions): Promise<Engine> {
    const resources = new ResourceStack()
    try {
      return await Engine.#assemble(options, resources)
    } catch (error) {
      await resources[Symbol.asyncDispose]()
      throw error
    }
  }

  get httpPort(): number { return Number(new URL(this.#http.url).port) }

  /** Resolves with the reason when the mirror has ended by itself. */
  get failed(): Promise<Error> { return this.#mirror.failed }

  async stop(): Promise<void> {
    await this.#resources[Symbol.asyncDispose]()
  }

  static async #assemble(options: EngineStartOptions, resources: ResourceStack): Promise<Engine> {
    const { directory, logger } = options
    const source = await openSource(options, resources)
    const lakeDirectory = join(directory.lake, options.database)
    const workDirectory = join(directory.run, 'work')
    for (const path of [lakeDirectory, workDirectory]) mkdirSync(path, { recursive: true })
    const duckdb = resources.use(await DuckDb.open({
      threads: options.threads, memoryLimit: `${Math.floor(options.memoryBytes / 2 ** 20)}MiB`,
      tempDirectory: directory.spill, directories: [lakeDirectory, workDirectory],
      macros: MACRO_STATEMENTS,
    }))
    const registry = new EpochRegistry({ clock: systemClock })
    const store = resources.use(await LiveStore.open(duckdb, registry))
    const mirror = new Mirror({
      source, store, files: new ParquetFiles(duckdb), lakeDirectory, workDirectory,
      indexDirectory: join(directory.index, options.database),
      flushIntervalMs: options.flushIntervalMs, flushBytes: options.flushBytes,
      clock: systemClock, logger,
    })
    resources.defer(() => mirror.stop())
    await mirror.start()
    const executor = resources.use(new ColumnarExecutor({
      duckdb, registry, progress: mirror.progress, tables: mirror.tables, clock: systemClock,
      concurrency: STATEMENTS_MAX, queueMax: QUEUE_MAX,
    }))
    const queryService = await openQueryService(options, executor, resources)
    resources.use(await LinkServer.listen({
      path: directory.linkPath, queryService, logger,
    }))
    const registryOfMetrics = new Registry()
    collectDefaultMetrics({ register: registryOfMetrics })
    const http = resources.use(await createHttpServer({
      host: options.host, port: options.httpPort,
      target: { postgres: options.clientTarget, database: options.database },
      queryService, registry: registryOfMetrics,
      gatewayMetrics: async () => metricsPage(await options.gatewayReports()),
      isReady: () => true, logger,
    }))
    return new Engine(resources, mirror, http)
  }
}

async function openSource(options: EngineStartOptions, resources: ResourceStack)
  : Promise<PostgresReplicationSource> {
  const source = await PostgresReplicationSource.open({
    target: options.admin.target, database: options.database,
    credentials: options.admin, logger: options.logger,
  })
  resources.defer(() => source.close())
  return source
}

async function openQueryService(
  options: EngineStartOptions, engine: ColumnarExecutor, resources: ResourceStack,
): Promise<QueryService> {
  const session = new Session(clientConfig(options.admin.target, {
    ...options.admin, database: options.database, applicationName: 'slipway engine',
  }))
  resources.defer(() => session.close())
  const run: RunSql = (sql, values) => session.run(async (client) => {
    const { rows } = await client.query<(string | null)[]>(
      { text: sql, values: [...values], rowMode: 'array' })
    return rows
  })
  return new QueryService({
    engine, zones: new ZoneCatalog({ run }), routeCostMin: options.routeCostMin,
    collation: await databaseCollation(run), logger: options.logger,
  })
}

/** Statements that run in DuckDB at once, and that wait for their turn. */
const STATEMENTS_MAX = 8
const QUEUE_MAX = 200
