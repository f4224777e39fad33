/** Tables that Spark made with features of its own, written by the Delta library, read by Spark. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { optimize } from '../../src/delta/optimize.ts'
import { restore } from '../../src/delta/restore.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { version } from '../../src/delta/version.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { sparkSql } from '../support/readers.ts'
import { describeWith } from '../support/requires.ts'

describeWith(['python', 'jars'], 'features of Spark', () => {
  let lab: DeltaLab
  beforeAll(async () => { lab = await DeltaLab.open() })
  afterAll(async () => { await lab[Symbol.asyncDispose]() })

  /** Statements with the table's name for T. */
  async function spark(storage: LocalStorage, ...statements: readonly string[])
    : Promise<readonly (readonly (string | null)[])[]> {
    let rows: readonly (readonly (string | null)[])[] = []
    for (const statement of statements) {
      rows = await sparkSql(inject('readers'),
        statement.replace(/\bT\b/, `delta.\`${storage.root}\``))
    }
    return rows
  }

  async function append(table: DeltaTable, storage: LocalStorage, select: string): Promise<void> {
    const { schema } = await table.latest()
    const outcome = await table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, schema, select)).commit()
    expect(outcome.kind).toBe('committed')
  }

  it('row tracking: rows keep ids and versions through vectors, OPTIMIZE and RESTORE',
    async () => {
      const storage = lab.storage('row tracking')
      const ids = (): Promise<readonly (readonly (string | null)[])[]> => spark(storage,
        'SELECT id, _metadata.row_id, _metadata.row_commit_version FROM T ORDER BY id')
      await spark(storage, 'CREATE TABLE T (id BIGINT, s STRING) USING delta TBLPROPERTIES '
        + '(\'delta.enableRowTracking\' = \'true\', \'delta.enableDeletionVectors\' = \'true\')',
      'INSERT INTO T SELECT /*+ COALESCE(1) */ id, \'s\' FROM range(4)',
      // Its row gets its id as a column of the file.
      'UPDATE T SET s = \'t\' WHERE id = 1')
      const table = await DeltaTable.open({ storage })
      await append(table, storage, 'SELECT i, \'o\' FROM range(10, 13) r(i)')
      const before = await ids()
      expect(before.slice(0, 4)).toEqual([['0', '0', '1'], ['1', '1', '2'], ['2', '2', '1'],
        ['3', '3', '1']])
      expect(before.slice(4).map(([id, , since]) => [id, since]))
        .toEqual([['10', '3'], ['11', '3'], ['12', '3']])
      expect(new Set(before.map(([, rowId]) => rowId)).size).toBe(before.length)
      const ours = [...table.snapshot.files()].find((file) => file.stats?.includes('"id":10'))
      const [vector] = await writeDeletionVectors(storage, [RowBitmap.of([1])])
      if (ours === undefined || vector === undefined) throw new Error('no file has row 10')
      await table.begin({ operation: 'DELETE' }).replaceDeletionVector(ours, vector).commit()
      const left = before.filter(([id]) => id !== '11')
      expect(await ids()).toEqual(left)
      expect(await optimize({ table, rewriter: lab.rewriter, clusterBy: ['id'] }))
        .toMatchObject({ filesAdded: 1, version: 5 })
      await writeCheckpoint({ storage, snapshot: table.snapshot, writer: lab.checkpoints,
        nowMs: Date.now() })
      expect(await ids()).toEqual(left)
      await restore({ table, target: { version: version(3) } })
      expect(await ids()).toEqual(before)
      await spark(storage, 'INSERT INTO T VALUES (20, \'after\')', 'OPTIMIZE T')
      const after = await ids()
      expect(after.slice(0, -1)).toEqual(before)
      expect(new Set(after.map(([, rowId]) => rowId)).size).toBe(after.length)
    })

  it('clustering: appended to, clustered by its own columns, Spark\'s files left to Spark',
    async () => {
      const storage = lab.storage('clustered')
      await spark(storage, 'CREATE TABLE T (id BIGINT, s STRING) USING delta CLUSTER BY (s)',
        'INSERT INTO T SELECT id, CAST(id % 3 AS STRING) FROM range(9)', 'OPTIMIZE T')
      const table = await DeltaTable.open({ storage })
      const theirs = [...table.snapshot.files()].filter((file) =>
        file.clusteringProvider !== undefined).map((file) => file.path)
      expect(theirs.length).toBeGreaterThan(0)
      for (const at of [10, 20]) {
        await append(table, storage, `SELECT i, (i % 5)::VARCHAR FROM range(${at}, ${at + 5}) r(i)`)
      }
      await expect(optimize({ table, rewriter: lab.rewriter, clusterBy: ['id'] }))
        .rejects.toMatchObject({ code: 'usage' })
      expect(await optimize({ table, rewriter: lab.rewriter }))
        .toMatchObject({ filesRemoved: 2, filesAdded: 1 })
      expect(await optimize({ table, rewriter: lab.rewriter })).toMatchObject({ version: null })
      const files = [...table.snapshot.files()]
      expect(files.map((file) => file.path)).toEqual(expect.arrayContaining(theirs))
      expect(files.filter((file) => file.clusteringProvider === 'slipway')).toHaveLength(1)
      const counted = 'SELECT count(*), sum(id), count(DISTINCT s) FROM T'
      expect(await spark(storage, counted)).toEqual([['19', '206', '5']])
      await spark(storage, 'ALTER TABLE T CLUSTER BY (id)', 'OPTIMIZE T')
      expect(await spark(storage, counted)).toEqual([['19', '206', '5']])
      await restore({ table, target: { version: version(1) } })
      const [detail = []] = await spark(storage, 'DESCRIBE DETAIL T')
      expect(detail).toContain('[\'s\']')
      expect(await spark(storage, 'SELECT count(*) FROM T')).toEqual([['9']])
    })

  it.each([
    ['checkConstraints', ['ALTER TABLE T ADD CONSTRAINT positive CHECK (id > 0)']],
    ['NOT NULL', []],
  ])('%s: what Slipway cannot hold is not written', async (name, statements) => {
    const storage = lab.storage(name)
    await spark(storage, 'CREATE TABLE T (id BIGINT NOT NULL, s STRING) USING delta',
      'INSERT INTO T VALUES (1, \'a\')', ...statements)
    const table = await DeltaTable.open({ storage })
    const { schema } = table.snapshot
    const nulls = await lab.writeFile(storage, schema, 'SELECT NULL::BIGINT, \'x\'')
    await expect(table.begin({ operation: 'WRITE' }).add(nulls).commit())
      .rejects.toMatchObject({ message: expect.stringContaining(name) as unknown })
    if (statements.length > 0) return
    await append(table, storage, 'SELECT 2::BIGINT, \'b\'')
    expect(await spark(storage, 'SELECT sum(id) FROM T')).toEqual([['3']])
  })
})
