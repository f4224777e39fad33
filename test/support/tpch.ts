/** TPC-H: tables as the specification has them, the 22 queries, and loading by COPY. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SUPPORT } from './cache.ts'
import { psql } from './libpq-client.ts'
import type { Address, SqlClient } from './sql-client.ts'

export interface TpchQuery {
  readonly id: string
  readonly sql: string
}

export const TPCH_QUERIES: readonly TpchQuery[] = readQueries()

function readQueries(): readonly TpchQuery[] {
  const text = readFileSync(join(SUPPORT, 'tpch-queries.sql'), 'utf8')
  return text.split(/^--- /m).slice(1).map((part) => {
    const end = part.indexOf('\n')
    return { id: part.slice(0, end).trim(), sql: part.slice(end + 1).trim().replace(/;$/, '') }
  })
}

/** In an order that a load can follow. */
export const TPCH_TABLES = {
  region: `r_regionkey integer PRIMARY KEY, r_name char(25) NOT NULL, r_comment varchar(152)`,
  nation: `n_nationkey integer PRIMARY KEY, n_name char(25) NOT NULL,
    n_regionkey integer NOT NULL, n_comment varchar(152)`,
  supplier: `s_suppkey integer PRIMARY KEY, s_name char(25) NOT NULL,
    s_address varchar(40) NOT NULL, s_nationkey integer NOT NULL, s_phone char(15) NOT NULL,
    s_acctbal numeric(15,2) NOT NULL, s_comment varchar(101) NOT NULL`,
  customer: `c_custkey integer PRIMARY KEY, c_name varchar(25) NOT NULL,
    c_address varchar(40) NOT NULL, c_nationkey integer NOT NULL, c_phone char(15) NOT NULL,
    c_acctbal numeric(15,2) NOT NULL, c_mktsegment char(10) NOT NULL,
    c_comment varchar(117) NOT NULL`,
  part: `p_partkey integer PRIMARY KEY, p_name varchar(55) NOT NULL, p_mfgr char(25) NOT NULL,
    p_brand char(10) NOT NULL, p_type varchar(25) NOT NULL, p_size integer NOT NULL,
    p_container char(10) NOT NULL, p_retailprice numeric(15,2) NOT NULL,
    p_comment varchar(23) NOT NULL`,
  partsupp: `ps_partkey integer NOT NULL, ps_suppkey integer NOT NULL,
    ps_availqty integer NOT NULL, ps_supplycost numeric(15,2) NOT NULL,
    ps_comment varchar(199) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey)`,
  orders: `o_orderkey bigint PRIMARY KEY, o_custkey integer NOT NULL,
    o_orderstatus char(1) NOT NULL, o_totalprice numeric(15,2) NOT NULL,
    o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, o_clerk char(15) NOT NULL,
    o_shippriority integer NOT NULL, o_comment varchar(79) NOT NULL`,
  lineitem: `l_orderkey bigint NOT NULL, l_partkey integer NOT NULL, l_suppkey integer NOT NULL,
    l_linenumber integer NOT NULL, l_quantity numeric(15,2) NOT NULL,
    l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
    l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL,
    PRIMARY KEY (l_orderkey, l_linenumber)`,
} as const satisfies Record<string, string>

export const TPCH_TABLE_NAMES = Object.keys(TPCH_TABLES) as (keyof typeof TPCH_TABLES)[]

/** The usual indexes: without them PostgreSQL's plans for q2, q17, q20 take minutes. */
const INDEXES = [
  'lineitem (l_partkey, l_suppkey)', 'lineitem (l_shipdate)', 'orders (o_custkey)',
  'orders (o_orderdate)', 'partsupp (ps_suppkey)', 'customer (c_nationkey)',
  'supplier (s_nationkey)',
]

export async function createTpchTables(client: SqlClient): Promise<void> {
  for (const name of TPCH_TABLE_NAMES) {
    await client.query(`CREATE TABLE ${name} (${TPCH_TABLES[name]})`)
  }
  for (const index of INDEXES) await client.query(`CREATE INDEX ON ${index}`)
}

/** Loads every table from `folder` through `address` with psql's \copy, then ANALYZEs. */
export async function loadTpch(
  address: Address, folder: string, schema = 'public',
): Promise<void> {
  const env = { PGOPTIONS: `-c search_path=${schema}` }
  for (const name of TPCH_TABLE_NAMES) {
    const file = join(folder, `${name}.csv`)
    if (!existsSync(file)) throw new Error(`${file} is missing: run node test/provision.js`)
    await psql(address, ['-c', `\\copy ${name} from '${file}' csv`], { env })
  }
  const analyze = TPCH_TABLE_NAMES.map((name) => ['-c', `VACUUM ANALYZE ${name}`]).flat()
  await psql(address, analyze, { env })
}
