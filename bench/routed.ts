/** `npm run routed`: the share of ../shared/semantics that runs columnar, and what differs. */
import { mirrored } from '../test/support/mirror.ts'
import {
  edgeTables, judge, MIRRORED_EDGE_TABLES, semanticsCases,
} from '../test/support/semantics.ts'
import { Slipway } from '../test/support/slipway.ts'

interface Tally {
  cases: number
  routed: number
}

await using slipway = await Slipway.start()
await using client = await slipway.connect()
await client.query(edgeTables())
await client.query(`SET timezone = 'America/New_York'`)
await mirrored(client, MIRRORED_EDGE_TABLES)

const byVerdict = new Map<string, Tally>()
const byArea = new Map<string, Tally>()
const reasons = new Map<string, number>()
let differing = 0
for (const { id, area, sql, verdict } of semanticsCases()) {
  const outcome = await judge(client, sql)
  count(byVerdict, verdict, outcome.kind === 'equal')
  if (verdict === 'equal') count(byArea, area, outcome.kind === 'equal')
  if (outcome.kind === 'kept' && verdict === 'equal') {
    reasons.set(outcome.reason, (reasons.get(outcome.reason) ?? 0) + 1)
  }
  if (outcome.kind === 'differs') {
    differing += 1
    print(`DIFFERS ${id} (${verdict}): ${sql}\n  columnar ${outcome.columnar.slice(0, 400)}\n`
      + `  postgres ${outcome.postgres.slice(0, 400)}`)
  }
}
print('\nareas of the equal cases:')
for (const [area, tally] of [...byArea].sort()) print(share(area, tally))
print('\nwhy equal cases stayed in PostgreSQL:')
for (const [reason, times] of [...reasons].sort((a, b) => b[1] - a[1]).slice(0, 40)) {
  print(`${String(times).padStart(5)}  ${reason.slice(0, 120)}`)
}
print('')
for (const [verdict, tally] of byVerdict) print(share(`verdict ${verdict}`, tally))
print(`${differing} differ`)
process.exitCode = differing === 0 ? 0 : 1

function count(tallies: Map<string, Tally>, name: string, routed: boolean): void {
  const tally = tallies.get(name) ?? { cases: 0, routed: 0 }
  tallies.set(name, { cases: tally.cases + 1, routed: tally.routed + (routed ? 1 : 0) })
}

function share(name: string, { cases, routed }: Tally): string {
  const percent = (100 * routed / cases).toFixed(0)
  return `${name.padEnd(30)} ${String(routed).padStart(5)} of ${cases} routed (${percent} %)`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
