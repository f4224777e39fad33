/** Every type's values, encoded from DuckDB, against the bytes that PostgreSQL itself sends. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oid } from '../../src/base/oid.ts'
import { sessionFormat } from '../../src/query/session-format.ts'
import { WireEncoder } from '../../src/query/wire-encoder.ts'
import { ZoneCatalog } from '../../src/query/zone-offsets.ts'
import { startScratchPostgres, type ScratchPostgres } from '../support/scratch-postgres.ts'
import { binaryRows, readDataRows, textRows } from './data-rows.ts'
import type { OutputColumn } from '../../src/router/plan.ts'

let postgres: ScratchPostgres
let duckdb: DuckDBConnection
let zones: ZoneCatalog

beforeAll(async () => {
  postgres = await startScratchPostgres()
  zones = new ZoneCatalog({
    run: async (sql, values) => (await postgres.client.query<(string | null)[]>(
      { text: sql, values: [...values], rowMode: 'array' })).rows,
  })
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
  await duckdb.run("SET TimeZone = 'UTC'")
})

afterAll(async () => {
  duckdb.closeSync()
  await postgres[Symbol.asyncDispose]()
})

const CASES: readonly {
  readonly pg: string
  readonly duck: string
  readonly values: readonly string[]
  readonly binary?: false
}[] = [
  { pg: 'int2', duck: 'SMALLINT', values: ['0', '-32768', '32767', '7'] },
  { pg: 'int4', duck: 'INTEGER', values: ['0', '-2147483648', '2147483647', '-10'] },
  { pg: 'int4', duck: 'BIGINT', values: ['0', '-2147483648', '2147483647'] },
  { pg: 'int8', duck: 'BIGINT',
    values: ['0', '-9223372036854775808', '9223372036854775807', '9007199254740993'] },
  { pg: 'int8', duck: 'HUGEINT', values: ['0', '-9223372036854775808', '99'] },
  { pg: 'bool', duck: 'BOOLEAN', values: ['true', 'false'] },
  { pg: 'float8', duck: 'DOUBLE', values: ['0', '-0', '1.5', '1e15', '123456789012345',
    '1e-5', '0.0001', '1.7976931348623157e308', '5e-324', 'NaN', 'Infinity', '-Infinity',
    '6.3050394783186944e+16', '1125899906842624.25', '9007199254740993', '0.1'] },
  { pg: 'float4', duck: 'FLOAT', values: ['0', '-0', '1.5', '1e6', '999999', '1e-5', '0.1',
    '3.4028235e38', '1e-45', 'NaN', 'Infinity', '-Infinity', '16777217', '123456.789'] },
  { pg: 'numeric(5,2)', duck: 'DECIMAL(5,2)', values: ['0', '999.99', '-999.99', '-0.01'] },
  { pg: 'numeric(4,4)', duck: 'DECIMAL(4,4)', values: ['0', '0.9999', '-0.0001'] },
  { pg: 'numeric(15,2)', duck: 'DECIMAL(15,2)', values: ['0', '9999999999999.99', '-1'] },
  { pg: 'numeric(18,0)', duck: 'DECIMAL(18,0)', values: ['0', '999999999999999999', '10000'] },
  { pg: 'numeric(38,10)', duck: 'DECIMAL(38,10)',
    values: ['0', '-9999999999999999999999999999.9999999999', '0.0000000001', '100000000'] },
  { pg: 'numeric(50,3)', duck: 'VARCHAR', values: ['12345678901234567890123456789012.500'] },
  { pg: 'text', duck: 'VARCHAR', values: ['', 'a', 'twelve bytes', 'thirteen byte',
    'Straße 😀', '\ufeffmark', '\ufeff and a longer one', 'x'.repeat(5000)] },
  { pg: 'varchar(20)', duck: 'VARCHAR', values: ['', 'abc '] },
  { pg: 'char(10)', duck: 'VARCHAR', values: ['', 'abc', 'ÉCOLE', '😀', 'hello worl'] },
  { pg: 'name', duck: 'VARCHAR', values: ['pg_class'] },
  { pg: 'date', duck: 'DATE', values: ['1970-01-01', '2000-02-29', '0001-01-01', '9999-12-31',
    '1582-10-15', 'infinity', '-infinity', '10000-01-01'] },
  { pg: 'timestamp', duck: 'TIMESTAMP', values: ['1970-01-01 00:00:00',
    '2024-02-29 23:59:59.999999',
    '0001-01-01 00:00:00', '9999-12-31 23:59:59.5', '1969-12-31 23:59:59.000001', 'infinity',
    '-infinity', '1500-06-01 12:00:00.1'] },
  { pg: 'timestamptz', duck: 'TIMESTAMPTZ', values: ['1970-01-01 00:00:00+00',
    '2024-03-10 07:00:00+00', '2024-03-10 06:59:59.999999+00', '2024-11-03 05:30:00+00',
    '2024-11-03 06:30:00+00', '1883-11-18 16:00:00+00', '1883-11-18 17:00:00+00', 'infinity'] },
  { pg: 'time', duck: 'TIME', values: ['00:00:00', '23:59:59.999999', '12:30:00.5'] },
  { pg: 'bytea', duck: 'BLOB', values: ['\\x', '\\x00', '\\x5c7f80ff20',
    `\\x${'ab'.repeat(40)}`] },
  { pg: 'uuid', duck: 'UUID', values: ['00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff', '2f3c1e9a-7b1d-4c55-8a0e-1234567890ab'] },
  { pg: 'uuid', duck: 'VARCHAR', values: ['2f3c1e9a-7b1d-4c55-8a0e-1234567890ab'] },
  { pg: 'interval', duck: 'INTERVAL', values: ['0', '1 day', '-1 day', '1 year 2 mons 3 days',
    '1 year -2 mons', '-1 mon 3 days 04:05:06.789', '3 days -04:05:06', '100:00:00',
    '-00:00:00.000001', '1 mon -1 day 00:00:01', '-14 mons'] },
  { pg: 'json', duck: 'VARCHAR', values: ['{"a":  1}'] },
  { pg: 'jsonb', duck: 'VARCHAR', values: ['{"a": 1}'] },
  { pg: 'inet', duck: 'VARCHAR', values: ['10.0.0.1'], binary: false },
  { pg: 'int4range', duck: 'VARCHAR', values: ['[1,5)'], binary: false },
]

const ARRAYS = [
  { pg: 'int4[]', duck: 'INTEGER[]', value: '{1,NULL,-3}', list: '[1,NULL,-3]' },
  { pg: 'int4[]', duck: 'INTEGER[]', value: '{}', list: '[]' },
  { pg: 'int8[]', duck: 'BIGINT[]', value: '{9223372036854775807}', list: '[9223372036854775807]' },
  { pg: 'bool[]', duck: 'BOOLEAN[]', value: '{t,f}', list: '[true,false]' },
  { pg: 'numeric(6,2)[]', duck: 'DECIMAL(6,2)[]', value: '{1.5,-2}', list: '[1.5,-2]' },
  { pg: 'text[]', duck: 'VARCHAR[]', value: '{"",a b,"NULL",NULL,"q\\"","b\\\\s","x,y",ok,"{}"}',
    list: `['','a b','NULL',NULL,'q"','b\\s','x,y','ok','{}']` },
  { pg: 'date[]', duck: 'DATE[]', value: '{2024-01-31}', list: `['2024-01-31']` },
  { pg: 'timestamptz[]', duck: 'TIMESTAMPTZ[]', value: '{"2024-01-31 12:00:00+00"}',
    list: `['2024-01-31 12:00:00+00']` },
  { pg: 'char(4)[]', duck: 'VARCHAR[]', value: '{ab}', list: `['ab']` },
  { pg: 'float8[]', duck: 'DOUBLE[]', value: '{1.5,NaN}', list: `[1.5,'NaN'::DOUBLE]` },
]

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** DuckDB's own spelling where it differs from PostgreSQL's. */
function duckLiteral(type: string, text: string): string {
  if (type === 'BLOB') return `from_hex(${literal(text.slice(2))})`
  if (type === 'INTERVAL') {
    return literal(text === '0' ? '0 days' : text.replaceAll('mons', 'months')
      .replaceAll(/\bmon\b/g, 'month')) + '::INTERVAL'
  }
  return `${literal(text)}::${type}`
}

interface Session {
  readonly timeZone: string
  readonly byteaOutput: string
  readonly extraFloatDigits: number
}

const DEFAULTS: Session = { timeZone: 'UTC', byteaOutput: 'hex', extraFloatDigits: 1 }

async function applySession(session: Session): Promise<void> {
  await postgres.client.query(`set timezone = '${session.timeZone}';
    set bytea_output = '${session.byteaOutput}';
    set extra_float_digits = ${session.extraFloatDigits}`)
}

async function compare(input: {
  readonly pgSql: string
  readonly duckSql: string
  readonly format: 0 | 1
  readonly session: Session
}): Promise<void> {
  const { session, format } = input
  const zone = await zones.offsets(session.timeZone)
  await applySession(session)
  const wanted = format === 0
    ? await textRows(postgres.client, input.pgSql)
    : await binaryRows(postgres.client, input.pgSql)
  const result = await duckdb.stream(input.duckSql)
  const output: OutputColumn[] = wanted.fields.map((field, at) => ({
    name: field.name, typeOid: oid(field.dataTypeID), typmod: field.dataTypeModifier,
    value: { kind: 'plain', at },
  }))
  const encoder = new WireEncoder({
    output, columnTypes: result.columnTypes(), resultFormats: [format],
    session: sessionFormat({ dateStyle: 'ISO, MDY', intervalStyle: 'postgres',
      extraFloatDigits: session.extraFloatDigits, byteaOutput: session.byteaOutput }, zone),
  })
  const got: Buffer[] = []
  for (;;) {
    const chunk = await result.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) break
    for (const batch of encoder.encode(chunk)) got.push(batch.bytes)
  }
  const show = (rows: readonly (readonly (Buffer | null)[])[]): unknown =>
    rows.map((row) => row.map((cell) => cell?.toString(format === 0 ? 'utf8' : 'hex') ?? null))
  expect(show(readDataRows(Buffer.concat(got)))).toEqual(show(wanted.rows))
}

function valuesSql(type: string, literals: readonly string[]): string {
  const rows = [...literals, 'NULL'].map((value, index) => `(${index}, ${value}::${type})`)
  return `select v from (values ${rows.join(', ')}) t(i, v) order by i`
}

describe('values as PostgreSQL sends them', () => {
  for (const item of CASES) {
    for (const format of [0, 1] as const) {
      if (format === 1 && item.binary === false) continue
      it(`${item.pg} from ${item.duck}, ${format === 0 ? 'text' : 'binary'}`, async () => {
        const pgSql = valuesSql(item.pg, item.values.map(literal))
        const duckSql = valuesSql(item.duck, item.values.map((v) => duckLiteral(item.duck, v)))
        await compare({ pgSql, duckSql, format, session: DEFAULTS })
      })
    }
  }

  for (const item of ARRAYS) {
    for (const format of [0, 1] as const) {
      it(`${item.pg} ${item.value}, ${format === 0 ? 'text' : 'binary'}`, async () => {
        await compare({
          pgSql: valuesSql(item.pg, [literal(item.value)]),
          duckSql: valuesSql(item.duck, [item.list]),
          format, session: DEFAULTS,
        })
      })
    }
  }

  it('bytea in escape format', async () => {
    const values = ['\\x', '\\x5c7f80ff20', '\\x0061']
    await compare({
      pgSql: valuesSql('bytea', values.map(literal)),
      duckSql: valuesSql('BLOB', values.map((value) => duckLiteral('BLOB', value))),
      format: 0, session: { ...DEFAULTS, byteaOutput: 'escape' },
    })
  })

  it.each([0, -3, -15, 3])('floats under extra_float_digits %d', async (extraFloatDigits) => {
    const values = ['0.1', '123456.789', '1e15', '2.5', '1e-7', '99999.95', '1234567890123456',
      '0.00001234565', '999999999999999.9', '1.25', '-0', 'NaN']
    for (const [pg, duck] of [['float8', 'DOUBLE'], ['float4', 'FLOAT']] as const) {
      await compare({
        pgSql: valuesSql(pg, values.map(literal)),
        duckSql: valuesSql(duck, values.map((value) => duckLiteral(duck, value))),
        format: 0, session: { ...DEFAULTS, extraFloatDigits },
      })
    }
  })
})

describe('timestamptz in the session\'s zone', () => {
  const ZONES = ['America/New_York', 'Asia/Kolkata', 'Europe/Berlin', 'CET', 'EST', 'WET',
    'Europe/Dublin', 'Africa/Casablanca', 'Africa/Monrovia', 'Australia/Lord_Howe',
    'Europe/Amsterdam', 'Pacific/Apia', 'America/Caracas', 'Antarctica/Troll', '<+03>-03']
  it.each(ZONES)('%s', async (timeZone) => {
    // A prime step, so that it meets every hour and day; 1900 to 2199.
    const step = 12_345_679
    const from = -2_208_988_800
    const count = 760
    await compare({
      pgSql: `select to_timestamp(${from}::float8 + g * ${step}::float8)
        from generate_series(0, ${count}) g`,
      duckSql: `select to_timestamp(${from} + g * ${step}::BIGINT)
        from generate_series(0, ${count}) t(g)`,
      format: 0, session: { ...DEFAULTS, timeZone },
    })
  })

  it.each(['Europe/Amsterdam', 'Asia/Manila', 'America/New_York', 'Africa/Monrovia'])(
    '%s before 1900', async (timeZone) => {
      const sql = (series: string): string =>
        `select to_timestamp(-61000000000 + g * 98765433) from ${series}`
      await compare({
        pgSql: sql('generate_series(0::bigint, 600) g').replace('98765433', '98765433::float8'),
        duckSql: sql('generate_series(0::BIGINT, 600) t(g)'),
        format: 0, session: { ...DEFAULTS, timeZone },
      })
    })

  it('refuses what lies after the table', async () => {
    const zone = await zones.offsets('Europe/Berlin')
    expect(zone.at(BigInt(Date.UTC(2199, 11, 31)) * 1000n)).toBe(3600)
    expect(zone.at(BigInt(Date.UTC(2200, 0, 1)) * 1000n)).toBeNull()
  })

  it('changes at the very second, in every year', async () => {
    const timeZone = 'America/New_York'
    const zone = await zones.offsets(timeZone)
    await applySession({ ...DEFAULTS, timeZone })
    const { rows } = await textRows(postgres.client, `
      select extract(epoch from t)::bigint, extract(timezone from t)::int
      from generate_series(1920, 2030) y,
        lateral (select make_timestamptz(y, m, d, 0, 0, 0, 'UTC') + n * interval '30 minutes' as t
          from unnest(array[3, 4, 10, 11]) m, generate_series(1, 28, 3) d,
               generate_series(11, 15) n) x`)
    expect(rows.length).toBeGreaterThan(20_000)
    const wrong = rows.filter(([second, offset]) =>
      zone.at(BigInt(String(second)) * 1_000_000n) !== Number(offset))
    expect(wrong).toHaveLength(0)
  })
})
