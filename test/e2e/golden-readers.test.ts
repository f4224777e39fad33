/**
 * Golden tables that come without their rows: ours are those that Spark and delta-rs read, value
 * by value. Each engine writes what it reads as plain Parquet.
 */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { scanTable } from '../../src/delta/table-scan.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { DuckDbParquetReader } from '../../src/olap/duckdb-parquet-reader.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { PYTHON } from '../support/cache.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { archives, expectedRows, GOLDEN, LOG_ONLY, REFUSED, rowsOf, tablesIn }
  from '../support/golden.ts'
import { sparkSql } from '../support/readers.ts'
import { describeWith } from '../support/requires.ts'

/** Every table in one process; what it cannot read it says, and goes on. */
const DELTA_RS = `
import json, os, sys
import deltalake, pyarrow as pa, pyarrow.parquet as pq
told = {}
for path, out in json.loads(sys.argv[1]):
    try:
        table = deltalake.DeltaTable(path)
        result = pa.table(deltalake.QueryBuilder().register('t', table).execute('select * from t'))
        os.makedirs(out)
        pq.write_table(result, os.path.join(out, 'rows.parquet'))
        told[path] = None
    except Exception as error:
        told[path] = f'{type(error).__name__}: {str(error)[:300]}'
print(json.dumps(told))
`

/** What the other engine refuses; this list can only shrink. */
const REFUSED_BY_SPARK: Readonly<Record<string, RegExp>> = {
  'cdf-column-mapping-name-mode-3-7': /FAILED_READ_FILE/,
  'timestamp-partitioned-table': /URISyntaxException/,
}
const REFUSED_BY_DELTA_RS: Readonly<Record<string, RegExp>> = {
  'canonicalized-paths-special-a': /not found/,
}

interface Case { readonly name: string; readonly root: string; readonly out: string }

describeWith(['python', 'jars'], 'golden tables without expected rows', () => {
  let folder: string
  let lab: DeltaLab
  let reader: DuckDbParquetReader
  let cases: readonly Case[]
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'slipway-golden-'))
    lab = await DeltaLab.open([folder])
    reader = new DuckDbParquetReader(lab.duckdb)
    cases = archives().filter(({ name }) => REFUSED[name] === undefined && !LOG_ONLY.has(name))
      .flatMap(({ name, archive }) => {
        const place = mkdtempSync(join(folder, 'table-'))
        execFileSync('tar', ['xzf', archive, '-C', place])
        return tablesIn(place).filter((root) =>
          !existsSync(join(root, '..', 'expected', '_SUCCESS')))
          .map((root, at) => ({ name, root, out: join(place, `rows-${at}`) }))
      })
  })
  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  async function ours({ root }: Case): Promise<readonly string[]> {
    const storage = new LocalStorage({ root })
    const table = await DeltaTable.open({ storage })
    return await rowsOf(scanTable(table.snapshot, { storage, reader }))
  }

  async function theirs({ root, out }: Case, engine: string): Promise<readonly string[]> {
    const { fields } = (await DeltaTable.open({ storage: new LocalStorage({ root }) }))
      .snapshot.schema
    return await rowsOf(expectedRows(reader, `${out}-${engine}`, fields))
  }

  it('there are some', () => {
    if (existsSync(GOLDEN)) expect(cases.length).toBeGreaterThan(30)
  })

  it('Spark reads the same rows', async () => {
    for (const one of cases) {
      const written = sparkSql(inject('readers'), `INSERT OVERWRITE DIRECTORY '${one.out}-spark' `
        + `USING parquet SELECT * FROM delta.\`${one.root}\``)
      const refusal = REFUSED_BY_SPARK[one.name]
      if (refusal !== undefined) {
        await expect(written, one.name).rejects.toThrow(refusal)
        continue
      }
      await written
      expect(await theirs(one, 'spark'), one.name).toEqual(await ours(one))
    }
  })

  it('delta-rs reads the same rows', async () => {
    const { stdout } = await promisify(execFile)(PYTHON, ['-c', DELTA_RS,
      JSON.stringify(cases.map(({ root, out }) => [root, `${out}-delta-rs`]))])
    const told = JSON.parse(stdout) as Record<string, string | null>
    for (const one of cases) {
      const refusal = REFUSED_BY_DELTA_RS[one.name]
      if (refusal !== undefined) {
        expect(told[one.root], one.name).toMatch(refusal)
        continue
      }
      expect(told[one.root], one.name).toBeNull()
      expect(await theirs(one, 'delta-rs'), one.name).toEqual(await ours(one))
    }
  })
})
