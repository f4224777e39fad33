/**
 * GatewayMetrics: what one gateway process counts.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { StatementRoute } from './diversion.ts'

export interface TrafficTotals {
  readonly sessions: number
  readonly bytesFromClients: number
  readonly bytesFromServer: number
}

export class GatewayMetrics {
  readonly registry = new Registry()
  readonly #statements: Counter<'route'>
  readonly #connections: Counter<'outcome'>

  /** `totals` is asked at each scrape, so that a chunk passing through counts nothing. */
  constructor(totals: () => TrafficTotals) {
    const registers = [this.registry]
    this.#statements = new Counter({ registers, name: 'slipway_gateway_statements_total',
      help: 'Statements that were analysed, by where their answer came from',
      labelNames: ['route'] })
    this.#connections = new Counter({ registers, name: 'slipway_gateway_connections_total',
      help: 'Client connections, by what became of them', labelNames: ['outcome'] })
    new Gauge({ registers, name: 'slipway_gateway_sessions', help: 'Open client sessions',
      collect() { this.set(totals().sessions) } })
    new Gauge({ registers, name: 'slipway_gateway_client_bytes',
      help: 'Bytes received from clients',
      collect() { this.set(totals().bytesFromClients) } })
    new Gauge({ registers, name: 'slipway_gateway_server_bytes',
      help: 'Bytes received from PostgreSQL',
      collect() { this.set(totals().bytesFromServer) } })
  }

  routed(route: StatementRoute): void { this.#statements.inc({ route }) }

  connection(outcome: 'session' | 'cancel' | 'unreachable' | 'refused' | 'gone'): void {
    this.#connections.inc({ outcome })
  }
}
