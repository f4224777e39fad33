/**
 * PostgreSQL's own suites, direct and through the gateway, routing on: outputs differ nowhere.
 * A second play through the gateway lets every statement be routed that can be. With
 * SLIPWAY_CONFORMANCE=all (`npm run test:conformance`) all of both suites, else a selection.
 */
import { beforeAll, expect, it } from 'vitest'
import {
  firstDifference, playSuites, type SuiteOutputs, type SuiteSelection,
} from '../support/postgres-suites.ts'
import { describeWith } from '../support/requires.ts'

const SELECTION: SuiteSelection = {
  regress: ['test_setup', 'boolean', 'int4', 'int8', 'numeric', 'float8', 'strings', 'date',
    'timestamptz', 'interval', 'create_index', 'copy', 'copyselect', 'copydml', 'insert',
    'insert_conflict', 'update', 'delete', 'select', 'select_distinct', 'select_having',
    'subselect', 'union', 'case', 'join', 'aggregates', 'groupingsets', 'window', 'with',
    'transactions', 'portals', 'prepare', 'plancache', 'guc', 'async', 'limit', 'plpgsql',
    'returning', 'temp', 'merge', 'errors', 'select_into', 'arrays'],
  isolation: ['read-write-unique', 'simple-write-skew', 'two-ids', 'deadlock-simple',
    'lock-update-delete', 'fk-deadlock', 'eval-plan-qual-trigger', 'insert-conflict-do-nothing',
    'nowait', 'skip-locked', 'timeouts', 'async-notify', 'serializable-parallel'],
}
const EVERYTHING: SuiteSelection = { regress: null, isolation: null }

describeWith(['psql', 'postgresTests'], 'PostgreSQL\'s own suites', () => {
  const selection = process.env['SLIPWAY_CONFORMANCE'] === 'all' ? EVERYTHING : SELECTION
  let direct: SuiteOutputs
  beforeAll(async () => { direct = await playSuites({ way: 'direct', selection }) }, 3_600_000)

  it('gives the same output through the gateway', async () => {
    const through = await playSuites({ way: 'through', selection })
    expect(direct.size).toBeGreaterThan(50)
    expect(differences(through)).toEqual({})
  }, 3_600_000)

  it('gives the same output with every statement routed that can be', async () => {
    const routed = await playSuites({ way: 'through', selection,
      args: ['--route-cost-min', '0'] })
    expect(differences(routed)).toEqual({})
  }, 3_600_000)

  function differences(outputs: SuiteOutputs): Record<string, string> {
    const found: Record<string, string> = {}
    for (const [name, expected] of direct) {
      const difference = firstDifference(outputs.get(name) ?? '', expected)
      if (difference !== null) found[name] = difference
    }
    return found
  }
})
