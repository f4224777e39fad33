/** TPC-H at scale 0.1 from the reference generator, loaded through the gateway by COPY. */
import { beforeAll, expect, it } from 'vitest'
import { tpchFolder } from '../support/cache.ts'
import { columnarOnceReady } from '../support/mirror.ts'
import { describeWith, itWith } from '../support/requires.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import {
  createTpchTables, loadTpch, TPCH_QUERIES, TPCH_TABLE_NAMES,
} from '../support/tpch.ts'
import type { SqlClient } from '../support/sql-client.ts'

const COLUMNAR_MIN = 17

describeWith(['psql', 'tpch'], 'TPC-H at scale 0.1', () => {
  let schema: SharedSchema
  let client: SqlClient
  /** What the statement answers under each route; null where columnar refuses it. */
  const refused: string[] = []

  beforeAll(async () => {
    schema = await SharedSchema.create('tpch')
    client = await schema.connect()
    await createTpchTables(client)
    await loadTpch(schema.slipway.address, tpchFolder('0.1'), schema.name)
    await schema.mirrored(client, TPCH_TABLE_NAMES)
    // The rows came by replication: the mirror may still be at them.
    await columnarOnceReady(client, 'SELECT count(*) FROM lineitem', 120_000)
    return async () => { await client.end() }
  }, 900_000)

  it.each(TPCH_QUERIES)('$id answers the same text on every route', async ({ id, sql }) => {
    await client.query(`SET slipway.route = 'postgres'`)
    const expected = await client.query(sql)
    await client.query(`SET slipway.route = 'auto'`)
    expect(await client.query(sql)).toEqual(expected)
    await client.query(`SET slipway.route = 'columnar'`)
    const columnar = await client.query(sql).catch((error: unknown) => {
      if ((error as { code?: string }).code !== 'SW002') throw error
      refused.push(`${id}: ${(error as Error).message}`)
      return null
    })
    if (columnar !== null) expect(columnar).toEqual(expected)
  })

  it(`at least ${COLUMNAR_MIN} of the 22 run columnar`, () => {
    const routed = TPCH_QUERIES.length - refused.length
    expect(routed, refused.join('\n')).toBeGreaterThanOrEqual(COLUMNAR_MIN)
  })

  it('stays the same while rows change', async () => {
    await client.query(`SET slipway.route = 'auto'`)
    await client.query(`UPDATE orders SET o_totalprice = o_totalprice + 1 WHERE o_orderkey < 4000`)
    await client.query(`DELETE FROM lineitem WHERE l_orderkey % 97 = 3`)
    await client.query(`INSERT INTO customer SELECT c_custkey + 1000000, c_name, c_address,
      c_nationkey, c_phone, c_acctbal, c_mktsegment, c_comment FROM customer WHERE c_custkey < 500`)
    for (const { id, sql } of TPCH_QUERIES.filter((q) => ['q1', 'q3', 'q5', 'q10', 'q13', 'q18']
      .includes(q.id))) {
      await client.query(`SET slipway.route = 'postgres'`)
      const expected = await client.query(sql)
      await client.query(`SET slipway.route = 'columnar'`)
      expect(await client.query(sql), id).toEqual(expected)
    }
    await client.query(`SET slipway.route = 'auto'`)
  })

  itWith(['python', 'jars'], 'stock readers agree on every row', async () => {
    const { found, expected } = await schema.compare(client, 'customer')
    expect(found).toEqual(expected)
    const lines = await schema.compare(client, 'lineitem', ['delta-rs'])
    expect(lines.found).toEqual(lines.expected)
  }, 900_000)
})
