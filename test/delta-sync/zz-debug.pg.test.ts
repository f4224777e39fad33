import { test } from 'vitest'
import { PostgresFixture, ADMIN } from '../oltp/postgres-fixture.ts'
import { MirrorBench } from './mirror-bench.ts'
test('debug', async () => {
  const fixture = await PostgresFixture.start(18)
  const client = await fixture.connect()
  const admin = await fixture.connect('slipway', ADMIN)
  const source = await fixture.source()
  const directory = await MirrorBench.folder()
  const bench = await MirrorBench.start(directory, source)
  for (let i = 0; i < 15; i++) {
    await client.query(`create table a${i} (id int primary key); insert into a${i} values (1)`)
    await client.query(`create table b${i} (id int primary key)`)
    for (const t of [`a${i}`, `b${i}`]) {
      const { rows } = await client.query<{ o: string }>(`select '${t}'::regclass::oid::text o`)
      const began = performance.now()
      try { await bench.ready(Number(rows[0]?.o)) } catch (error) {
        console.log('STUCK', t, String(error))
        const { rows: acts } = await admin.query(`select pid, application_name, state, wait_event_type, wait_event, left(query, 150) q, now()-query_start d from pg_stat_activity where datname='slipway'`)
        console.log(JSON.stringify(acts, null, 1))
        const { rows: locks } = await admin.query(`select pid, locktype, relation::regclass::text, mode, granted, virtualtransaction from pg_locks where relation = $1`, [rows[0]?.o])
        console.log(JSON.stringify(locks))
        throw error
      }
      console.log(t, Math.round(performance.now() - began), 'ms')
    }
  }
  await bench[Symbol.asyncDispose](); await client.end(); await admin.end(); await source.close(); await fixture.stop()
}, 60000)
