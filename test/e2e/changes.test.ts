/** Every kind of change to rows reaches the mirror, each transaction whole. */
import { beforeAll, describe, expect, it } from 'vitest'
import { columnar, inPostgres, tableState } from '../support/mirror.ts'
import { poll } from '../support/poll.ts'
import { itWith } from '../support/requires.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

describe('the mirror follows changes', () => {
  let schema: SharedSchema
  let client: SqlClient
  beforeAll(async () => {
    schema = await SharedSchema.create('changes')
    client = await schema.connect()
    await client.query(`CREATE TABLE docs (id int PRIMARY KEY, n int, body text);
      CREATE TABLE pairs (a int, b text, v int, PRIMARY KEY (b, a));
      CREATE TABLE log (id bigserial PRIMARY KEY, n int)`)
    await schema.mirrored(client, ['docs', 'pairs', 'log'])
    return async () => { await client.end() }
  })

  async function agrees(sql: string): Promise<void> {
    const expected = await inPostgres(client, sql)
    expect(await columnar(client, sql), sql).toEqual(expected)
    await client.query('SELECT slipway.flush()')
    expect(await columnar(client, sql), `${sql} after a flush`).toEqual(expected)
  }

  const DOCS = 'SELECT count(*), sum(n), sum(length(body)), max(body) FROM docs'

  it('unchanged TOAST keeps its value, in the tail and in a file', async () => {
    // Random text does not compress: it is stored out of line.
    await client.query(`INSERT INTO docs SELECT i, i,
      (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 400) j)
      FROM generate_series(1, 20) i`)
    await client.query('UPDATE docs SET n = n + 1')
    await agrees(DOCS)
    await client.query('UPDATE docs SET n = n + 1 WHERE id % 2 = 0')
    await agrees(DOCS)
    await client.query('UPDATE docs SET id = id + 1000 WHERE id = 4')
    await agrees('SELECT id, n, length(body) FROM docs ORDER BY id')
  })

  it('primary key changes, swaps and reuse', async () => {
    await client.query(`INSERT INTO pairs SELECT i, 'k' || i, i FROM generate_series(1, 50) i`)
    await agrees('SELECT count(*), sum(v) FROM pairs')
    await client.query(`UPDATE pairs SET a = a + 100 WHERE a <= 10`)
    await client.query(`BEGIN; DELETE FROM pairs WHERE a = 20;
      INSERT INTO pairs VALUES (20, 'k20', -20); UPDATE pairs SET b = 'z' WHERE a = 21;
      UPDATE pairs SET b = 'k21' WHERE a = 21; COMMIT`)
    await agrees('SELECT a, b, v FROM pairs ORDER BY a, b')
  })

  it('TRUNCATE, alone and with rows before and after in one transaction', async () => {
    await client.query('INSERT INTO log (n) SELECT i FROM generate_series(1, 1000) i')
    await agrees('SELECT count(*), sum(n) FROM log')
    await client.query(`BEGIN; INSERT INTO log (n) VALUES (1); TRUNCATE log;
      INSERT INTO log (n) VALUES (42); COMMIT`)
    await agrees('SELECT count(*), sum(n) FROM log')
    await client.query('TRUNCATE log, pairs')
    await agrees('SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM pairs)')
  })

  it('rolled back work and savepoints', async () => {
    await client.query(`BEGIN; INSERT INTO log (n) VALUES (1); SAVEPOINT s;
      INSERT INTO log (n) VALUES (2); ROLLBACK TO s; INSERT INTO log (n) VALUES (3); COMMIT`)
    await client.query('BEGIN; INSERT INTO log (n) VALUES (100); ROLLBACK')
    await agrees('SELECT count(*), sum(n) FROM log')
  })

  it('one large transaction', async () => {
    await client.query('INSERT INTO log (n) SELECT i FROM generate_series(1, 200000) i')
    await agrees('SELECT count(*), sum(n) FROM log')
    await client.query('UPDATE log SET n = n + 1 WHERE id % 3 = 0')
    await client.query('DELETE FROM log WHERE id % 5 = 0')
    await agrees('SELECT count(*), sum(n) FROM log')
  })

  it('a transaction over several tables is seen whole', async () => {
    await client.query(`CREATE TABLE left_side (id int PRIMARY KEY, v int);
      CREATE TABLE right_side (id int PRIMARY KEY, v int);
      INSERT INTO left_side VALUES (1, 0); INSERT INTO right_side VALUES (1, 0)`)
    await schema.mirrored(client, ['left_side', 'right_side'])
    await using writer = await schema.connect()
    let running = true
    const writing = (async () => {
      for (let i = 1; running; i++) {
        await writer.query(`BEGIN; UPDATE left_side SET v = ${i}; UPDATE right_side SET v = ${-i};
          COMMIT`)
      }
    })()
    const torn: string[] = []
    await client.query(`SET slipway.route = 'columnar'`)
    for (let i = 0; i < 200; i++) {
      const sum = await client.value(`SELECT sum(v) FROM
        (SELECT v FROM left_side UNION ALL SELECT v FROM right_side) AS both_sides`)
      if (sum !== '0') torn.push(String(sum))
    }
    running = false
    await writing
    await client.query(`SET slipway.route = 'auto'`)
    expect(torn).toEqual([])
  })

  it('a value that the lake cannot hold suspends that table alone, with the cure', async () => {
    await client.query(`CREATE TABLE endless (id int PRIMARY KEY, d date)`)
    await schema.mirrored(client, ['endless'])
    await client.query(`INSERT INTO endless VALUES (1, 'infinity')`)
    await client.query('INSERT INTO log (n) VALUES (5)')
    await agrees('SELECT count(*), sum(n) FROM log')
    const state = await poll('endless is suspended', 20_000, async () => {
      const found = await tableState(client, 'changes', 'endless')
      return found !== null && found.state !== 'ready' ? found : null
    })
    expect(state.reason).toMatch(/\bd\b/)
    expect((await client.query('SELECT max(d) FROM endless')).rows).toEqual([['infinity']])
  })

  itWith(['python', 'jars'], 'stock readers agree on all of it', async () => {
    for (const table of ['docs', 'pairs', 'log', 'left_side']) {
      const { found, expected } = await schema.compare(client, table)
      expect({ table, ...found }).toEqual({ table, ...expected })
    }
  })
})
