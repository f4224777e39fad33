/**
 * FP1 and FB1, from end to end: values written by DuckDB, bounds from DuckDB's own statistics,
 * predicates as the router makes them of PostgreSQL's constants. A file with a matching row is
 * always read, and files are left out at all.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mayMatch } from '../../src/olap/file-pruning.ts'
import { parquetSource } from '../../src/olap/parquet-source.ts'
import { ExpressionTranslator } from '../../src/router/expression.ts'
import type { PrunePredicate } from '../../src/router/plan.ts'
import { collectPrune } from '../../src/router/prune.ts'
import { childScope, Translation } from '../../src/router/scope.ts'
import type { LakeFile } from '../../src/mirror/epoch.ts'
import type { TableSchema } from '../../src/mirror/table-schema.ts'
import { column, OlapBench, tableSchema } from './olap-bench.ts'
import { COLUMNS, fromWhere, OPS, type Condition, type PrunedColumn, type Value }
  from './pruned-column.ts'

let bench: OlapBench
beforeAll(async () => { bench = await OlapBench.open() })
afterAll(async () => { await bench[Symbol.asyncDispose]() })

interface Case {
  readonly files: readonly (readonly (Value | null)[])[]
  readonly wheres: readonly (readonly Condition[])[]
}

function cases({ value }: PrunedColumn): fc.Arbitrary<Case> {
  const rows = fc.array(fc.oneof({ weight: 9, arbitrary: value },
    { weight: 1, arbitrary: fc.constant(null) }), { minLength: 1, maxLength: 4 })
  return fc.array(rows, { minLength: 2, maxLength: 4 }).chain((files) => {
    const known = files.flat().filter((each) => each !== null)
    // Constants on the very bounds find what is off by one.
    const constant = known.length === 0 ? value
      : fc.oneof(value, fc.constantFrom(...known))
    const condition = fc.record({ op: fc.nat(OPS.length - 1), value: constant })
    return fc.record({ files: fc.constant(files), wheres: fc.array(
      fc.array(condition, { minLength: 1, maxLength: 2 }), { minLength: 8, maxLength: 16 }) })
  })
}

/** What the router makes of the WHERE: SQL over `t1`, and predicates. */
function routed(each: PrunedColumn, schema: TableSchema, where: readonly Condition[])
  : { readonly sql: string; readonly prune: readonly PrunePredicate[] } {
  const translation = new Translation({ parameters: [], table: () => schema,
    context: { timeZone: 'UTC', transactionTimeUs: 0n, serverVersion: 18,
      collation: { binaryOrder: true, unicodeCase: true } } })
  const use = translation.relation(schema.relid)
  const expressions = new ExpressionTranslator(translation)
  const tree = fromWhere(each, where)
  const scope = childScope(null, tree)
  scope.sources.push({ kind: 'relation', alias: 't1', use })
  collectPrune(tree, scope, expressions)
  return { sql: expressions.condition(tree.node('quals'), scope), prune: use.prune }
}

/** For each condition: how many rows of the file meet it. */
async function matches(file: LakeFile, schema: TableSchema, conditions: readonly string[])
  : Promise<readonly number[]> {
  const connection = await bench.duckdb.connect()
  try {
    const counts = conditions.map((condition) => `count(*) FILTER (WHERE ${condition})`)
    const result = await connection.runAndReadAll(`SELECT ${counts.join(', ')} FROM `
      + `${parquetSource([file.path], schema.columns)} t1`)
    return result.getRows()[0]!.map(Number)
  } finally {
    connection.closeSync()
  }
}

describe.each(COLUMNS.map((each) => [each.name, each] as const))('%s', (_, each) => {
  it('leaves out no file that holds a matching row, and some that hold none', async () => {
    // A name that statistics must quote.
    const schema = tableSchema(7001, [column(1, each.mirror, 'a"b.c',
      { oid: each.typeOid, typmod: each.typmod })])
    let pruned = 0
    await fc.assert(fc.asyncProperty(cases(each), async ({ files, wheres }) => {
      const conditions = wheres.map((where) => routed(each, schema, where))
      for (const [at, where] of wheres.entries()) {
        expect(conditions[at]!.prune).toHaveLength(each.prunes ? where.length : 0)
      }
      for (const rows of files) {
        const file = await bench.file(schema, rows.map((value) => [value]))
        const counts = await matches(file, schema, conditions.map(({ sql }) => sql))
        conditions.forEach(({ prune }, at) => {
          if (mayMatch(file, prune, () => each.mirror)) return
          pruned++
          expect(counts[at], 'matching rows in a file that is left out').toBe(0)
        })
      }
    }), { numRuns: Number(process.env.PROP_RUNS ?? 6) })
    if (each.prunes) expect(pruned).toBeGreaterThan(0)
    else expect(pruned).toBe(0)
  })
})
