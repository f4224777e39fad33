import { readFileSync, writeFileSync, appendFileSync } from 'node:fs'
import pg from 'pg'
import { it } from 'vitest'
import { Differential } from './differential.ts'

const OUT = '/tmp/router/out.txt'
it('explore', async () => {
  writeFileSync(OUT, '')
  const client = new pg.Client({ host: '/tmp/router/data/sock', user: 'postgres', database: process.env['DB'] ?? 'edge' })
  await client.connect()
  const d = await Differential.open(client, process.env['TZONE'] ?? 'America/New_York')
  await d.mirror('public')
  const lines = readFileSync(process.env['CASES'] ?? '/work/shared/semantics/cases.jsonl', 'utf8').trim().split('\n').map((l) => JSON.parse(l))
  const count: Record<string, number> = {}
  for (const c of lines) {
    if (process.env['ONLY'] && !c.id.includes(process.env['ONLY']) && !(c.area ?? '').includes(process.env['ONLY'])) continue
    const t = performance.now()
    let v
    try { v = await d.compare(c.sql) } catch (e) { v = { kind: 'crash', message: (e as Error).stack } }
    const k = `${c.bench ?? ''}${c.verdict}:${v.kind}`
    count[k] = (count[k] ?? 0) + 1
    appendFileSync(OUT, JSON.stringify({ k, id: c.id, area: c.area, sql: c.sql, ms: Math.round(performance.now() - t), ...v }) + '\n')
  }
  console.log(JSON.stringify(count, null, 1))
  await client.end()
}, 600000)
