/**
 * The Delta project's own golden tables (../shared/golden, where the project is developed):
 * every one is opened at every version and its rows are read, or it is refused as listed here.
 * Rows are those of `expected/`, value by value in every column.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonRows } from '../../src/delta/json-rows.ts'
import type { ReadFile } from '../../src/delta/parquet-reader.ts'
import type { DataType, StructField } from '../../src/delta/schema.ts'
import { scanTable } from '../../src/delta/table-scan.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { version } from '../../src/delta/version.ts'
import { DuckDbParquetReader } from '../../src/olap/duckdb-parquet-reader.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

const GOLDEN = resolve('../shared/golden')

/** This list can only shrink: what we cannot read yet, and what is damaged on purpose. */
const REFUSED: Readonly<Record<string, string>> = {
  'deltalog-invalid-protocol-version': 'delta-unsupported: reader version 99',
  'deltalog-state-reconstruction-from-checkpoint-missing-protocol':
    'delta-corrupt: no protocol action',
  'deltalog-state-reconstruction-without-protocol': 'delta-corrupt: no protocol action',
  'table-with-geo': 'delta-unsupported: geospatial',
}
/** Logs whose data files were never part of the test data. */
const LOG_ONLY: ReadonlySet<string> = new Set(['checkpoint', 'app-txn-with-last-updated',
  'delete-re-add-same-file-different-transactions', 'log-replay-special-characters-b',
  'with_checkpoint_no_last_checkpoint', 'deltalog-commit-info', 'update-deleted-directory'])

/**
 * Partition values without a zone (`2021-09-08 11:11:11`): the log does not say whose time it is.
 * We read UTC, as delta-rs does; Spark takes its session's zone, here America/Los_Angeles.
 */
const LOCAL_TIMES: Readonly<Record<string, readonly [string, string]>> = {
  'data-reader-partition-values': ['T18:11:11', 'T11:11:11'],
}

interface Golden { readonly name: string; readonly archive: string }

function archives(): readonly Golden[] {
  if (!existsSync(GOLDEN)) return []
  return ['delta', 'delta-kernel'].flatMap((folder) => readdirSync(join(GOLDEN, folder))
    .filter((name) => name.endsWith('.tar.gz'))
    .map((name) => ({ name: name.slice(0, -'.tar.gz'.length),
      archive: join(GOLDEN, folder, name) })))
}

/** Folders with a log, not looking into what was expected of them. */
function tablesIn(folder: string): readonly string[] {
  const inside = readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory())
  if (inside.some((one) => one.name === '_delta_log')) return [folder]
  return inside.filter((one) => one.name !== 'expected')
    .flatMap((one) => tablesIn(join(folder, one.name)))
}

type Batches = ReturnType<typeof scanTable>

/** One text a row, sorted: tables have no order of their own. */
async function rowsOf(batches: Batches): Promise<readonly string[]> {
  const rows: string[] = []
  for await (const batch of batches) for (const row of jsonRows(batch)) rows.push(row)
  return rows.sort()
}

/** Plain Parquet files with the table's logical names, written by Spark. */
function expectedRows(reader: DuckDbParquetReader, folder: string, fields: readonly StructField[])
  : Batches {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet'))
    .map((name): ReadFile => ({ path: join(folder, name), constants: new Map(),
      rows: { kind: 'all' } }))
  return reader.read({ files, mapping: 'none', predicate: null, columns: fields.map(unmapped) })
}

function unmapped(field: StructField): StructField {
  return { ...field, type: unmappedType(field.type), metadata: {} }
}

function unmappedType(type: DataType): DataType {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct': return { ...type, fields: type.fields.map(unmapped) }
    case 'array': return { ...type, elementType: unmappedType(type.elementType) }
    case 'map': return { ...type, keyType: unmappedType(type.keyType),
      valueType: unmappedType(type.valueType) }
  }
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
