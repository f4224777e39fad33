/** Transactions: X1 to X5, races, conflicts, and what a commit looks like in the log. */
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { decodeActions } from '../../src/delta/action-codec.ts'
import type { Action, AddFile } from '../../src/delta/actions.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import type { CommitOutcome } from '../../src/delta/transaction.ts'
import { commitPath, version } from '../../src/delta/version.ts'
import { MemoryStorage } from '../../src/storage/memory.ts'
import type { Storage } from '../../src/storage/storage.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long')] }
const STOPPED: Clock = { now: () => 1_795_354_260_000 }

function file(path: string): AddFile {
  return { path, partitionValues: {}, size: 10, modificationTime: 5, dataChange: true,
    stats: '{"numRecords":9,"tightBounds":true,"minValues":{"id":9223372036854775807}}' }
}

function vector(name: string, cardinality: number) {
  return { storageType: 'u' as const, pathOrInlineDv: name.padEnd(20, '0'), offset: 1,
    sizeInBytes: 30, cardinality }
}

async function create(storage: Storage = new MemoryStorage()): Promise<DeltaTable> {
  return await DeltaTable.create({ storage, schema: SCHEMA, clock: STOPPED,
    adds: [file('a'), file('b')] })
}

async function logged(table: DeltaTable, at: number): Promise<Action[]> {
  const body = await table.storage.get(commitPath(version(at)))
  return decodeActions(body ?? Buffer.alloc(0))
}

function kinds(actions: readonly Action[]): string[] {
  return actions.map((action) => Object.keys(action)[0] ?? '')
}

function live(table: DeltaTable, path: string): AddFile {
  const found = table.snapshot.file(path)
  if (found === null) throw new Error(`${path} is not live`)
  return found
}

function committed(outcome: CommitOutcome): Extract<CommitOutcome, { kind: 'committed' }> {
  if (outcome.kind === 'conflict') throw new Error(`conflict: ${outcome.reason}`)
  return outcome
}

describe('creating a table', () => {
  it('is (3,7), vectors and in-commit time, and nothing it does not need', async () => {
    const table = await create()
    expect(table.snapshot.protocol).toEqual({ minReaderVersion: 3, minWriterVersion: 7,
      readerFeatures: ['deletionVectors'],
      writerFeatures: ['deletionVectors', 'inCommitTimestamp'] })
    expect(table.snapshot.metadata.configuration).toEqual({
      'delta.enableDeletionVectors': 'true', 'delta.enableInCommitTimestamps': 'true' })
    expect(kinds(await logged(table, 0)))
      .toEqual(['commitInfo', 'protocol', 'metaData', 'add', 'add'])
  })

  it('refuses a folder that holds a table, and two columns that differ in case', async () => {
    const storage = new MemoryStorage()
    await create(storage)
    await expect(create(storage)).rejects.toMatchObject({ code: 'delta-conflict' })
    await expect(DeltaTable.create({ storage: new MemoryStorage(),
      schema: { type: 'struct', fields: [column('A', 'long'), column('a', 'long')] } }))
      .rejects.toMatchObject({ code: 'usage' })
  })
})

describe('a commit', () => {
  it('X1: a grown vector removes the file with its old one and adds it with the new', async () => {
    const table = await create()
    const first = vector('first', 2)
    committed(await table.begin({ operation: 'DELETE' })
      .replaceDeletionVector(live(table, 'a'), first).commit())
    committed(await table.begin({ operation: 'DELETE' })
      .replaceDeletionVector(live(table, 'a'), vector('second', 5)).commit())
    const [, remove, add] = await logged(table, 2)
    expect(remove).toMatchObject({ remove: { path: 'a', deletionVector: first, size: 10,
      partitionValues: {}, extendedFileMetadata: true, dataChange: true } })
    expect(add).toMatchObject({ add: { path: 'a', deletionVector: vector('second', 5),
      stats: '{"numRecords":9,"tightBounds":false,"minValues":{"id":9223372036854775807}}' } })
    const [, firstRemove] = await logged(table, 1)
    expect(firstRemove).not.toHaveProperty('remove.deletionVector')
    expect(table.snapshot.fileCount).toBe(2)
    expect(table.snapshot.sizeBytes).toBe(20)
  })

  it('X3: time rises strictly, is not before what it must not be, and is the file\'s', async () => {
    const table = await create()
    const second = committed(await table.begin({ operation: 'WRITE' }).add(file('c')).commit())
    expect(second.timestampMs).toBe(STOPPED.now() + 1)
    const third = committed(await table.begin({ operation: 'WRITE' }).add(file('d'))
      .commit({ notBeforeMs: STOPPED.now() + 500 }))
    expect(third.timestampMs).toBe(STOPPED.now() + 500)
    expect((await table.storage.stat(commitPath(version(2))))?.mtimeMs).toBe(third.timestampMs)
    const [info] = await logged(table, 2)
    expect(info).toMatchObject({ commitInfo: { inCommitTimestamp: third.timestampMs,
      timestamp: third.timestampMs, operation: 'WRITE', isBlindAppend: true } })
    expect((await DeltaTable.open({ storage: table.storage })).snapshot.inCommitTimestamp)
      .toBe(third.timestampMs)
  })

  it('txn keeps a 64-bit LSN', async () => {
    const table = await create()
    const lsn = 2n ** 63n - 1n
    committed(await table.begin({ operation: 'WRITE' }).setTxn('slipway:1:2', lsn).commit())
    const again = await DeltaTable.open({ storage: table.storage })
    expect(again.snapshot.txn('slipway:1:2')).toBe(lsn)
    expect(again.snapshot.txn('other')).toBeNull()
  })

  it('X5: in-commit time on an old table says from where on it is kept', async () => {
    const storage = new MemoryStorage()
    await storage.putIfAbsent(commitPath(version(0)), Buffer.from([
      '{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}',
      '{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":'
        + '"{\\"type\\":\\"struct\\",\\"fields\\":[]}","partitionColumns":[],"configuration":{}}}',
    ].join('\n')))
    const table = await DeltaTable.open({ storage })
    const metadata = { ...table.snapshot.metadata,
      configuration: { 'delta.enableInCommitTimestamps': 'true' } }
    const done = committed(await table.begin({ operation: 'SET TBLPROPERTIES' })
      .setMetadata(metadata).commit())
    expect(table.snapshot.metadata.configuration).toMatchObject({
      'delta.inCommitTimestampEnablementVersion': '1',
      'delta.inCommitTimestampEnablementTimestamp': String(done.timestampMs) })
    expect(table.snapshot.protocol.writerFeatures)
      .toEqual(['appendOnly', 'invariants', 'inCommitTimestamp'])
    expect(table.snapshot.protocol.readerFeatures).toEqual([])
  })

  it('does not write to tables with rules that it does not check', async () => {
    const table = await create()
    const rules = { 'delta.constraints.c': 'id > 0' }
    await expect(table.begin({ operation: 'X' }).setMetadata({ ...table.snapshot.metadata,
      configuration: { ...table.snapshot.metadata.configuration, ...rules } }).commit())
      .rejects.toMatchObject({ code: 'delta-unsupported' })
    const appendOnly = { ...table.snapshot.metadata.configuration, 'delta.appendOnly': 'true' }
    committed(await table.begin({ operation: 'X' }).setMetadata({ ...table.snapshot.metadata,
      configuration: appendOnly }).commit())
    await expect(table.begin({ operation: 'DELETE' }).remove(live(table, 'a')).commit())
      .rejects.toMatchObject({ code: 'usage' })
  })
})

describe('two writers', () => {
  async function race(one: (table: DeltaTable) => Promise<CommitOutcome>,
    two: (table: DeltaTable) => Promise<CommitOutcome>): Promise<CommitOutcome> {
    const storage = new MemoryStorage()
    const mine = await create(storage)
    const theirs = await DeltaTable.open({ storage, clock: STOPPED })
    committed(await one(theirs))
    return await two(mine)
  }

  it('X4: appends are rebased over each other', async () => {
    const outcome = committed(await race(
      (table) => table.begin({ operation: 'WRITE' }).add(file('c')).commit(),
      (table) => table.begin({ operation: 'WRITE' }).add(file('d')).commit()))
    expect(outcome.version).toBe(2)
    expect(outcome.timestampMs).toBe(STOPPED.now() + 2)
    expect([...outcome.snapshot.files()].map(({ path }) => path).sort())
      .toEqual(['a', 'b', 'c', 'd'])
  })

  it.each([
    ['file-removed', (t: DeltaTable) => t.begin({ operation: 'D' }).remove(live(t, 'a')),
      (t: DeltaTable) => t.begin({ operation: 'D' })
        .replaceDeletionVector(live(t, 'a'), vector('x', 1))],
    ['metadata-changed', (t: DeltaTable) => t.begin({ operation: 'M' })
      .setMetadata({ ...t.snapshot.metadata, name: 'n' }),
    (t: DeltaTable) => t.begin({ operation: 'W' }).add(file('c'))],
    ['txn-advanced', (t: DeltaTable) => t.begin({ operation: 'W' }).setTxn('app', 1n),
      (t: DeltaTable) => t.begin({ operation: 'W' }).setTxn('app', 1n).add(file('c'))],
    ['data-added', (t: DeltaTable) => t.begin({ operation: 'W' }).add(file('c')),
      (t: DeltaTable) => t.begin({ operation: 'W', readsWholeTable: true }).add(file('d'))],
  ] as const)('conflict as a value: %s', async (reason, one, two) => {
    expect(await race((table) => one(table).commit(), (table) => two(table).commit()))
      .toEqual({ kind: 'conflict', version: 1, reason })
  })

  it('a removal of another file does not conflict', async () => {
    const outcome = committed(await race(
      (table) => table.begin({ operation: 'D' }).remove(live(table, 'a')).commit(),
      (table) => table.begin({ operation: 'D' }).remove(live(table, 'b')).commit()))
    expect(outcome.snapshot.fileCount).toBe(0)
  })
})
