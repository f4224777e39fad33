/** What a session's settings and state decide before the statement itself is looked at. */
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { lsnFromBigint } from '../../src/base/lsn.ts'
import { QueryService, type ColumnarEngine } from '../../src/query/query-service.ts'
import { ZoneCatalog } from '../../src/query/zone-offsets.ts'
import type { Probe } from '../../src/query/probe.ts'

const PROBE: Probe = {
  sql: 'select', tree: '({QUERY :commandType 1})', columns: [], parameters: [],
  totalCost: 5000, planRows: 1, hasWritten: false, isolation: 'read committed',
  insertLsn: lsnFromBigint(1n), transactionTimeUs: 0n, serverVersion: 18,
  settings: { timeZone: 'UTC', dateStyle: 'ISO, MDY', intervalStyle: 'postgres',
    extraFloatDigits: 1, byteaOutput: 'hex', clientEncoding: 'UTF8', statementTimeoutMs: 0,
    route: '', freshness: '', asOf: '' },
}

const engine: ColumnarEngine = {
  schema: () => null, refusal: () => 'not mirrored',
  execute: () => Promise.reject(new Error('nothing is executed here')),
}
const service = new QueryService({
  engine, routeCostMin: 1000, logger: silentLogger,
  collation: { binaryOrder: true, unicodeCase: true },
  zones: new ZoneCatalog({ run: () => Promise.resolve([]) }),
})

interface Change {
  readonly probe?: Partial<Probe>
  readonly settings?: Partial<Probe['settings']>
}

function decide(change: Change): ReturnType<QueryService['decide']> {
  return service.decide({
    ...PROBE, ...change.probe, settings: { ...PROBE.settings, ...change.settings },
  })
}

const HINDRANCES: readonly (readonly [string, Change, RegExp])[] = [
  ['the transaction has written', { probe: { hasWritten: true } }, /has written/],
  ['repeatable read', { probe: { isolation: 'repeatable read' } }, /repeatable read/],
  ['another encoding', { settings: { clientEncoding: 'LATIN1' } }, /client_encoding/],
  ['a tree of another form', {}, /./],
]

describe('decide', () => {
  it.each(HINDRANCES)('%s: stays in PostgreSQL', (_name, change, reason) => {
    const decision = decide(change)
    expect(decision.kind).toBe('postgres')
    expect((decision as { readonly reason: string }).reason).toMatch(reason)
  })

  it.each(HINDRANCES)('%s, columnar forced: an error that says so', (_name, change, reason) => {
    const decision = decide({ ...change, settings: { ...change.settings, route: 'columnar' } })
    if (decision.kind !== 'rejected') throw new Error(decision.kind)
    expect(decision.error.code).toBe('not-columnar')
    expect(decision.error.message).toMatch(reason)
  })

  it('a small cost stays in PostgreSQL, unless columnar is forced', () => {
    const probe = { totalCost: 999 }
    const decision = decide({ probe })
    expect(decision).toMatchObject({ kind: 'postgres', transient: false })
    expect((decision as { readonly reason: string }).reason).toMatch(/cost 999/)
    expect(JSON.stringify(decide({ probe, settings: { route: 'columnar' } }))).not.toMatch(/cost/)
  })

  it('route = postgres', () => {
    expect(decide({ settings: { route: 'postgres' } })).toEqual(
      { kind: 'postgres', reason: 'slipway.route is postgres', transient: true })
  })

  it.each([
    [{ route: 'olap' }, /slipway.route must be/], [{ freshness: 'soon' }, /slipway.freshness/],
    [{ asOf: 'lsn:0/1' }, /slipway.as_of/],
  ] as const)('%j is refused', (settings, message) => {
    const decision = decide({ settings })
    if (decision.kind !== 'rejected') throw new Error(decision.kind)
    expect(decision.error.code).toBe('usage')
    expect(decision.error.message).toMatch(message)
  })
})
