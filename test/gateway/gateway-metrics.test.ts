/** GatewayMetrics (M2), MetricsPage and SlowStatements (L1, L2). */
import { expect, test } from 'vitest'
import { GatewayMetrics } from '../../src/gateway/gateway-metrics.ts'
import { metricsPage } from '../../src/gateway/metrics-page.ts'
import { SlowStatements } from '../../src/gateway/slow-statements.ts'

function counting(sessions: number): GatewayMetrics {
  return new GatewayMetrics(() => ({ sessions, bytesFromClients: 10, bytesFromServer: 20 }))
}

test('the reports of two processes are added up', () => {
  const [one, two] = [counting(1), counting(2)]
  for (const ms of [0.2, 3, 70_000]) one.answered('postgres', ms)
  two.answered('postgres', 3)
  two.answered('columnar', 100)
  one.error('22012')
  two.error('22012')
  two.connection('cancel')
  const page = metricsPage([one.report(), two.report()]).split('\n')
  for (const line of ['slipway_gateway_processes 2', 'slipway_gateway_sessions 3',
    'slipway_gateway_client_bytes_total 20', 'slipway_gateway_server_bytes_total 40',
    'slipway_gateway_connections_total{outcome="cancel"} 1',
    'slipway_gateway_errors_total{sqlstate="22012"} 2',
    'slipway_gateway_statement_seconds_bucket{route="postgres",le="0.0001"} 0',
    'slipway_gateway_statement_seconds_bucket{route="postgres",le="0.00025"} 1',
    'slipway_gateway_statement_seconds_bucket{route="postgres",le="0.005"} 3',
    'slipway_gateway_statement_seconds_bucket{route="postgres",le="60"} 3',
    'slipway_gateway_statement_seconds_bucket{route="postgres",le="+Inf"} 4',
    'slipway_gateway_statement_seconds_count{route="columnar"} 1',
    'slipway_gateway_statement_seconds_sum{route="columnar"} 0.1']) expect(page).toContain(line)
})

test('SQLSTATEs without number are counted as one', () => {
  const metrics = counting(0)
  for (let state = 0; state < 1000; state++) metrics.error(`${state}`)
  const { errors } = metrics.report()
  expect(Object.keys(errors)).toHaveLength(201)
  expect(errors['other']).toBe(800)
})

test('statements that differ in their values have one fingerprint, and tell nothing else', () => {
  const slow = new SlowStatements()
  const told = (sql: string): unknown => {
    slow.query(Buffer.from(sql))
    return slow.describeLast()
  }
  expect(told('SELECT * FROM t WHERE a = 1 AND b = \'x\''))
    .toEqual(told('SELECT  * FROM t WHERE a = 22 AND b = \'yy\''))
  expect(told('SELECT 1')).not.toEqual(told('SELECT a'))
  expect(told('hunter2 is no command')).toMatchObject({ command: '' })
  slow.parse('s', Buffer.from('insert into t values ($1)'))
  slow.query(Buffer.from('begin'))
  slow.bind('s')
  expect(slow.describeLast()).toMatchObject({ command: 'INSERT',
    fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) as string })
})
