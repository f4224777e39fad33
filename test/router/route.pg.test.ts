/** Whole statements: row-level security, views, parameters, ties, and what is refused. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oid } from '../../src/base/oid.ts'
import type { ColumnarPlan, RelationRef, RouterParameter } from '../../src/router/plan.ts'
import { clientConfig } from '../../src/oltp/target.ts'
import {
  SCRATCH_DATABASE, startScratchPostgres, type ScratchPostgres,
} from '../support/scratch-postgres.ts'
import { Differential } from './differential.ts'

const TABLES = `
  create table sale (id int primary key, shop int not null, item char(8), price numeric(10,2),
    day date, at timestamptz, note text, loose numeric, share float8);
  insert into sale select i, i % 7, 'item ' || i % 5, (i * 37 % 1000) / 4.0,
    date '2024-01-01' + i % 300, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour',
    nullif('note ' || i % 11, 'note 3'), i / 8.0, i / 3.0 from generate_series(1, 400) i;
  create table shop (id int primary key, name varchar(20), "group" text);
  insert into shop select i, 'Shop ' || i, chr(65 + i % 3) from generate_series(0, 8) i;
  create view dear as select shop, price, day from sale where price > 100;
  alter table shop enable row level security;
  create policy half on shop using (id % 2 = 0);
  create role reader login password 'reader';
  grant select on sale, shop, dear to reader`

let postgres: ScratchPostgres
let owner: Differential
let reader: Differential
let readerClient: pg.Client

beforeAll(async () => {
  postgres = await startScratchPostgres()
  await postgres.client.query(TABLES)
  owner = await Differential.open(postgres.client, 'Europe/Berlin')
  await owner.mirror('public')
  readerClient = new pg.Client(clientConfig(postgres.target,
    { user: 'reader', password: 'reader', database: SCRATCH_DATABASE }))
  await readerClient.connect()
  reader = await Differential.open(readerClient, 'Europe/Berlin')
  // The reader's client sees fewer rows; its mirror holds them all.
  reader.adopt(owner)
})
afterAll(async () => {
  await readerClient.end()
  await postgres[Symbol.asyncDispose]()
})

async function planOf(sql: string): Promise<ColumnarPlan> {
  const result = owner.route(await owner.analyse(sql))
  if (result.kind === 'postgres') throw new Error(result.reason)
  return result.plan
}

function relationsIn(plan: ColumnarPlan): readonly RelationRef[] {
  return plan.parts.filter((part): part is RelationRef => typeof part !== 'string')
}

describe('routed statements equal PostgreSQL', () => {
  it.each([
    'select shop, count(*), sum(price), avg(price), min(day) from sale group by shop order by shop',
    'select s.name, sum(price) from sale join shop s on s.id = shop group by s.name order by 1',
    // Columns that depend on the key, not named in GROUP BY.
    'select s.id, s.name, s."group", count(*) from shop s join sale on shop = s.id group by s.id',
    'select shop, price, day from dear order by price, day, shop limit 5',
    'select count(*) from sale where item = \'item 3\' and item like \'item 3 %\'',
    'select max(price) filter (where shop = 2), sum(price) filter (where false) from sale',
    'select shop, sum(case when price > 100 then price else 0 end) from sale group by 1 order by 1',
    'select coalesce(sum(price), 0) from sale where id < 0',
    'select id from sale where price > (select avg(price) from sale) order by id',
    'select shop, avg(price) a from sale group by shop having avg(price) > 120 order by a',
    'select x.a, x.a * 2 from (select shop, avg(price) a from sale group by shop) x order by 1',
    'select stddev(price), variance(id), var_pop(price) from sale',
    'select id, row_number() over (order by id), rank() over (order by day) from sale order by id',
    'select distinct item from sale order by item',
    'select shop from sale union select id from shop order by 1',
    'select s, c from (select shop s, count(*) c from sale group by rollup(shop)) q order by 1, 2',
    `with s as (select shop, count(*) n from sale group by 1)
       select * from s where n > 3 order by 1`,
    // An aggregate without GROUP BY is one row, whether or not anything asks for it.
    'select count(*) from shop where exists (select count(*) from sale where id < 0)',
    'select count(*) from shop where exists (select 1 from sale where id < 0 having count(*) < 9)',
    'select x.n from (select 1 as n from sale order by count(*)) x',
    'select count(*) from sale where shop in (select id from shop where name like \'Shop%\')',
    'select count(*) from sale a where not exists (select 1 from sale b where b.id = a.id + 1)',
    `select extract(year from day), extract(month from at), count(*)
       from sale group by 1, 2 order by 1, 2`,
    'select to_char(day, \'YYYY-MM\'), count(*) from sale group by 1 order by 1',
    'select date_trunc(\'month\', at), count(*) from sale group by 1 order by 1',
    'select count(loose) from sale where loose > 3.5',
    'select min(share), max(share) from sale',
    'select count(*) from sale limit 1',
  ])('%s', async (sql) => {
    expect(await owner.compare(sql)).toMatchObject({ kind: 'equal' })
  })
})

describe('statements that stay in PostgreSQL', () => {
  it.each([
    ['select sum(share) from sale', 'sum(double precision)'],
    ['select sum(loose) from sale', 'display scale'],
    ['select count(*) from sale where random() < 2', 'random()'],
    ['select count(*) from sale for update', 'PostgreSQL'],
    ['select sale from sale', 'whole row'],
    ['select count(*) from sale where ctid is not null', 'system column'],
    ['select count(*) from sale where current_user = \'x\'', 'current_user'],
    ['select count(*) from pg_class', 'not mirrored'],
    ['select shop from sale limit 3', 'ORDER BY'],
    ['select count(*), generate_series(1, 2) from sale', 'set-returning'],
    ['select 1', 'no table'],
    ['select count(*) from sale tablesample system (100)', 'TABLESAMPLE'],
    ['select string_agg(note, \',\') from sale', 'choice'],
    ['select mode() within group (order by shop) from sale', 'ordered-set'],
    ['select count(*) from sale where to_char(price, \'9\') = \'1\'', 'to_char(numeric, text)'],
    ['select max(note collate "en_US") from sale', 'PostgreSQL'],
  ])('%s', async (sql, reason) => {
    const verdict = await owner.compare(sql)
    expect(verdict).toMatchObject({ kind: 'kept' })
    expect((verdict as { reason: string }).reason).toContain(reason)
  })

  it('a reason holds no literal of the statement', async () => {
    const verdict = await owner.compare(
      `select count(*) from sale where note ~ '(?i)hunter2' or note = md5('hunter3')`)
    expect(JSON.stringify(verdict)).not.toContain('hunter')
  })
})

describe('row-level security', () => {
  it('filters the relation for the role it binds, under any join', async () => {
    for (const sql of [
      'select count(*) from shop', 'select id, name from shop group by id order by id',
      `select s.id, count(h.id) from sale s left join shop h on h.id = s.shop
         group by s.id order by 1`,
      'select count(*) from sale where shop not in (select id from shop)',
    ]) {
      const verdict = await reader.compare(sql)
      expect({ sql, ...verdict }).toMatchObject({ kind: 'equal' })
    }
    const all = await owner.run(await planOf('select count(*) from shop'))
    expect(all).toEqual([['9']])
  })

  it('an alias that looks like a tree changes nothing', async () => {
    const sql = 'select count(*) as ":securityQuals <>} {RANGETBLENTRY :rtekind 0", ' +
      'max(id) as "\\) :rtable <> (" from shop'
    expect(await reader.compare(sql)).toMatchObject({ kind: 'equal' })
  })
})

describe('plans', () => {
  it('names no identifier of the user', async () => {
    const plan = await planOf('select s."group" as "Evil Name" from shop s where s.name = \'x\' ' +
      'group by s."group"')
    const text = plan.parts.filter((part) => typeof part === 'string').join('')
    expect(text).not.toMatch(/group"|Evil|shop/)
    expect(plan.output[0]?.name).toBe('Evil Name')
  })

  it('reads only the columns that are named, none for count(*)', async () => {
    expect(relationsIn(await planOf('select count(*) from sale'))[0]?.columns).toEqual([])
    expect(relationsIn(await planOf('select sum(price) from sale where shop = 3'))[0]?.columns)
      .toEqual([2, 4])
  })

  it('hands over prune predicates of WHERE and inner joins, not of outer ones', async () => {
    const [sale] = relationsIn(await planOf(`select count(*) from sale
      where day >= '2024-03-01' and 5 > id and price = 1.50 and (shop = 1 or shop = 2)`))
    expect(sale?.prune).toEqual([
      { attnum: 5, op: '>=', value: 19_783 }, { attnum: 1, op: '<', value: 5 },
      { attnum: 4, op: '=', value: '1.50' },
    ])
    const outer = relationsIn(await planOf(`select count(*) from shop left join sale
      on shop.id = sale.shop and sale.id > 7`))
    expect(outer.flatMap((relation) => relation.prune)).toEqual([])
    const inner = relationsIn(await planOf(`select count(*) from shop join sale
      on shop.id = sale.shop and sale.id > 7`))
    expect(inner.flatMap((relation) => relation.prune))
      .toEqual([{ attnum: 1, op: '>', value: 7 }])
  })

  it('checks ties under LIMIT unless the order is total by construction', async () => {
    expect((await planOf('select id from sale order by price limit 5')).tieCheck)
      .toMatchObject({ limit: 5 })
    expect((await planOf('select id, price from sale order by price, id limit 5')).tieCheck)
      .toBeNull()
    expect((await planOf('select shop, count(*) from sale group by shop order by 2, 1 limit 5'))
      .tieCheck).toBeNull()
    expect((await planOf('select id from sale order by price')).tieCheck).toBeNull()
  })

  it('takes parameters in text and binary', async () => {
    const sql = 'select count(*) from sale where shop = $1 and note = $2'
    const analysis = await owner.analysePrepared(sql, ['3', 'note 1'])
    const shop = Buffer.alloc(4)
    shop.writeInt32BE(3)
    const text: RouterParameter = { typeOid: oid(25), format: 0, value: Buffer.from('note 1') }
    for (const first of [
      { typeOid: oid(23), format: 1, value: shop } as const,
      { typeOid: oid(23), format: 0, value: Buffer.from('3') } as const,
    ]) {
      const result = owner.route(analysis, [first, text])
      if (result.kind === 'postgres') throw new Error(result.reason)
      expect(await owner.run(result.plan)).toEqual(analysis.rows)
    }
    const wrong = owner.route(analysis, [{ typeOid: oid(20), format: 0, value: shop }, text])
    expect(wrong).toMatchObject({ kind: 'postgres' })
  })
})
