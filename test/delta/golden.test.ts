/**
 * The golden tables: every one is opened at every version and its rows are read, or it is refused
 * as test/support/golden.ts lists. Rows are those of `expected/`, value by value in every column;
 * tables without one are held against Spark and delta-rs in test/e2e/golden-readers.test.ts.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scanTable } from '../../src/delta/table-scan.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { version } from '../../src/delta/version.ts'
import { DuckDbParquetReader } from '../../src/olap/duckdb-parquet-reader.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { archives, expectedRows, GOLDEN, LOG_ONLY, REFUSED, rowsOf, tablesIn }
  from '../support/golden.ts'

/**
 * Partition values without a zone (`2021-09-08 11:11:11`): the log does not say whose time it is.
 * We read UTC, as delta-rs does; Spark takes its session's zone, here America/Los_Angeles.
 */
const LOCAL_TIMES: Readonly<Record<string, readonly [string, string]>> = {
  'data-reader-partition-values': ['T18:11:11', 'T11:11:11'],
}

if (!existsSync(GOLDEN)) process.stdout.write(`skipped: golden tables: no ${GOLDEN}\n`)

describe.runIf(existsSync(GOLDEN))('golden tables', () => {
  let folder: string
  let lab: DeltaLab
  let reader: DuckDbParquetReader
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'slipway golden '))
    lab = await DeltaLab.open([folder])
    reader = new DuckDbParquetReader(lab.duckdb)
  })
  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  it.each(archives())('$name', async ({ name, archive }) => {
    const place = mkdtempSync(join(folder, 'table '))
    execFileSync('tar', ['xzf', archive, '-C', place])
    for (const root of tablesIn(place)) {
      const storage = new LocalStorage({ root })
      const refusal = REFUSED[name]
      if (refusal !== undefined) {
        const [code = '', words = ''] = refusal.split(': ')
        await expect(DeltaTable.open({ storage })).rejects.toMatchObject({ code,
          message: expect.stringContaining(words) as string })
        continue
      }
      const table = await DeltaTable.open({ storage })
      for (let at = 0; at <= table.snapshot.version; at++) {
        expect((await table.at(version(at))).version).toBe(at)
      }
      const found = rowsOf(scanTable(table.snapshot, { storage, reader }))
      if (LOG_ONLY.has(name)) {
        await expect(found).rejects.toMatchObject({ code: 'delta-corrupt',
          message: expect.stringContaining('is missing') as string })
        continue
      }
      const rows = await found
      const expected = join(root, '..', 'expected')
      if (!existsSync(join(expected, '_SUCCESS'))) continue
      const [local, utc] = LOCAL_TIMES[name] ?? ['', '']
      const wanted = await rowsOf(expectedRows(reader, expected, table.snapshot.schema.fields))
      expect(rows).toEqual(wanted.map((row) => row.replace(local, utc)))
    }
  })
})
