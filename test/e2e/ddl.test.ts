/** Tables come, change and go; the mirror follows in order with the data. */
import { existsSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { columnarOnceReady, inPostgres, tableState } from '../support/mirror.ts'
import { poll } from '../support/poll.ts'
import { ALL_READERS } from '../support/readers.ts'
import { itWith } from '../support/requires.ts'
import { SharedSchema } from '../support/shared-slipway.ts'
import type { SqlClient } from '../support/sql-client.ts'

describe('the mirror follows DDL', () => {
  let schema: SharedSchema
  let client: SqlClient
  beforeAll(async () => {
    schema = await SharedSchema.create('ddl')
    client = await schema.connect()
    return async () => { await client.end() }
  })

  /** Columnar must answer what PostgreSQL answers, now and after a flush. */
  async function agrees(sql: string): Promise<void> {
    const expected = await inPostgres(client, sql)
    expect(await columnarOnceReady(client, sql), sql).toEqual(expected)
    await client.query('SELECT slipway.flush()')
    expect(await columnarOnceReady(client, sql), `${sql} after a flush`).toEqual(expected)
  }

  it('CREATE TABLE: mirrored with no command given', async () => {
    await client.query('CREATE TABLE made (id int PRIMARY KEY, v text)')
    await client.query(`INSERT INTO made VALUES (1, 'a'), (2, NULL)`)
    await schema.mirrored(client, ['made'])
    await agrees('SELECT count(*), count(v), max(id) FROM made')
    expect(existsSync(`${schema.folder('made')}/_delta_log`)).toBe(true)
  })

  it('CREATE TABLE AS and a primary key added later', async () => {
    await client.query(`CREATE TABLE later AS
      SELECT i AS id, i % 3 AS g FROM generate_series(1, 999) i`)
    const before = await poll('later is listed', 10_000, () => tableState(client, 'ddl', 'later'))
    expect(before.state).not.toBe('ready')
    expect(before.reason).toMatch(/primary key/i)
    await client.query('ALTER TABLE later ADD PRIMARY KEY (id)')
    await schema.mirrored(client, ['later'])
    await agrees('SELECT g, count(*) FROM later GROUP BY g ORDER BY g')
  })

  it('a table without a primary key stays in PostgreSQL, its state says why', async () => {
    await client.query('CREATE TABLE keyless (a int, b text)')
    await client.query(`INSERT INTO keyless VALUES (1, 'x'), (1, 'x')`)
    await client.query(`UPDATE keyless SET b = 'y'`)
    expect((await inPostgres(client, 'SELECT count(*) FROM keyless'))[0]?.[0]).toBe('2')
    const state = await poll('keyless is listed', 10_000,
      () => tableState(client, 'ddl', 'keyless'))
    expect(state.reason).toMatch(/primary key/i)
    await client.query(`SET slipway.route = 'columnar'`)
    const { sqlState } = await client.refusal('SELECT count(*) FROM keyless')
    expect(sqlState).toMatch(/^SW/)
    await client.query(`SET slipway.route = 'auto'`)
  })

  it('ADD COLUMN with and without a default, in the middle of writes', async () => {
    await client.query('CREATE TABLE grows (id int PRIMARY KEY, a int)')
    await client.query('INSERT INTO grows SELECT i, i FROM generate_series(1, 100) i')
    await schema.mirrored(client, ['grows'])
    await client.query('ALTER TABLE grows ADD COLUMN b text')
    await client.query(`INSERT INTO grows SELECT i, i, 'b' || i FROM generate_series(101, 200) i`)
    await client.query(`UPDATE grows SET b = 'old' WHERE id <= 10`)
    await agrees('SELECT count(*), count(b), min(b), max(b) FROM grows')
    await client.query(`ALTER TABLE grows ADD COLUMN c int NOT NULL DEFAULT 7`)
    await client.query('INSERT INTO grows (id, a) VALUES (201, 201)')
    await schema.mirrored(client, ['grows'])
    await agrees('SELECT count(*), sum(c), min(c) FROM grows')
    await client.query(`ALTER TABLE grows ADD COLUMN d float8 DEFAULT random()`)
    await schema.mirrored(client, ['grows'])
    await agrees('SELECT count(d), min(d), max(d) FROM grows')
  })

  it('DDL and data in one transaction are seen together or not at all', async () => {
    await client.query(`CREATE TABLE pair (id int PRIMARY KEY, a int);
      INSERT INTO pair VALUES (1, 1)`)
    await schema.mirrored(client, ['pair'])
    await client.query(`BEGIN; INSERT INTO pair VALUES (2, 2); ALTER TABLE pair ADD COLUMN b int;
      UPDATE pair SET b = a * 10; INSERT INTO pair VALUES (3, 3, 30); COMMIT`)
    await agrees('SELECT count(*), sum(a), sum(b) FROM pair')
    await client.query(`BEGIN; ALTER TABLE pair ADD COLUMN gone int;
      UPDATE pair SET gone = 1; ROLLBACK`)
    await agrees('SELECT count(*), sum(a), sum(b) FROM pair')
  })

  it('renames of a column, a table and a schema', async () => {
    await client.query(`CREATE TABLE old_name (id int PRIMARY KEY, first int, second int);
      INSERT INTO old_name SELECT i, i, -i FROM generate_series(1, 50) i`)
    await schema.mirrored(client, ['old_name'])
    await client.query('SELECT slipway.flush()')
    await client.query('ALTER TABLE old_name RENAME COLUMN first TO primero')
    await client.query(`INSERT INTO old_name VALUES (51, 51, -51)`)
    await agrees('SELECT sum(primero), sum(second) FROM old_name')
    await client.query('ALTER TABLE old_name RENAME TO new_name')
    await client.query(`INSERT INTO new_name VALUES (52, 52, -52)`)
    await schema.mirrored(client, ['new_name'])
    await agrees('SELECT count(*), sum(primero), sum(second) FROM new_name')
  })

  it('DROP COLUMN, and the same name come back with another type', async () => {
    await client.query(`CREATE TABLE drops (id int PRIMARY KEY, a int, b int);
      INSERT INTO drops SELECT i, i, i FROM generate_series(1, 20) i`)
    await schema.mirrored(client, ['drops'])
    await client.query('SELECT slipway.flush()')
    await client.query('ALTER TABLE drops DROP COLUMN b')
    await client.query('INSERT INTO drops VALUES (21, 21)')
    await agrees('SELECT count(*), sum(a) FROM drops')
    await client.query('ALTER TABLE drops ADD COLUMN b text')
    await client.query(`UPDATE drops SET b = 'new' WHERE id = 3`)
    await agrees('SELECT count(*), count(b), max(b) FROM drops')
  })

  it('ALTER TYPE rewrites: the table is copied anew', async () => {
    await client.query(`CREATE TABLE retyped (id int PRIMARY KEY, v int);
      INSERT INTO retyped SELECT i, i * 3 FROM generate_series(1, 100) i`)
    await schema.mirrored(client, ['retyped'])
    await client.query('ALTER TABLE retyped ALTER COLUMN v TYPE numeric(12,2) USING v / 2.0')
    await client.query('INSERT INTO retyped VALUES (101, 0.25)')
    await schema.mirrored(client, ['retyped'])
    await agrees('SELECT count(*), sum(v), max(v) FROM retyped')
  })

  it('DROP TABLE, and another of the same name', async () => {
    await client.query(`CREATE TABLE again (id int PRIMARY KEY, v int);
      INSERT INTO again VALUES (1, 1), (2, 2)`)
    await schema.mirrored(client, ['again'])
    await client.query('SELECT slipway.flush()')
    await client.query('DROP TABLE again')
    await poll('again is gone', 10_000, async () =>
      await tableState(client, 'ddl', 'again') === null ? true : null)
    await client.query(`CREATE TABLE again (id bigint PRIMARY KEY, name text);
      INSERT INTO again VALUES (7, 'seven')`)
    await schema.mirrored(client, ['again'])
    await agrees('SELECT count(*), max(id), max(name) FROM again')
  })

  it('a table dropped in the middle of its copy disturbs no other', async () => {
    await client.query(`CREATE TABLE brief AS SELECT i AS id, repeat('x', 200) AS v
      FROM generate_series(1, 200000) i; ALTER TABLE brief ADD PRIMARY KEY (id)`)
    await client.query('DROP TABLE brief')
    await client.query(`CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)`)
    await schema.mirrored(client, ['other'])
    await agrees('SELECT count(*) FROM other')
  })

  itWith(['python', 'jars'], 'stock readers agree on all of it', async () => {
    const tables = ['made', 'later', 'grows', 'pair', 'new_name', 'drops', 'retyped', 'again']
    for (const table of tables) {
      // The kernel is a process a table: where column mapping came in it is worth its time.
      const readers = table === 'drops' ? ALL_READERS : ALL_READERS.slice(0, 2)
      const { found, expected } = await schema.compare(client, table, readers)
      expect({ table, ...found }).toEqual({ table, ...expected })
    }
  }, 900_000)
})
