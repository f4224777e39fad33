/**
 * Any order of changes, flushes, compactions, restarts and lost streams: the union read is
 * PostgreSQL's state at every LSN asked for, and after a flush the Delta tables are.
 */
import { rm } from 'node:fs/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { describeTable, ScriptedPostgres, type ScriptedTransaction, type Values }
  from './scripted-postgres.ts'
import { MirrorBench } from './mirror-bench.ts'

const TABLES = [
  describeTable(7001, 'one', [{ name: 'id', typeOid: 23 }, { name: 'big', typeOid: 25 },
    { name: 'n', typeOid: 20 }]),
  describeTable(7002, 'two', [{ name: 'a', typeOid: 25 }, { name: 'b', typeOid: 23 },
    { name: 'big', typeOid: 25 }], [2, 1]),
]

/** Two small files are worth a rewrite, and one with a third of its rows dead. */
const COMPACTION = { filesMin: 2, fileBytes: 100_000, fileRows: 1_000 }

type Op =
  | { readonly kind: 'insert' | 'update' | 'rekey' | 'delete'; readonly table: number
      readonly pick: number; readonly value: number; readonly toast: boolean }
  | { readonly kind: 'truncate'; readonly table: number }

type Step =
  | { readonly kind: 'commit'; readonly ops: readonly Op[] }
  | { readonly kind: 'read' | 'flush' | 'compact' | 'restart' | 'lose' }
  /** Not waited for: what follows runs beside it. */
  | { readonly kind: 'flush-beside' | 'compact-beside' }
  /** In the middle of it, at two places, there are changes; and perhaps a flush of them. */
  | { readonly kind: 'compact-amid'; readonly merged: Amidst; readonly indexing: Amidst }

interface Amidst { readonly ops: readonly Op[]; readonly isFlushed: boolean }

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 20, arbitrary: fc.record({
    kind: fc.constantFrom('insert' as const, 'insert' as const, 'update' as const,
      'update' as const, 'rekey' as const, 'delete' as const),
    table: fc.nat(1), pick: fc.nat(1000), value: fc.nat(40), toast: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const),
    table: fc.nat(1) }) })

const amidst: fc.Arbitrary<Amidst> = fc.record({
  ops: fc.array(op, { maxLength: 6 }), isFlushed: fc.boolean() })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: fc.record({ kind: fc.constant('commit' as const),
    ops: fc.array(op, { minLength: 1, maxLength: 8 }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('read' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('compact-amid' as const),
    merged: amidst, indexing: amidst }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'lose' as const,
    'flush-beside' as const, 'flush-beside' as const, 'restart' as const, 'compact' as const,
    'compact-beside' as const, 'compact-beside' as const) }) })

function newRow(table: number, value: number, serial: number): Values {
  return table === 0
    ? [String(value), `big${serial}`.repeat(3), serial % 3 === 0 ? null : String(serial)]
    : [`k${value}`, String(value % 5), serial % 4 === 0 ? null : `t${serial}`]
}

function keyText(table: number, row: Values): string {
  return table === 0 ? JSON.stringify([row[0]]) : JSON.stringify([row[1], row[0]])
}

let serial = 0

function apply(server: ScriptedPostgres, transaction: ScriptedTransaction, change: Op): void {
  const relid = TABLES[change.table]?.relid ?? 0
  if (change.kind === 'truncate') { transaction.truncate(relid); return }
  const rows = server.tables.get(relid)?.rows ?? new Map<string, Values>()
  const fresh = newRow(change.table, change.value, ++serial)
  const taken = rows.has(keyText(change.table, fresh))
  const existing = [...rows.values()][change.pick % Math.max(rows.size, 1)]
  if (change.kind === 'insert') {
    if (!taken) transaction.insert(relid, fresh)
    return
  }
  if (existing === undefined) return
  if (change.kind === 'delete') { transaction.delete(relid, existing); return }
  const bigAt = change.table === 0 ? 1 : 2
  const next = change.kind === 'update'
    ? existing.map((value, at) =>
        (change.table === 0 ? at === 0 : at < 2) ? value : fresh[at] ?? null)
    : fresh.slice()
  if (change.kind === 'rekey' && taken) return
  const toast = change.toast && existing[bigAt] !== null
  if (toast) next[bigAt] = existing[bigAt] ?? null
  transaction.update(relid, existing, next, toast ? [bigAt] : [])
}

function model(server: ScriptedPostgres, table: number): string[] {
  return [...server.tables.get(TABLES[table]?.relid ?? 0)?.rows.values() ?? []]
    .map((row) => JSON.stringify(row.map(String))).sort()
}

async function checkRead(bench: MirrorBench, server: ScriptedPostgres): Promise<void> {
  const expected = [model(server, 0), model(server, 1)]
  const lsn = server.lsn
  expect(await bench.rows(7001, [1, 2, 3], lsn)).toEqual(expected[0])
  expect(await bench.rows(7002, [1, 2, 3], lsn)).toEqual(expected[1])
}

async function run(steps: readonly Step[]): Promise<void> {
  const server = new ScriptedPostgres()
  for (const table of TABLES) server.create(table, { announce: false })
  for (let id = 0; id < 6; id++) {
    const key = String(100 + id)
    server.tables.get(7001)?.rows.set(JSON.stringify([key]), [key, 'old', '1'])
  }
  const directory = await MirrorBench.folder()
  let bench = await MirrorBench.start(directory, server, { compaction: COMPACTION })
  try {
    for (const { relid } of TABLES) await bench.ready(relid)
    let beside: Promise<unknown> = Promise.resolve()
    for (const each of steps) {
      switch (each.kind) {
        case 'commit':
          server.commit((t) => { for (const change of each.ops) apply(server, t, change) })
          break
        case 'read': await checkRead(bench, server); break
        case 'flush-beside': beside = Promise.all([beside, bench.mirror.flush()]); break
        case 'compact-beside': beside = Promise.all([beside, bench.mirror.compact()]); break
        case 'compact-amid': {
          await beside
          const during = (amid: Amidst) => async (): Promise<void> => {
            server.commit((t) => { for (const change of amid.ops) apply(server, t, change) })
            await checkRead(bench, server)
            if (amid.isFlushed) await bench.mirror.flush()
          }
          bench.amid.merged = during(each.merged)
          bench.amid.indexing = during(each.indexing)
          await bench.mirror.compact()
          delete bench.amid.merged
          delete bench.amid.indexing
          await checkRead(bench, server)
          break
        }
        case 'compact':
          await bench.mirror.compact()
          await checkRead(bench, server)
          break
        case 'lose': server.loseStream(); break
        case 'flush': {
          await checkRead(bench, server)
          await bench.mirror.flush()
          expect(await bench.lakeRows('one', 'id, big, n')).toEqual(model(server, 0))
          expect(await bench.lakeRows('two', 'a, b, big')).toEqual(model(server, 1))
          break
        }
        case 'restart':
          await beside
          await bench.stop()
          bench = await MirrorBench.start(directory, server, { compaction: COMPACTION })
          for (const { relid } of TABLES) await bench.ready(relid)
          break
      }
    }
    await beside
    await checkRead(bench, server)
    await bench.mirror.flush()
    expect(await bench.lakeRows('one', 'id, big, n')).toEqual(model(server, 0))
    expect(await bench.lakeRows('two', 'a, b, big')).toEqual(model(server, 1))
    expect(bench.mirror.status().map((row) => [row.state, row.rows]))
      .toEqual(TABLES.map((_, at) => ['ready', model(server, at).length]))
  } finally {
    await bench.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

test('the mirror is PostgreSQL, whatever happens in whatever order', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), run),
    { numRuns: Number(process.env.PROP_RUNS ?? 12), endOnFailure: false })
}, 300_000)
