/**
 * HttpServer: SQL, tables, health and metrics over HTTP.
 *
 * H1  Every statement runs as the role of the request's Basic credentials, whom PostgreSQL
 *     itself has checked, with that role's rights.
 * H2  A client that goes away cancels its statement in both engines.
 * H3  Body size and requests at once are bounded; what is over is refused at once.
 * H4  Every error is a problem document; none carries a password or a value of ours.
 */
import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { SlipwayError } from '../base/errors.ts'
import { HttpMetrics } from './http-metrics.ts'
import { OPENAPI } from './openapi.ts'
import { problemOf } from './problem.ts'
import { resultBody } from './result-body.ts'
import { RoleSession, type RoleTarget } from './role-session.ts'
import { answerSql, refuseTimeTravel } from './sql-answer.ts'
import { basicCredentials, MEDIA_TYPES, negotiate, parseSqlRequest } from './sql-request.ts'
import { readTables, type TableSelection } from './tables.ts'
import type { Registry } from 'prom-client'
import type { Logger } from '../base/logger.ts'
import type { QueryService } from '../query/query-service.ts'

export interface HttpServerOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly target: RoleTarget
  readonly queryService: QueryService
  readonly registry: Registry
  /** What the gateway processes count, in Prometheus' form. */
  readonly gatewayMetrics: () => Promise<string>
  /** Whether statements can be served now. */
  readonly isReady: () => boolean
  readonly logger: Logger
}

export interface HttpServer extends AsyncDisposable {
  readonly url: string
}

const BODY_BYTES_MAX = 16 * 1024 * 1024
const REQUESTS_MAX = 64
const PROBLEM_TYPE = 'application/problem+json'

/** Resolves when it listens. Throws 'port-taken'. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const app = Fastify({ logger: false, bodyLimit: BODY_BYTES_MAX, forceCloseConnections: true })
  const metrics = new HttpMetrics(options.registry)
  app.setErrorHandler((error, _request, reply) => sendError(reply, error, options.logger))
  app.setNotFoundHandler((_request, reply) => sendError(
    reply, new SlipwayError('not-found', 'there is nothing at this path'), options.logger))
  app.addHook('onResponse', (request, reply, done) => {
    const { url } = request.routeOptions
    metrics.answered(url ?? 'none', reply.statusCode, reply.elapsedTime / 1000)
    done()
  })
  addStatusRoutes(app, options)
  addSqlRoutes(app, options, metrics)
  try {
    await app.listen({ host: options.host, port: options.port })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    throw new SlipwayError('port-taken',
      `HTTP port ${options.port} on ${options.host} is in use`, { cause: error })
  }
  const address = app.server.address()
  const port = address !== null && typeof address === 'object' ? address.port : options.port
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}`,
    [Symbol.asyncDispose]: () => app.close(),
  }
}

function addStatusRoutes(app: FastifyInstance, options: HttpServerOptions): void {
  app.get('/healthz', () => ({ status: 'alive' }))
  app.get('/readyz', (_request, reply) => {
    if (options.isReady()) return { status: 'ready' }
    return reply.code(503).send({ status: 'starting' })
  })
  app.get('/metrics', async (_request, reply) => {
    const [own, gateways] = await Promise.all(
      [options.registry.metrics(), options.gatewayMetrics()])
    return reply.type(options.registry.contentType).send(own + gateways)
  })
  app.get('/openapi.json', () => OPENAPI)
}

function addSqlRoutes(
  app: FastifyInstance, options: HttpServerOptions, metrics: HttpMetrics,
): void {
  let running = 0
  /** Runs `work` on a session of the request's role, which ends with the response. */
  const withSession = async (
    request: FastifyRequest, reply: FastifyReply,
    work: (session: RoleSession, signal: AbortSignal) => Promise<FastifyReply>,
  ): Promise<FastifyReply> => {
    const credentials = basicCredentials(request.headers.authorization)
    if (running >= REQUESTS_MAX) {
      throw new SlipwayError('overloaded', `${REQUESTS_MAX} requests run already`)
    }
    running++
    const release = (): void => { running-- }
    reply.raw.once('close', release)
    const session = await RoleSession.open(options.target, credentials)
    const abandoned = new AbortController()
    const closed = (): void => {
      if (!reply.raw.writableFinished) {
        abandoned.abort()
        session.cancel()
      }
      void session[Symbol.asyncDispose]()
    }
    if (reply.raw.closed) closed()
    else reply.raw.once('close', closed)
    return work(session, abandoned.signal)
  }

  app.post('/v1/sql', (request, reply) => {
    const startedAt = performance.now()
    const sqlRequest = parseSqlRequest(request.body)
    refuseTimeTravel(sqlRequest)
    const format = negotiate(request.headers.accept)
    if (format === null) throw notAcceptable()
    return withSession(request, reply, async (session, signal) => {
      const answer = await answerSql(session, sqlRequest,
        { queryService: options.queryService, signal })
      metrics.routed(answer.route)
      const body = logged(resultBody(answer, format, startedAt), options.logger)
      return reply.type(MEDIA_TYPES[format]).send(Readable.from(body, { objectMode: false }))
    })
  })
  const tables = (selection: (request: FastifyRequest) => TableSelection | null) =>
    (request: FastifyRequest, reply: FastifyReply) =>
      withSession(request, reply, async (session) =>
        reply.send(await readTables(session, selection(request))))
  app.get('/v1/tables', tables(() => null))
  app.get('/v1/tables/:table', tables((request) => {
    const { table } = request.params as { readonly table: string }
    const dot = table.indexOf('.')
    return { schema: table.slice(0, Math.max(dot, 0)), name: table.slice(dot + 1) }
  }))
}

/** Says why an answer broke off: the status line is gone, so the connection is cut. */
async function * logged(
  body: AsyncGenerator<Uint8Array>, logger: Logger,
): AsyncGenerator<Uint8Array> {
  try {
    yield * body
  } catch (error) {
    const { sqlstate, type } = problemOf(error)
    logger.warn({ sqlstate, type }, 'an HTTP answer broke off')
    throw error
  }
}

function sendError(reply: FastifyReply, error: unknown, logger: Logger): FastifyReply {
  const problem = problemOf(error)
  if (problem.status >= 500) {
    const { name, stack } = error instanceof Error ? error : { name: typeof error, stack: '' }
    const where = problem.sqlstate === 'XX000' ? { name, stack } : { name }
    logger.error({ ...where, sqlstate: problem.sqlstate }, 'an HTTP request failed')
  }
  if (problem.status === 401) reply.header('www-authenticate', 'Basic realm="slipway"')
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
}

function notAcceptable(): Error {
  return Object.assign(new Error(`the answer can be ${Object.values(MEDIA_TYPES).join(', ')}`),
    { statusCode: 406 })
}
