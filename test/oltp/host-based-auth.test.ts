/** HostBasedAuth (A1-A3). */
import { expect, test } from 'vitest'
import { authLines, type GatewayClients } from '../../src/oltp/host-based-auth.ts'

const LOCAL: GatewayClients = { host: '127.0.0.1', tls: 'offered', certificates: false }
const WORLD: GatewayClients = { host: '0.0.0.0', tls: 'required', certificates: true }

test.each([
  [LOCAL, 'local all app md5', 'local all app md5'],
  [LOCAL, 'host  all "Big App", b  127.0.0.1/32  trust', 'local all "Big App", b trust'],
  [LOCAL, 'host all all 0.0.0.0/0 ldap ldapserver=x', 'local all all ldap ldapserver=x'],
  [LOCAL, 'host all all 127.0.0.1 255.255.255.255 reject', 'local all all reject'],
  [WORLD, 'hostssl replication r all scram-sha-256', 'local replication r scram-sha-256'],
])('%j: a line that all match holds for all: %s', (clients, line, expected) => {
  expect(authLines([line, '# a comment'], clients, false).lines).toEqual([expected])
})

test('with a direct port the line itself counts too', () => {
  expect(authLines(['host all a all trust', 'host all b 10.0.0.0/8 md5'], WORLD, true).lines)
    .toEqual(['host all a all trust', 'local all a trust', 'host all b 10.0.0.0/8 md5'])
})

test('cert is the gateway\'s, and its map is told', () => {
  expect(authLines(['hostssl all all all cert map=clients'], WORLD, false))
    .toEqual({ lines: [], certificateMap: 'clients' })
})

test.each([
  [LOCAL, 'hostssl all all all md5', /some clients/],
  [WORLD, 'host all all 10.0.0.0/8 trust', /some clients/],
  [WORLD, 'hostnossl all all all reject', /some clients/],
  [LOCAL, 'local all all peer', /as the gateway/],
  [LOCAL, 'local all all', /not complete/],
  [LOCAL, 'local all all magic', /method/],
  [LOCAL, 'remote all all trust', /type/],
  [LOCAL, 'hostssl all all all cert', /--tls-client-ca/],
])('%j: %s is refused', (clients, line, why) => {
  expect(() => authLines(['local all x md5', line], clients, false)).toThrow(why)
  expect(() => authLines(['local all x md5', line], clients, false)).toThrow(/line 2/)
})
