/** Tables that the library writes, read by delta-rs at every version. */
import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { addColumn, dropColumn, enableColumnMapping, renameColumn }
  from '../../src/delta/column-mapping.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import type { CommitOutcome, Transaction } from '../../src/delta/transaction.ts'
import { commitPath, version } from '../../src/delta/version.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { queryDeltaRs } from '../support/delta-rs.ts'
import { describeWith } from '../support/requires.ts'

describeWith(['python'], 'delta-rs reads what we write', () => {
  let lab: DeltaLab
  beforeAll(async () => { lab = await DeltaLab.open() })
  afterAll(async () => { await lab[Symbol.asyncDispose]() })

  async function committed(transaction: Transaction)
    : Promise<Extract<CommitOutcome, { kind: 'committed' }>> {
    const outcome = await transaction.commit()
    if (outcome.kind === 'conflict') throw new Error(outcome.reason)
    return outcome
  }

  it('every version: appends, growing vectors, a removal, a checkpoint alone', async () => {
    const storage = lab.storage('versions')
    const schema: StructType = { type: 'struct',
      fields: [column('id', 'long'), column('name', 'string'), column('price', 'decimal(38,18)')] }
    const table = await DeltaTable.create({ storage, schema,
      txn: { appId: 'slipway:1:2', version: 1n } })
    const counts: [number, string][] = [[0, '0']]
    const first = await lab.writeFile(storage, schema,
      'SELECT i, \'n\' || i, (i || \'.000000000000000001\')::DECIMAL(38,18) FROM range(1000) r(i)')
    await committed(table.begin({ operation: 'WRITE' }).add(first))
    counts.push([1, '1000'])
    let deleted = RowBitmap.of([0, 5, 999])
    for (const more of [[7, 8], Array.from({ length: 400 }, (_, at) => at)]) {
      deleted = deleted.with(more)
      const [vector] = await writeDeletionVectors(storage, [deleted])
      const live = table.snapshot.file(first.path)
      if (live === null || vector === undefined) throw new Error('the file is gone')
      await committed(table.begin({ operation: 'DELETE' }).replaceDeletionVector(live, vector)
        .setTxn('slipway:1:2', BigInt(counts.length)))
      counts.push([counts.length, String(1000 - deleted.cardinality)])
    }
    const second = await lab.writeFile(storage, schema, 'SELECT 1, \'x\', 1.5')
    const live = table.snapshot.file(first.path)
    if (live === null) throw new Error('the file is gone')
    await committed(table.begin({ operation: 'WRITE' }).remove(live).add(second))
    counts.push([4, '1'])
    for (const [at, rows] of counts) {
      expect(await queryDeltaRs(storage.root, 'SELECT count(*) FROM t', at))
        .toEqual({ version: at, rows: [[rows]] })
    }
    await writeCheckpoint({ storage, snapshot: table.snapshot, writer: lab.checkpoints,
      nowMs: Date.now() })
    for (const at of [0, 1, 2, 3]) await rm(storage.localPath(commitPath(version(at))))
    expect(await queryDeltaRs(storage.root, 'SELECT count(*), max(price) FROM t'))
      .toEqual({ version: 4, rows: [['1', '1.500000000000000000']] })
    const again = await DeltaTable.open({ storage })
    expect(again.snapshot.txn('slipway:1:2')).toBe(3n)
    expect([...again.snapshot.files()].map((file) => file.path)).toEqual([second.path])
    expect(again.snapshot.tombstoneCount).toBe(table.snapshot.tombstoneCount)
    expect(again.snapshot.inCommitTimestamp).toBe(table.snapshot.inCommitTimestamp)
  })

  it('timestampNtz from the commit that brings the first such column', async () => {
    const storage = lab.storage('ntz')
    const schema: StructType = { type: 'struct', fields: [column('id', 'long')] }
    const table = await DeltaTable.create({ storage, schema })
    expect(table.snapshot.protocol.readerFeatures).toEqual(['deletionVectors'])
    const wider: StructType = { type: 'struct',
      fields: [...schema.fields, column('at', 'timestamp_ntz'), column('tz', 'timestamp')] }
    const file = await lab.writeFile(storage, wider, 'SELECT 1, TIMESTAMP '
      + '\'2024-03-31 01:59:59.123456\', TIMESTAMPTZ \'2024-03-31 01:59:59.123456+00\'')
    await committed(table.begin({ operation: 'ADD COLUMNS' }).setSchema(wider).add(file))
    expect(table.snapshot.protocol.readerFeatures).toContain('timestampNtz')
    const answer = await queryDeltaRs(storage.root,
      'SELECT at, tz FROM t WHERE at > \'2024-03-31 01:59:59.123\'')
    expect(answer.rows).toEqual([['2024-03-31 01:59:59.123456',
      '2024-03-31 01:59:59.123456+00:00']])
  })

  it('column mapping from the first rename on; a dropped name comes back as another', async () => {
    const storage = lab.storage('mapped')
    const schema: StructType = { type: 'struct',
      fields: [column('id', 'long'), column('a', 'string')] }
    const file = await lab.writeFile(storage, schema, 'SELECT 1, \'old\'')
    const table = await DeltaTable.create({ storage, schema, adds: [file] })
    const enabled = enableColumnMapping(table.snapshot.metadata,
      (name) => name === 'id' ? 1 : 2)
    await committed(table.begin({ operation: 'RENAME COLUMN' })
      .setMetadata(renameColumn(enabled, 'a', 'b')))
    expect(table.snapshot.protocol.readerFeatures).toEqual(['deletionVectors', 'columnMapping'])
    expect((await queryDeltaRs(storage.root, 'SELECT id, b FROM t')).rows).toEqual([['1', 'old']])
    const dropped = dropColumn(table.snapshot.metadata, 'b')
    await committed(table.begin({ operation: 'DROP COLUMN' })
      .setMetadata(addColumn(dropped, column('b', 'long'), { id: 3 })))
    const next = await lab.writeFile(storage, table.snapshot.schema, 'SELECT 2, 20')
    await committed(table.begin({ operation: 'WRITE' }).add(next))
    expect((await queryDeltaRs(storage.root, 'SELECT id, b FROM t ORDER BY id')).rows)
      .toEqual([['1', null], ['2', '20']])
  })
})
