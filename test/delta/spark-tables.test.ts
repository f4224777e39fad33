/**
 * Tables that Spark wrote (test/support/spark-tables.py), with Spark's own rows of every version
 * and of the change feed: ours are the same, value by value.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync,
  writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tableChanges } from '../../src/delta/changes.ts'
import { jsonRows } from '../../src/delta/json-rows.ts'
import { scanTable } from '../../src/delta/table-scan.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { version } from '../../src/delta/version.ts'
import { OwnParquetReader } from '../../src/olap/own-parquet.ts'
import { LocalStorage } from '../../src/storage/local.ts'

const ARCHIVES = join(import.meta.dirname, 'spark')

interface Expected {
  /** By version; one text a row, sorted. */
  readonly versions: Readonly<Record<string, readonly string[]>>
  /** Without `_commit_timestamp`. */
  readonly changes: { readonly from: number; readonly rows: readonly string[] } | null
  /** Milliseconds, and the rows AS OF then; null: Spark has none for that time. */
  readonly times?: readonly (readonly [number, readonly string[] | null])[]
}

/** Where the script's folder was when it packed a table. */
const PACKED = '/spark-tables'

/** Unpacks an archive; a clone's absolute paths lead to its source again. */
function unpack(archive: string, place: string): Expected {
  execFileSync('tar', ['xzf', join(ARCHIVES, archive), '-C', place])
  const log = join(place, 'table', '_delta_log')
  for (const name of existsSync(join(place, 'source')) ? readdirSync(log) : []) {
    if (!name.endsWith('.json')) continue
    const file = join(log, name)
    const { atime, mtime } = statSync(file)
    const source = new RegExp(`file:${PACKED}/[^/]+/source`, 'g')
    writeFileSync(file, readFileSync(file, 'utf8')
      .replaceAll(source, pathToFileURL(join(place, 'source')).href))
    utimesSync(file, atime, mtime)
  }
  return JSON.parse(readFileSync(join(place, 'expected.json'), 'utf8')) as Expected
}

/** A map's entries have no order; all else stays as it is, -0.0 too. */
function canonical(rows: readonly string[]): readonly string[] {
  const inOrder = (value: unknown): unknown => {
    if (Object.is(value, -0)) return '-0.0'
    if (Array.isArray(value)) return value.map(inOrder)
    return typeof value !== 'object' || value === null ? value
      : Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1)
        .map(([name, member]) => [name, inOrder(member)]))
  }
  return rows.map((row) => JSON.stringify(inOrder(JSON.parse(row)))).sort()
}

async function rowsOf(batches: ReturnType<typeof scanTable>): Promise<readonly string[]> {
  const rows: string[] = []
  for await (const batch of batches) rows.push(...jsonRows(batch))
  return canonical(rows)
}

describe('tables that Spark wrote', () => {
  let folder: string
  let reader: OwnParquetReader
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'slipway spark '))
    reader = await OwnParquetReader.open({ folders: [folder], threads: 1 })
  })
  afterAll(async () => {
    await reader[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  it.each(readdirSync(ARCHIVES))('%s', async (archive) => {
    const place = mkdtempSync(join(folder, 'table '))
    const expected = unpack(archive, place)
    const storage = new LocalStorage({ root: join(place, 'table'),
      allowedFolders: [join(place, 'source')] })
    const table = await DeltaTable.open({ storage })
    expect(Object.keys(expected.versions)).toHaveLength(table.snapshot.version + 1)
    for (const [at, rows] of Object.entries(expected.versions)) {
      const snapshot = await table.at(version(Number(at)))
      expect(await rowsOf(scanTable(snapshot, { storage, reader }))).toEqual(canonical(rows))
    }
    for (const [at, rows] of expected.times ?? []) {
      const snapshot = table.atTimestamp(at)
      if (rows === null) await expect(snapshot).rejects.toMatchObject({ code: 'not-found' })
      else expect(await rowsOf(scanTable(await snapshot, { storage, reader }))).toEqual(rows)
    }
    if (expected.changes === null) return
    const columns = [...table.snapshot.schema.fields.map((field) => field.name), '_change_type',
      '_commit_version']
    expect(await rowsOf(tableChanges(table,
      { reader, columns, from: version(expected.changes.from) })))
      .toEqual(canonical(expected.changes.rows))
  })
  it('a clone whose source is not allowed is refused by the folder that it needs', async () => {
    const place = mkdtempSync(join(folder, 'clone '))
    unpack('shallow-clone.tar.gz', place)
    const storage = new LocalStorage({ root: join(place, 'table') })
    const { snapshot } = await DeltaTable.open({ storage })
    await expect(rowsOf(scanTable(snapshot, { storage, reader }))).rejects.toMatchObject(
      { code: 'delta-unsupported', hint: expect.stringContaining('--allow-folder') as string })
  })
})
