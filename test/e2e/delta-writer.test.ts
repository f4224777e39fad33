/** Every feature that the Delta library writes, read by stock Spark, delta-rs and the kernel. */
import { cpSync } from 'node:fs'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { writeChangeFiles } from '../../src/delta/change-feed-writer.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { addColumn, commentOn, dropColumn, renameColumn } from '../../src/delta/column-mapping.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { checkTable } from '../../src/delta/fsck.ts'
import { cleanUpLog } from '../../src/delta/log-cleanup.ts'
import { optimize } from '../../src/delta/optimize.ts'
import type { RowSelection } from '../../src/delta/parquet-reader.ts'
import { restore } from '../../src/delta/restore.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { setProperties } from '../../src/delta/table-properties.ts'
import type { Transaction } from '../../src/delta/transaction.ts'
import { widenColumn } from '../../src/delta/type-widening.ts'
import { vacuum } from '../../src/delta/vacuum.ts'
import { version } from '../../src/delta/version.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { ALL_READERS, readLines, sparkSql, type Reader } from '../support/readers.ts'
import { describeWith } from '../support/requires.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'integer'),
  column('name', 'string'), column('price', 'decimal(38,18)')] }

/** Rows of SCHEMA. */
function rowsFrom(first: number, count: number): string {
  return `SELECT i::INTEGER, 'n' || i, (i || '.000000000000000001')::DECIMAL(38,18) `
    + `FROM range(${first}, ${first + count}) r(i)`
}

/** The same, as readLines has them. */
function linesFrom(first: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) =>
    `${first + at} | n${first + at} | ${first + at}.000000000000000001`)
}

function only(position: number): RowSelection {
  return { kind: 'only', positions: () => Promise.resolve(RowBitmap.of([position])) }
}

async function committed(transaction: Transaction): Promise<void> {
  expect((await transaction.commit()).kind).toBe('committed')
}

async function expectNewest(storage: LocalStorage, lines: readonly string[],
  readers: readonly Reader[] = ALL_READERS): Promise<void> {
  await Promise.all(readers.map(async (reader) => {
    expect(await readLines(inject('readers'), { reader, path: storage.root }), reader)
      .toEqual([...lines].sort())
  }))
}

/** In Spark and delta-rs, by version and by time. */
async function expectVersions(storage: LocalStorage, versions: readonly (readonly string[])[])
  : Promise<void> {
  const table = await DeltaTable.open({ storage })
  await Promise.all(versions.map(async (lines, at) => {
    const { timestampMs } = await table.at(version(at))
    for (const reader of ['spark', 'delta-rs'] as const) {
      for (const state of [{ version: at }, { timestampMs }]) {
        expect(await readLines(inject('readers'), { reader, path: storage.root, ...state }),
          `${reader}, ${JSON.stringify(state)} of version ${at}`).toEqual([...lines].sort())
      }
    }
  }))
}

describeWith(['python', 'jars'], 'tables of the Delta library', () => {
  let lab: DeltaLab
  beforeAll(async () => { lab = await DeltaLab.open() })
  afterAll(async () => { await lab[Symbol.asyncDispose]() })

  async function checkpoint(table: DeltaTable): Promise<void> {
    await writeCheckpoint({ storage: table.storage, snapshot: table.snapshot,
      writer: lab.checkpoints, nowMs: Date.now() })
  }

  /** The update of one row of the file and the deletion of the next, with their change feed. */
  async function update(storage: LocalStorage, table: DeltaTable): Promise<void> {
    const file = [...table.snapshot.files()].find((one) => one.stats?.includes('"id":20'))
    const [vector] = await writeDeletionVectors(storage, [RowBitmap.of([1, 2])])
    if (file === undefined || vector === undefined) throw new Error('no file has row 20')
    const updated = await lab.writeFile(storage, SCHEMA,
      'SELECT 21::INTEGER, NULL::VARCHAR, 0.5::DECIMAL(38,18)')
    const transaction = table.begin({ operation: 'UPDATE' })
      .replaceDeletionVector(file, vector).add(updated).setTxn('loader', 2n ** 62n)
    for (const change of await writeChangeFiles({ storage, rewriter: lab.rewriter,
      metadata: table.snapshot.metadata, changes: [
        { file, rows: only(1), changeType: 'update_preimage' },
        { file, rows: only(2), changeType: 'delete' },
        { file: updated, rows: { kind: 'all' }, changeType: 'update_postimage' }] })) {
      transaction.addChangeFile(change)
    }
    await committed(transaction)
  }

  it('rows: appends, vectors, removal, OPTIMIZE, RESTORE, a change feed, checkpoints, VACUUM',
    async () => {
      const storage = lab.storage('all b%é')
      const table = await DeltaTable.create({ storage, schema: SCHEMA, description: 'things',
        configuration: { 'delta.enableChangeDataFeed': 'true' } })
      const versions: (readonly string[])[] = [[]]
      for (let at = 0; at < 3; at++) {
        await committed(table.begin({ operation: 'WRITE' })
          .add(await lab.writeFile(storage, SCHEMA, rowsFrom(at * 10, 10))))
        versions.push(linesFrom(0, at * 10 + 10))
        if (at === 1) await checkpoint(table)
      }
      await update(storage, table)
      versions.push([...linesFrom(0, 21), ...linesFrom(23, 7), '21 | NULL | 0.500000000000000000'])
      await optimize({ table, rewriter: lab.rewriter })
      versions.push(versions.at(-1) ?? [])
      await checkpoint(table)
      await restore({ table, target: { version: version(2) } })
      versions.push(linesFrom(0, 20))
      await committed(table.begin({ operation: 'TRUNCATE' }).removeAll())
      versions.push([])
      await restore({ table, target: { version: version(4) } })
      versions.push(versions[4] ?? [])
      await expectVersions(storage, versions)
      await expectSparkTells(storage, table)
      await expectVacuumed(storage, table, versions.at(-1) ?? [])
    })

  async function expectSparkTells(storage: LocalStorage, table: DeltaTable): Promise<void> {
    const path = `delta.\`${storage.root}\``
    const feed = await sparkSql(inject('readers'), 'SELECT id, _change_type FROM '
      + `table_changes_by_path('${storage.root}', 4, 5) ORDER BY id, _change_type`)
    expect(feed).toEqual([['21', 'update_postimage'], ['21', 'update_preimage'],
      ['22', 'delete']])
    const history = await sparkSql(inject('readers'), `DESCRIBE HISTORY ${path}`)
    expect(history.map((row) => row[4])).toEqual(['RESTORE', 'TRUNCATE', 'RESTORE', 'OPTIMIZE',
      'UPDATE', 'WRITE', 'WRITE', 'WRITE', 'CREATE TABLE'])
    const [detail = []] = await sparkSql(inject('readers'), `DESCRIBE DETAIL ${path}`)
    const { fileCount, sizeBytes, metadata } = table.snapshot
    expect(detail).toEqual(expect.arrayContaining(['delta', metadata.id, 'things',
      String(fileCount), String(sizeBytes)]))
  }

  /** Spark would delete what we delete; what is left after it is all that anybody needs. */
  async function expectVacuumed(storage: LocalStorage, table: DeltaTable,
    lines: readonly string[]): Promise<void> {
    const listed = await sparkSql(inject('readers'),
      `VACUUM delta.\`${storage.root}\` RETAIN 0 HOURS DRY RUN`)
    const { files } = await vacuum({ table, nowMs: Date.now() + 1000, retentionMs: 0,
      force: true })
    const names = (paths: readonly string[]): readonly string[] =>
      paths.map((path) => path.split('/').at(-1) ?? '').sort()
    expect(names(listed.map(([path]) => path ?? ''))).toEqual(names(files))
    expect(files.length).toBeGreaterThan(1)
    await expectNewest(storage, lines)
    expect((await checkTable(storage)).findings).toEqual([])
  }

  it('a copied folder and a log cleaned up: times and rows are as they were', async () => {
    const storage = lab.storage('original')
    const table = await DeltaTable.create({ storage, schema: SCHEMA })
    for (let at = 0; at < 2; at++) {
      await committed(table.begin({ operation: 'WRITE' })
        .add(await lab.writeFile(storage, SCHEMA, rowsFrom(at, 1))))
    }
    const copy = lab.storage('copy')
    cpSync(storage.root, copy.root, { recursive: true, preserveTimestamps: false })
    const { timestampMs } = await table.at(version(1))
    // Spark goes by the log; delta-rs by the files' times, whatever the log says.
    expect(await readLines(inject('readers'), { reader: 'spark', path: copy.root, timestampMs }))
      .toEqual(linesFrom(0, 1))
    await checkpoint(table)
    await committed(table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, SCHEMA, rowsFrom(2, 1))))
    expect(await cleanUpLog({ storage, retentionMs: 0, nowMs: Date.now() + 1000 }))
      .toBeGreaterThan(0)
    await expect(DeltaTable.open({ storage }).then((one) => one.at(version(1))))
      .rejects.toMatchObject({ code: 'not-found' })
    await expectNewest(storage, linesFrom(0, 3))
  })

  it('columns: partitions, renamed, dropped, added again, told about; clustered', async () => {
    const storage = lab.storage('columns')
    const schema: StructType = { type: 'struct',
      fields: [column('p', 'string'), column('a', 'long'), column('b', 'string')] }
    const table = await DeltaTable.create({ storage, schema, partitionColumns: ['p'] })
    const append = async (p: string | null, select: string): Promise<void> => {
      const { metadata } = table.snapshot
      const inside = { type: 'struct' as const, fields: table.snapshot.schema.fields.slice(1) }
      await committed(table.begin({ operation: 'WRITE' }).add(await lab.writeFile(storage,
        inside, select, { metadata, values: { p } })))
    }
    await append('x y/ü%=', 'SELECT 9223372036854775807, \'old\'')
    const told = commentOn(renameColumn(table.snapshot.metadata, 'a', 'x y;{}'), 'x y;{}', 'told')
    await committed(table.begin({ operation: 'RENAME COLUMN' })
      .setMetadata(setProperties(told, { 'delta.logRetentionDuration': 'interval 9 days' })))
    await committed(table.begin({ operation: 'DROP COLUMNS' })
      .setMetadata(dropColumn(table.snapshot.metadata, 'b')))
    await committed(table.begin({ operation: 'ADD COLUMNS' })
      .setMetadata(addColumn(table.snapshot.metadata, column('b', 'date'))))
    await append(null, 'SELECT 1::BIGINT, DATE \'1970-01-02\'')
    await optimize({ table, rewriter: lab.rewriter, clusterBy: ['b', 'x y;{}'] })
    await checkpoint(table)
    await expectVersions(storage, [[], ['x y/ü%= | 9223372036854775807 | old'],
      ['x y/ü%= | 9223372036854775807 | old'], ['x y/ü%= | 9223372036854775807'],
      ['x y/ü%= | 9223372036854775807 | NULL']])
    await expectNewest(storage, ['NULL | 1 | 1', 'x y/ü%= | 9223372036854775807 | NULL'])
    const described = await sparkSql(inject('readers'),
      `DESCRIBE TABLE delta.\`${storage.root}\``)
    expect(described).toContainEqual(['x y;{}', 'bigint', 'told'])
  })

  it('a widened column, in Spark, which alone knows the feature', async () => {
    const storage = lab.storage('widened')
    const table = await DeltaTable.create({ storage, schema: SCHEMA })
    await committed(table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, SCHEMA, rowsFrom(0, 3))))
    await committed(table.begin({ operation: 'CHANGE COLUMN' })
      .setMetadata(widenColumn(table.snapshot.metadata, 'id', 'long')))
    await committed(table.begin({ operation: 'WRITE' }).add(await lab.writeFile(storage,
      table.snapshot.schema, 'SELECT 9007199254740993, \'w\', 1::DECIMAL(38,18)')))
    const lines = [...linesFrom(0, 3), '9007199254740993 | w | 1.000000000000000000']
    await expectNewest(storage, lines, ['spark'])
    await optimize({ table, rewriter: lab.rewriter })
    await checkpoint(table)
    await expectNewest(storage, lines, ['spark'])
  })
})
