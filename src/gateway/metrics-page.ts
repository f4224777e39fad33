/**
 * MetricsPage: the reports of all gateway processes, added up, as Prometheus reads them.
 *
 * Source: Prometheus documentation, "Exposition formats".
 */
import { LATENCY_BOUNDS_MS, type GatewayReport } from './gateway-metrics.ts'

type Labels = Readonly<Record<string, string>>

export function metricsPage(reports: readonly GatewayReport[]): string {
  const sum = (of: (report: GatewayReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0)
  return [
    ...family('slipway_gateway_processes', 'gauge', 'Gateway processes that answered',
      [[{}, reports.length]]),
    ...family('slipway_gateway_sessions', 'gauge', 'Open client sessions',
      [[{}, sum((report) => report.sessions)]]),
    ...family('slipway_gateway_client_bytes_total', 'counter', 'Bytes received from clients',
      [[{}, sum((report) => report.bytesFromClients)]]),
    ...family('slipway_gateway_server_bytes_total', 'counter', 'Bytes received from PostgreSQL',
      [[{}, sum((report) => report.bytesFromServer)]]),
    ...family('slipway_gateway_connections_total', 'counter',
      'Client connections, by what became of them',
      counted(reports.map((report) => report.connections), 'outcome')),
    ...family('slipway_gateway_errors_total', 'counter', 'Errors sent to clients',
      counted(reports.map((report) => report.errors), 'sqlstate')),
    ...latencyFamily(reports),
  ].join('\n') + '\n'
}

function counted(
  reports: readonly Readonly<Record<string, number>>[], label: string,
): readonly (readonly [Labels, number])[] {
  const names = [...new Set(reports.flatMap((report) => Object.keys(report)))].sort()
  return names.map((name) => [{ [label]: name },
    reports.reduce((total, report) => total + (report[name] ?? 0), 0)])
}

function latencyFamily(reports: readonly GatewayReport[]): readonly string[] {
  const name = 'slipway_gateway_statement_seconds'
  const routes = [...new Set(reports.flatMap(({ latencies }) => Object.keys(latencies)))].sort()
  return [
    `# HELP ${name} Time to answer what a client sent, by where the answer came from`,
    `# TYPE ${name} histogram`,
    ...routes.flatMap((route) => {
      const found = reports.flatMap(({ latencies }) => latencies[route] ?? [])
      let count = 0
      const buckets = [...LATENCY_BOUNDS_MS.map((ms) => String(ms / 1000)), '+Inf'].map(
        (le, index) => {
          count += found.reduce((total, { counts }) => total + (counts[index] ?? 0), 0)
          return sample(`${name}_bucket`, { route, le }, count)
        })
      const sumMs = found.reduce((total, latency) => total + latency.sumMs, 0)
      return [...buckets, sample(`${name}_sum`, { route }, sumMs / 1000),
        sample(`${name}_count`, { route }, count)]
    }),
  ]
}

function family(
  name: string, type: 'counter' | 'gauge', help: string,
  samples: readonly (readonly [Labels, number])[],
): readonly string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`,
    ...samples.map(([labels, value]) => sample(name, labels, value))]
}

function sample(name: string, labels: Labels, value: number): string {
  // A SQLSTATE is what a user raised: letters and digits, but it is PostgreSQL that says so.
  const told = Object.entries(labels).map(([label, text]) =>
    `${label}="${text.replaceAll(/[\\"\n]/g, '_')}"`).join(',')
  return `${name}${told === '' ? '' : `{${told}}`} ${value}`
}
