/** PostgresSection (G1, G2) and the options that depend on one another. */
import { expect, test } from 'vitest'
import { resolveConfig, withoutSecrets } from '../../src/config/config.ts'

function resolved(values: Readonly<Record<string, unknown>>): ReturnType<typeof resolveConfig> {
  return resolveConfig({ flags: {}, environment: {}, file: { path: 'slipway.json', values } })
}

test('settings become text, names lower case; nothing given is nothing', () => {
  const { postgres } = resolved({ postgres: {
    settings: { work_mem: '8MB', Max_Connections: 300, jit: false, 'my.setting': 'x' },
    hba: ['local all app trust'] } })
  expect(Object.fromEntries(postgres.settings)).toEqual(
    { work_mem: '8MB', max_connections: '300', jit: 'off', 'my.setting': 'x' })
  expect(postgres).toMatchObject({ hba: ['local all app trust'], ident: [] })
  expect(resolved({}).postgres.settings.size).toBe(0)
  expect(Object.keys(withoutSecrets(resolved({})))).not.toContain('password')
})

test.each([
  [{ settings: { WAL_LEVEL: 'minimal' } }, /postgres\.settings\.wal_level.*Slipway's/],
  [{ settings: { max_wal_senders: 0 } }, /max_wal_senders.*at least 2/],
  [{ settings: { 'a b': 1 } }, /postgres\.settings\.a b/],
  [{ settings: { work_mem: 'secret\nvalue' } }, /postgres\.settings\.work_mem/],
  [{ settings: { work_mem: ['secret'] } }, /postgres\.settings\.work_mem/],
  [{ hba: 'local all all trust' }, /postgres\.hba/],
  [{ other: 1 }, /other/],
])('%j is refused by name, its value not repeated', (postgres, what) => {
  let refused: unknown
  try { resolved({ postgres }) } catch (error) { refused = error }
  expect(refused).toMatchObject({ code: 'usage', message: expect.stringMatching(what) as string })
  expect(String(refused)).not.toContain('secret')
})

test('an external server has settings of its own', () => {
  expect(() => resolved({ postgres: {}, postgresUrl: 'postgres://h/d' }))
    .toThrow(/embedded/)
})
