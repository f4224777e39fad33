/** HttpMetrics: what /metrics says of the HTTP server itself. */
import { Counter, Histogram, type Registry } from 'prom-client'

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60]

export class HttpMetrics {
  readonly #requests: Counter<'path' | 'status'>
  readonly #seconds: Histogram<'path'>
  readonly #statements: Counter<'route'>

  constructor(registry: Registry) {
    this.#requests = new Counter({
      name: 'slipway_http_requests_total', help: 'HTTP requests answered.',
      labelNames: ['path', 'status'], registers: [registry],
    })
    this.#seconds = new Histogram({
      name: 'slipway_http_request_seconds', help: 'Time from request to end of response.',
      labelNames: ['path'], buckets: SECONDS, registers: [registry],
    })
    this.#statements = new Counter({
      name: 'slipway_http_statements_total', help: 'Statements by the engine that answered.',
      labelNames: ['route'], registers: [registry],
    })
  }

  /** `path` is the route's pattern, so that its values are few. */
  answered(path: string, status: number, seconds: number): void {
    this.#requests.inc({ path, status: String(status) })
    this.#seconds.observe({ path }, seconds)
  }

  routed(route: 'columnar' | 'postgres'): void {
    this.#statements.inc({ route })
  }
}
