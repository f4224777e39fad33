/**
 * GatewayMetrics: what one gateway process counts, in numbers that can be added up.
 *
 * M1  Counting allocates nothing, so that every statement can be counted.
 * M2  Labels are bounded: a SQLSTATE is any five letters that a user raises.
 */
import type { StatementRoute } from './diversion.ts'

export interface TrafficTotals {
  readonly sessions: number
  readonly bytesFromClients: number
  readonly bytesFromServer: number
}

export type ConnectionOutcome = 'session' | 'cancel' | 'unreachable' | 'refused' | 'gone'

export interface LatencyReport {
  /** Statements no slower than LATENCY_BOUNDS_MS[i] and slower than the bound before; then all
   *  slower ones. */
  readonly counts: readonly number[]
  readonly sumMs: number
}

/** As it goes from process to process. */
export interface GatewayReport extends TrafficTotals {
  readonly connections: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
  readonly latencies: Readonly<Record<string, LatencyReport>>
}

export const LATENCY_BOUNDS_MS = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000,
] as const
const ERRORS_MAX = 200
const OTHER_ERRORS = 'other'

export class GatewayMetrics {
  readonly #totals: () => TrafficTotals
  readonly #connections = new Map<ConnectionOutcome, number>()
  readonly #errors = new Map<string, number>()
  readonly #latencies = new Map<StatementRoute, Latency>()

  /** `totals` is asked for each report, so that a chunk passing through counts nothing. */
  constructor(totals: () => TrafficTotals) {
    this.#totals = totals
  }

  /** From the client's first byte until PostgreSQL or the engine had answered everything. */
  answered(route: StatementRoute, ms: number): void {
    let latency = this.#latencies.get(route)
    if (latency === undefined) {
      latency = new Latency()
      this.#latencies.set(route, latency)
    }
    latency.observe(ms)
  }

  connection(outcome: ConnectionOutcome): void { increment(this.#connections, outcome) }

  error(sqlState: string): void {
    const known = this.#errors.has(sqlState) || this.#errors.size < ERRORS_MAX
    increment(this.#errors, known ? sqlState : OTHER_ERRORS)
  }

  report(): GatewayReport {
    return {
      ...this.#totals(),
      connections: Object.fromEntries(this.#connections),
      errors: Object.fromEntries(this.#errors),
      latencies: Object.fromEntries([...this.#latencies].map(([route, latency]) =>
        [route, { counts: [...latency.counts], sumMs: latency.sumMs }])),
    }
  }
}

class Latency {
  readonly counts = new Float64Array(LATENCY_BOUNDS_MS.length + 1)
  sumMs = 0

  observe(ms: number): void {
    let bucket = 0
    while (bucket < LATENCY_BOUNDS_MS.length && ms > (LATENCY_BOUNDS_MS[bucket] ?? 0)) bucket++
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sumMs += ms
  }
}

function increment<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
