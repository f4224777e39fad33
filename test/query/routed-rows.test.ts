/** A plan's output from a real DuckDB: derived numerics, ties, refusals, failures, release. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LSN_ZERO } from '../../src/base/lsn.ts'
import { oid } from '../../src/base/oid.ts'
import { RoutedRows, type ColumnarRows, type RunLimit } from '../../src/query/routed-rows.ts'
import { sessionFormat } from '../../src/query/session-format.ts'
import { decodeDataRows } from '../../src/query/text-rows.ts'
import { UTC_OFFSETS } from '../../src/query/zone-offsets.ts'
import type { OutputColumn, OutputValue, TieCheck } from '../../src/router/plan.ts'

let duckdb: DuckDBConnection
const SESSION = sessionFormat({
  dateStyle: 'ISO, MDY', intervalStyle: 'postgres', extraFloatDigits: 1, byteaOutput: 'hex',
}, UTC_OFFSETS)
const NO_LIMIT: RunLimit = { error: () => null, [Symbol.dispose]: () => {} }

beforeAll(async () => { duckdb = await (await DuckDBInstance.create(':memory:')).connect() })
afterAll(() => { duckdb.closeSync() })

const released: string[] = []

async function answerOf(sql: string): Promise<ColumnarRows> {
  await duckdb.run('BEGIN')
  const result = await duckdb.stream(sql).catch(async (error: unknown) => {
    await duckdb.run('ROLLBACK')
    throw error
  })
  return {
    readLsn: LSN_ZERO, waitedMs: 0, sql, scan: { filesRead: 0, filesPruned: 0, tailRows: 0 },
    columnTypes: result.columnTypes(),
    chunks: (async function * () {
      for (;;) {
        const chunk = await result.fetchChunk()
        // A stream that fails looks like one that ends: the transaction tells them apart.
        if (chunk === null || chunk.rowCount === 0) { await duckdb.run('SELECT 1'); return }
        yield chunk
      }
    })(),
    [Symbol.asyncDispose]: async () => { released.push(sql); await duckdb.run('ROLLBACK') },
  }
}

function numeric(value: OutputValue): OutputColumn {
  return { name: 'n', typeOid: oid(1700), typmod: -1, value }
}

function integer(at: number): OutputColumn {
  return { name: 'i', typeOid: oid(20), typmod: -1, value: { kind: 'plain', at } }
}

async function run(
  sql: string, output: readonly OutputColumn[], tieCheck: TieCheck | null = null, rowsMax = 0,
): Promise<RoutedRows> {
  return RoutedRows.start({
    plan: { parts: [sql], relations: [], output, tieCheck }, answer: await answerOf(sql),
    session: () => Promise.resolve(SESSION), resultFormats: [], rowsMax, deadline: NO_LIMIT,
  })
}

async function texts(rows: RoutedRows): Promise<(readonly (string | null)[])[]> {
  const all: (readonly (string | null)[])[] = []
  for await (const batch of rows.batches()) all.push(...decodeDataRows(batch.bytes))
  return all
}

describe('derived numerics', () => {
  it.each([
    ['an integer with decimals', 'SELECT 5::BIGINT', { kind: 'numeric', at: 0, scale: 2 }, '5.00'],
    ['a wider DECIMAL', 'SELECT 1.50::DECIMAL(10,4)', { kind: 'numeric', at: 0, scale: 2 }, '1.50'],
    ['a HUGEINT', 'SELECT -170141183460469231731687303715884105727::HUGEINT',
      { kind: 'numeric', at: 0, scale: 0 }, '-170141183460469231731687303715884105727'],
    ['value and scale', 'SELECT 1234::HUGEINT, 3', { kind: 'scaled-numeric', at: 0, scaleAt: 1 },
      '1.234'],
    ['a quotient', 'SELECT 7::DECIMAL(10,2), 3::BIGINT', { kind: 'quotient', dividendAt: 0,
      dividendScale: 2, divisorAt: 1, divisorScale: 0 }, '2.3333333333333333'],
    ['an average of nothing', 'SELECT NULL::HUGEINT, 0::BIGINT', { kind: 'quotient',
      dividendAt: 0, dividendScale: 0, divisorAt: 1, divisorScale: 0 }, null],
    ['a variance', 'SELECT 3::BIGINT, 6::HUGEINT, 14::HUGEINT', { kind: 'variance', countAt: 0,
      sumAt: 1, sumOfSquaresAt: 2, scale: 0, sample: true, root: false }, '1.00000000000000000000'],
    ['a deviation of one value', 'SELECT 1::BIGINT, 6::HUGEINT, 36::HUGEINT', { kind: 'variance',
      countAt: 0, sumAt: 1, sumOfSquaresAt: 2, scale: 0, sample: true, root: true }, null],
  ] as const)('%s', async (_name, sql, value, wanted) => {
    expect(await texts(await run(sql, [numeric(value)]))).toEqual([[wanted]])
  })

  it.each([
    ['a zero divisor', 'SELECT 1::BIGINT, 0::BIGINT', numeric({ kind: 'quotient', dividendAt: 0,
      dividendScale: 0, divisorAt: 1, divisorScale: 0 }), /division by zero/],
    ['digits that do not fit the scale', 'SELECT 1.234::DECIMAL(10,3)',
      numeric({ kind: 'numeric', at: 0, scale: 2 }), /more decimals/],
    ['a DOUBLE for a numeric', 'SELECT 0.5::DOUBLE', numeric({ kind: 'numeric', at: 0, scale: 1 }),
      /exact/],
    ['a DOUBLE for an integer', 'SELECT 0.5::DOUBLE', integer(0), /DOUBLE/],
    ['an integer out of range', 'SELECT 9223372036854775808::HUGEINT', integer(0), /range/],
    ['a numeric whose scale nobody knows', 'SELECT 1.5::DECIMAL(38,18)',
      numeric({ kind: 'plain', at: 0 }), /DECIMAL/],
  ])('%s is refused before a row is out, and the answer released', async (
    _name, sql, column, message) => {
    await expect(run(sql, [column])).rejects.toThrow(message)
    expect(released).toContain(sql)
  })
})

describe('ties', () => {
  const rows = (values: string): string => `SELECT k, v FROM (VALUES ${values}) t(k, v)`
  const check = (limit: number | null): TieCheck => ({ keysAt: [0], limit })

  it('returns the limit and not the row behind it', async () => {
    const got = await texts(await run(rows('(1,1),(2,2),(3,3)'), [integer(1)], check(2)))
    expect(got).toEqual([['1'], ['2']])
  })

  it.each([
    ['between two rows', '(1,1),(1,2),(3,3)', null],
    ['across the limit', '(1,1),(2,2),(2,3)', 2],
    ['across the limit, rows alike', '(1,1),(2,2),(2,2)', 2],
    ['of NULLs', '(1,1),(NULL,2),(NULL,3)', null],
    ['of the two zeros', `(0::DOUBLE,1),('-0'::DOUBLE,2)`, null],
  ])('%s', async (_name, values, limit) => {
    await expect(run(rows(values), [integer(1)], check(limit))).rejects.toThrow(/tie/)
  })

  it('of rows that are the same to the last byte are no choice', async () => {
    const got = await texts(await run(rows('(1,7),(1,7),(2,8)'), [integer(1)], check(null)))
    expect(got).toEqual([['7'], ['7'], ['8']])
  })

  it('are found across chunks', async () => {
    const sql = 'SELECT i, i FROM range(5000) t(i) UNION ALL SELECT 4999, 1'
    await expect(run(sql, [integer(1)], check(null))).rejects.toThrow(/tie/)
  })
})

describe('a client that limits the rows', () => {
  const numbers = (count: number): string => `SELECT i, i FROM range(${count}) t(i)`

  it('gets the whole result when it has no more', async () => {
    for (const count of [0, 1, 4999, 5000]) {
      expect(await texts(await run(numbers(count), [integer(1)], null, 5000))).toHaveLength(count)
    }
  })

  it('gets no rows of a longer one whose order is not settled', async () => {
    for (const [count, rowsMax] of [[2, 1], [5001, 5000]] as const) {
      const sql = numbers(count)
      await expect(run(sql, [integer(1)], null, rowsMax)).rejects.toThrow(/PostgreSQL's choice/)
      expect(released).toContain(sql)
    }
  })

  it('gets the first ones of a longer one in order', async () => {
    for (const limit of [null, 2, 9]) {
      const got = await texts(await run(numbers(5000), [integer(1)], { keysAt: [0], limit }, 3))
      expect(got).toEqual([['0'], ['1'], ['2']].slice(0, limit ?? 3))
    }
  })
})

describe('strings', () => {
  const text: OutputColumn = { name: 't', typeOid: oid(25), typmod: -1,
    value: { kind: 'plain', at: 0 } }

  it.each([
    ['in any order, some NULL, some short', `SELECT CASE WHEN i % 7 = 0 THEN NULL
        WHEN i % 5 = 0 THEN 's' || i ELSE repeat(chr(97 + i % 26), i % 90) || i END AS t
      FROM (SELECT unnest(list_sort(range(10000), 'DESC'))::INTEGER AS i) ORDER BY hash(i)`],
    ['from a dictionary', `SELECT t FROM (SELECT 'a string of the dictionary ' || (i % 9) AS t,
      i FROM range(5000) r(i)) ORDER BY hash(i)`],
    ['long ones, one of them repeated', `SELECT repeat('long', 300000 + (i % 3)::INTEGER)
      FROM range(7) r(i)`],
    ['a constant', `SELECT repeat('constant', 700000) FROM range(3)`],
    ['in lists', `SELECT [repeat('x', i::INTEGER), NULL, 'y'] FROM range(60) r(i)`],
  ])('%s', async (_name, sql) => {
    const isList = sql.includes('[')
    const output = isList ? { ...text, typeOid: oid(1009) } : text
    const reader = await duckdb.runAndReadAll(sql)
    const wanted = reader.getRowsJson().map(([value]) => isList
      ? `{${(value as (string | null)[]).map((v) => v === '' ? '""' : v ?? 'NULL').join(',')}}`
      : value)
    expect((await texts(await run(sql, [output]))).map(([value]) => value)).toEqual(wanted)
  })

  it('a row longer than a message may be is refused', async () => {
    await expect(run(`SELECT repeat('x', 40000000)`, [text])).rejects.toThrow(/too long/)
  })
})

describe('streams', () => {
  it('every row of many chunks, in order', async () => {
    const rows = await run('SELECT i FROM range(300000) t(i)', [integer(0)])
    const got = (await texts(rows)).map(([text]) => Number(text))
    expect(got).toHaveLength(300_000)
    expect(got.every((value, index) => value === index)).toBe(true)
  })

  it('an error far into the answer is columnar-failed, and the answer is released', async () => {
    const sql = `SELECT CASE WHEN i = 900000 THEN error('x') ELSE i END FROM range(1000000) t(i)`
    const rows = await run(sql, [integer(0)])
    await expect(texts(rows)).rejects.toMatchObject({ code: 'columnar-failed' })
    expect(released).toContain(sql)
  })

  it('an error in the first rows is an error of start', async () => {
    await expect(run(`SELECT CASE WHEN i = 900 THEN error('x') ELSE i END FROM range(5000) t(i)`,
      [integer(0)])).rejects.toThrow()
  })

  it('giving up releases the answer', async () => {
    const sql = 'SELECT i + 1 FROM range(1000000) t(i)'
    for await (const batch of (await run(sql, [integer(0)])).batches()) {
      expect(batch.rows).toBeGreaterThan(0)
      break
    }
    expect(released).toContain(sql)
  })
})
