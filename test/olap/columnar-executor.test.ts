/** The executor over a real DuckDB: CE1 to CE5, union reads, connections given back. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lsnFromBigint } from '../../src/base/lsn.ts'
import { rowPosition, type LakeFile } from '../../src/mirror/epoch.ts'
import type { ColumnarAnswer, ExecuteRequest } from '../../src/olap/columnar-executor.ts'
import type { PrunePredicate } from '../../src/router/plan.ts'
import { column, OlapBench, tableSchema } from './olap-bench.ts'

const INT = { kind: 'int4' } as const
const TEXT = { kind: 'text' } as const
const SCHEMA = tableSchema(7001, [column(1, INT), column(2, TEXT)])
const ENDLESS = 'SELECT i, md5(i::VARCHAR) FROM range(1000000000000) t(i)'
/** No row until it is done, which it never is. */
const SILENT = 'SELECT count(*) FROM range(100000000) a(i), range(100000000) b(j) WHERE i + j = 7'

let bench: OlapBench

beforeEach(async () => { bench = await OlapBench.open({ concurrency: 1, queueMax: 0 }) })
afterEach(async () => { await bench[Symbol.asyncDispose]() })

function execute(parts: ExecuteRequest['parts'], options: Partial<ExecuteRequest> = {},
  on = bench): Promise<ColumnarAnswer> {
  return on.executor.execute({ parts, timeZone: 'UTC', readLsn: on.lsn, maxStalenessMs: null,
    timeoutMs: 5000, signal: new AbortController().signal, ...options })
}

async function taken(answer: ColumnarAnswer): Promise<string[]> {
  const rows: string[] = []
  for await (const chunk of answer.chunks) {
    for (const row of chunk.getRows()) rows.push(row.map(String).join('|'))
  }
  return rows
}

async function rowsOf(parts: ExecuteRequest['parts'], on = bench): Promise<string[]> {
  await using answer = await execute(parts, {}, on)
  return (await taken(answer)).sort()
}

function read(columns: readonly number[], prune: readonly PrunePredicate[] = [])
  : ExecuteRequest['parts'] {
  const list = columns.length === 0 ? 'count(*)' : columns.map((at) => `c${at}`).join(', ')
  return [`SELECT ${list} FROM `, { relid: SCHEMA.relid, columns, prune }, ' t']
}

/** The only connection is free: with no queue, anything else is refused. */
async function expectConnectionBack(): Promise<void> {
  expect(await rowsOf(['SELECT 42'])).toEqual(['42'])
}

describe('an answer given up', () => {
  it('stops midway when its signal aborts, with the signal\'s reason', async () => {
    const stop = new AbortController()
    const answer = await execute([ENDLESS], { signal: stop.signal })
    let chunks = 0
    const reading = (async () => {
      for await (const { rowCount } of answer.chunks) {
        expect(rowCount).toBeGreaterThan(0)
        if (++chunks === 3) stop.abort(new Error('given up'))
      }
    })()
    await expect(reading).rejects.toThrow('given up')
    expect(chunks).toBe(3)
    await expectConnectionBack()
  })

  it.each(['at once', 'next turn', 0, 1, 2, 4, 8, 30] as const)(
    'stops before its first row when its signal aborts (%s)', async (when) => {
      const stop = new AbortController()
      const abort = (): void => { stop.abort(new Error('given up')) }
      const running = execute([SILENT], { signal: stop.signal }).then(taken)
      if (when === 'at once') abort()
      else if (when === 'next turn') setImmediate(abort)
      else setTimeout(abort, when)
      await expect(running).rejects.toThrow('given up')
      await expectConnectionBack()
    }, 20_000)

  it('gives its connection back when it is left before its end', async () => {
    for await (const chunk of (await execute([ENDLESS])).chunks) {
      expect(chunk.rowCount).toBeGreaterThan(0)
      break
    }
    await expectConnectionBack()
  })

  it('gives its connection back, once, when it is disposed of unread', async () => {
    const answer = await execute([ENDLESS])
    await Promise.all([answer[Symbol.asyncDispose](), answer[Symbol.asyncDispose]()])
    await answer[Symbol.asyncDispose]()
    await using held = await execute(['SELECT 1'])
    await expect(execute(['SELECT 2'])).rejects.toMatchObject({ code: 'engine-unreachable' })
    expect(await taken(held)).toEqual(['1'])
  })

  it('leaves no transaction open: the next reader sees what was committed since', async () => {
    await bench.publish(SCHEMA, [], [[1, 'old']])
    const answer = await execute(read([1, 2]))
    await answer[Symbol.asyncDispose]()
    await bench.publish(SCHEMA, [], [[1, 'new']])
    expect(await rowsOf(read([1, 2]))).toEqual(['1|new'])
  })
})

describe('a failing statement', () => {
  it.each([5_000, 500_000, 999_999])('throws at row %i and never ends early', async (at) => {
    const reading = execute([
      `SELECT CASE WHEN i = ${at} THEN error('late') ELSE i END FROM range(1000000) t(i)`,
    ]).then(taken)
    await expect(reading).rejects.toThrow()
    await expectConnectionBack()
  })

  it('throws when it fails over the mirror in a late row', async () => {
    const rows = Array.from({ length: 60_000 }, (_, at) => [at, 'x'])
    await bench.publish(SCHEMA, [await bench.file(SCHEMA, rows)], [[60_000, 'tail']])
    const relation = { relid: SCHEMA.relid, columns: [1], prune: [] }
    const failing = execute(['SELECT CASE WHEN c1 = 60000 THEN error(\'late\') ELSE c1 END FROM ',
      relation, ' t']).then(taken)
    await expect(failing).rejects.toThrow()
    expect(await rowsOf(['SELECT count(*) FROM ', relation, ' t'])).toEqual(['60001'])
  })

  it('gives its connection back when it does not even bind', async () => {
    await expect(execute(['SELECT nothing_of_the_kind'])).rejects.toThrow()
    await expectConnectionBack()
  })

  it('names a table that is not mirrored, or has lost a column', async () => {
    await expect(execute(read([1]))).rejects.toMatchObject({ code: 'table-not-mirrored' })
    await bench.publish(SCHEMA, [])
    await expect(execute(read([1, 9]))).rejects.toMatchObject({ code: 'not-columnar' })
    expect(await rowsOf(read([]))).toEqual(['0'])
  })
})

describe('turns and freshness', () => {
  it('refuses who comes when the queue is full; the first in it goes next', async () => {
    await using small = await OlapBench.open({ concurrency: 1, queueMax: 2 })
    const held = await execute(['SELECT 1'], {}, small)
    const stop = new AbortController()
    const gone = execute(['SELECT 2'], { signal: stop.signal }, small)
    const second = execute(['SELECT 3'], {}, small)
    await expect(execute(['SELECT 4'], {}, small)).rejects
      .toMatchObject({ code: 'engine-unreachable' })
    stop.abort(new Error('tired of waiting'))
    await expect(gone).rejects.toThrow('tired of waiting')
    await held[Symbol.asyncDispose]()
    expect(await taken(await second)).toEqual(['3'])
    expect(await rowsOf(['SELECT 5'], small)).toEqual(['5'])
  })

  it('waits for the LSN, and says when it does not come in time', async () => {
    await bench.publish(SCHEMA, [], [[1, 'a']])
    const readLsn = lsnFromBigint(bench.lsn + 10n)
    await expect(execute(read([1]), { readLsn, timeoutMs: 30 })).rejects
      .toMatchObject({ code: 'freshness-timeout' })
    const waiting = execute(read([2]), { readLsn })
    await bench.publish(SCHEMA, [], [[1, 'b']])
    await using answer = await waiting
    expect(answer.readLsn).toBe(readLsn)
    expect(await taken(answer)).toEqual(['b'])
  })

  it('answers at once with what it has when that is fresh enough', async () => {
    await bench.publish(SCHEMA, [], [[1, 'a']])
    await using answer = await execute(read([2]),
      { readLsn: lsnFromBigint(bench.lsn + 10n), maxStalenessMs: 60_000, timeoutMs: 1 })
    expect(answer.readLsn).toBe(bench.lsn)
    expect(await taken(answer)).toEqual(['a'])
  })

  it('sets each statement\'s own time zone on a used connection', async () => {
    const hour = ['SELECT extract(hour FROM TIMESTAMPTZ \'2024-01-01 00:00:00+00\')']
    for (const [timeZone, expected] of [['Asia/Tokyo', '9'], ['UTC', '0'], ['Asia/Tokyo', '9']]) {
      await using answer = await execute(hour, { timeZone: timeZone! })
      expect(await taken(answer)).toEqual([expected])
    }
  })
})

describe('a union read', () => {
  it('shows each reader the files and rows of its own epoch', async () => {
    await using wide = await OlapBench.open({ concurrency: 2, queueMax: 0 })
    const many = Array.from({ length: 150_000 }, (_, at) => [at, 'old'])
    const before = await wide.publish(SCHEMA, [await wide.file(SCHEMA, many)], [[-1, 'old']])
    const early = await execute(read([1, 2]), {}, wide)
    await wide.publish(SCHEMA, [await wide.file(SCHEMA, [[1, 'new']])], [[2, 'new']])
    await wide.store.begin()
    await wide.store.drop({ live: before.liveName, dead: before.deadName })
    await wide.store.commit(wide.lsn, null)
    expect(await rowsOf(read([1, 2]), wide)).toEqual(['1|new', '2|new'])
    const rows = await taken(early)
    expect(rows.length).toBe(150_001)
    expect(rows.every((row) => row.endsWith('|old'))).toBe(true)
  })

  it('leaves out dead rows of dirty files, wherever those stand among the files', async () => {
    const last = 2 ** 20 - 1
    const files: LakeFile[] = []
    for (const { base, ...options } of [
      { fileNo: 9, hasDead: true, base: 0 }, { fileNo: 3, hasDead: false, base: 10 },
      { fileNo: last, hasDead: true, base: 20 }, { fileNo: 4, hasDead: true, base: 30 },
    ]) files.push(await bench.file(SCHEMA, [0, 1, 2].map((at) => [base + at, 'f']), options))
    const dead = [rowPosition(9, 0), rowPosition(last, 1), rowPosition(4, 2), rowPosition(4, 0)]
    await bench.publish(SCHEMA, files, [[99, 'tail']], dead)
    const alive = ['1', '10', '11', '12', '2', '20', '22', '31', '99']
    expect(await rowsOf(read([1]))).toEqual(alive)
    expect(await rowsOf(read([]))).toEqual([String(alive.length)])
    // The first dirty file is pruned: the others' places in the list move.
    await using answer = await execute(read([1], [{ attnum: 1, op: '>=', value: 11 }]))
    expect((await taken(answer)).sort()).toEqual(alive.filter((row) => !['1', '2'].includes(row)))
    expect(answer.scan).toMatchObject({ filesRead: 3, filesPruned: 1 })
  })

  it('reads a column added later as NULL from older files', async () => {
    const old = await bench.file(tableSchema(7001, [column(1, INT)]), [[1], [2]])
    await bench.publish(SCHEMA, [old, await bench.file(SCHEMA, [[3, 'c']])], [[4, 'd']])
    expect(await rowsOf(read([1, 2]))).toEqual(['1|null', '2|null', '3|c', '4|d'])
    expect(await rowsOf(read([2]))).toEqual(['c', 'd', 'null', 'null'])
    // What has no bounds is not left out by them.
    await using answer = await execute(read([2], [{ attnum: 2, op: '=', value: 'zz' }]))
    expect(answer.scan).toMatchObject({ filesRead: 1, filesPruned: 1 })
  })

  it('reads renamed columns by attnum, also when two have swapped their names', async () => {
    const named = (a: string, b: string): typeof SCHEMA =>
      tableSchema(7001, [column(1, TEXT, a), column(2, TEXT, b)])
    await bench.publish(named('Ä "q"', 'b'), [
      await bench.file(named('a', 'b'), [['a1', 'b1']]),
      await bench.file(named('b', 'a'), [['a2', 'b2']]),
      await bench.file(named('Ä "q"', 'b'), [['a3', 'b3']]),
    ], [['a4', 'b4']])
    expect(await rowsOf(read([1, 2]))).toEqual(['a1|b1', 'a2|b2', 'a3|b3', 'a4|b4'])
    expect(await rowsOf(read([2]))).toEqual(['b1', 'b2', 'b3', 'b4'])
  })
})
