/** The measured corpus: what is routed answers as PostgreSQL does, value for value. */
import { beforeAll, expect, it } from 'vitest'
import { describeWith } from '../support/requires.ts'
import {
  edgeTables, judge, MIRRORED_EDGE_TABLES, semanticsCases,
} from '../support/semantics.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

const ROUTED_MIN = 1_500

describeWith(['semantics'], 'the semantics corpus', () => {
  let client: SqlClient
  beforeAll(async () => {
    const schema = await SharedSchema.create('semantics')
    client = await schema.connect()
    await client.query(edgeTables())
    await client.query(`SET timezone = 'America/New_York'`)
    await schema.mirrored(client, MIRRORED_EDGE_TABLES)
    return async () => { await client.end() }
  }, 900_000)

  it('nothing that is routed differs', async () => {
    const differing: string[] = []
    let routed = 0
    for (const { id, sql, verdict } of semanticsCases()) {
      const outcome = await judge(client, sql)
      if (outcome.kind === 'equal') routed += 1
      if (outcome.kind === 'differs') differing.push(`${id} (${verdict}): ${sql}
        columnar ${outcome.columnar.slice(0, 300)}
        postgres ${outcome.postgres.slice(0, 300)}`)
    }
    expect(differing.join('\n')).toBe('')
    expect(routed).toBeGreaterThanOrEqual(ROUTED_MIN)
  }, 900_000)
})
