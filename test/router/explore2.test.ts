import { readFileSync } from 'node:fs'
import pg from 'pg'
import { it } from 'vitest'
import { Differential } from './differential.ts'
it('timing', async () => {
  for (const [db, file] of [['tpch', '/tmp/router/tpch.jsonl'], ['ds', '/tmp/router/ds.jsonl']] as const) {
    const client = new pg.Client({ host: '/tmp/router/data/sock', user: 'postgres', database: db })
    await client.connect()
    const d = await Differential.open(client, 'UTC')
    await d.mirror('public')
    const times: [number, number, number, string][] = []
    for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
      const c = JSON.parse(line)
      const a = await d.analyse(`explain ${c.sql}`).catch(() => null)
      void a
      const raw = await describe(d, c.sql)
      if (raw === null) continue
      let best = 1e9, t
      let r = d.route(raw)
      for (let i = 0; i < 5; i++) { t = performance.now(); r = d.route(raw); best = Math.min(best, performance.now() - t) }
      t = performance.now()
      let how = r.kind as string
      if (r.kind === 'columnar') try { await d.run(r.plan) } catch (e) { how = (e as Error).message.slice(0, 60) }
      times.push([Math.round(best * 100) / 100, Math.round(performance.now() - t), raw.tree.length, how + ' ' + c.id])
    }
    const s = [...times].sort((x, y) => y[0] - x[0])
    console.log(db, 'route ms: median', s[s.length >> 1]?.[0], 'max', s.slice(0, 4), 'duckdb slowest', [...times].sort((x, y) => y[1] - x[1]).slice(0, 8))
    await client.end()
  }
}, 600000)
async function describe(d: Differential, sql: string) {
  // plan only: LIMIT 0 wrapper would change the tree, so prepare it
  let tree: string | null = null
  const on = (n: { message?: string | undefined; detail?: string | undefined }) => { if (n.message === 'rewritten parse tree:' && n.detail?.includes(':commandType 1')) tree ??= n.detail ?? null }
  await d.client.query('set debug_print_rewritten = on; set client_min_messages = log')
  d.client.on('notice', on)
  try { await d.client.query(`prepare pp as ${sql}`); } catch { return null } finally { d.client.off('notice', on) }
  await d.client.query('set debug_print_rewritten = off; set client_min_messages = notice; ')
  const cols = await d.client.query(`select unnest(result_types)::oid::int t from pg_prepared_statements where name='pp'`)
  await d.client.query('deallocate pp')
  return tree === null ? null : { tree: tree as string, rows: [], columns: cols.rows.map((r) => ({ name: 'x', typeOid: r.t, typmod: r.t === 1042 ? 14 : -1 })) }
}
