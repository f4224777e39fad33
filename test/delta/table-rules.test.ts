/** Rules of a table for its files and metadata: kept, or refused before anything is written. */
import { describe, expect, it } from 'vitest'
import { decodeActions } from '../../src/delta/action-codec.ts'
import type { Action, AddFile, Protocol } from '../../src/delta/actions.ts'
import { dropColumn, renameColumn } from '../../src/delta/column-mapping.ts'
import { column, printSchema, type StructType } from '../../src/delta/schema.ts'
import { statsColumns } from '../../src/delta/stats-columns.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { setProperties } from '../../src/delta/table-properties.ts'
import { restore } from '../../src/delta/restore.ts'
import { commitPath, version } from '../../src/delta/version.ts'
import { MemoryStorage } from '../../src/storage/memory.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('a', 'long'), column('b', 'string')] }
const TRACKED = { 'delta.enableRowTracking': 'true',
  'delta.rowTracking.materializedRowIdColumnName': '_row-id',
  'delta.rowTracking.materializedRowCommitVersionColumnName': '_row-version' }

/** `nulls`: of column a; absent: the file does not say. */
function file(path: string, rows: number, nulls?: number): AddFile {
  const counted = nulls === undefined ? '' : `,"nullCount":{"a":${nulls},"b":0}`
  return { path, partitionValues: {}, size: 10, modificationTime: 5, dataChange: true,
    stats: `{"numRecords":${rows}${counted}}` }
}

/** As another engine made it. */
async function tableOf(features: readonly string[], configuration: Readonly<Record<string, string>>,
  others: readonly Action[] = []): Promise<DeltaTable> {
  const storage = new MemoryStorage()
  const protocol: Protocol = { minReaderVersion: 3, minWriterVersion: 7,
    readerFeatures: ['deletionVectors'], writerFeatures: ['deletionVectors', ...features] }
  const actions: readonly Action[] = [{ protocol }, { metaData: { id: 'x', partitionColumns: [],
    format: { provider: 'parquet', options: {} }, schemaString: printSchema(SCHEMA),
    configuration: { 'delta.enableDeletionVectors': 'true', ...configuration } } }, ...others]
  await storage.putIfAbsent(commitPath(version(0)),
    Buffer.from(actions.map((action) => JSON.stringify(action)).join('\n')))
  return await DeltaTable.open({ storage })
}

function clustered(columns: readonly (string | readonly string[])[]): Promise<DeltaTable> {
  return tableOf(['clustering', 'domainMetadata'], {}, [{ domainMetadata: {
    domain: 'delta.clustering', removed: false,
    configuration: JSON.stringify({ clusteringColumns: columns }) } }])
}

async function logged(table: DeltaTable, at: number): Promise<Action[]> {
  return decodeActions(await table.storage.get(commitPath(version(at))) ?? Buffer.alloc(0))
}

async function append(table: DeltaTable, ...files: readonly AddFile[]): Promise<void> {
  const transaction = table.begin({ operation: 'WRITE' })
  for (const one of files) transaction.add(one)
  expect((await transaction.commit()).kind).toBe('committed')
}

function live(table: DeltaTable, path: string): AddFile {
  const found = table.snapshot.file(path)
  if (found === null) throw new Error(`${path} is not live`)
  return found
}

function idsOf(table: DeltaTable): readonly unknown[] {
  return [...table.snapshot.files()].sort((a, b) => a.path < b.path ? -1 : 1)
    .map((one) => [one.path, one.baseRowId, one.defaultRowCommitVersion])
}

describe('row tracking', () => {
  it('RT1: new files have ids above all before, whoever comes in between', async () => {
    const table = await tableOf(['rowTracking', 'domainMetadata'], TRACKED)
    await append(table, file('a', 3), { ...file('b', 0), baseRowId: 0 }, file('c', 2))
    const late = table.begin({ operation: 'WRITE' }).add(file('e', 1))
    await append(await DeltaTable.open({ storage: table.storage }), file('d', 10))
    expect((await late.commit()).kind).toBe('committed')
    expect(idsOf(table)).toEqual([['a', 0, 1], ['b', 3, 1], ['c', 3, 1], ['d', 5, 2],
      ['e', 15, 3]])
    expect(table.snapshot.domain('delta.rowTracking')).toBe('{"rowIdHighWaterMark":15}')
    const [info] = await logged(table, 3)
    expect(info).toMatchObject({ commitInfo: { tags: { 'delta.rowTracking.preserved': 'true' } } })
    await expect(append(table, { ...file('f', 1), stats: '{}' })).rejects
      .toMatchObject({ code: 'usage' })
  })

  it('RT2: a vector and RESTORE keep ids; an update says that it does not', async () => {
    const table = await tableOf(['rowTracking', 'domainMetadata'], TRACKED)
    await append(table, file('a', 3))
    const vector = { storageType: 'u' as const, pathOrInlineDv: '0'.repeat(20), offset: 1,
      sizeInBytes: 30, cardinality: 1 }
    await table.begin({ operation: 'DELETE' }).replaceDeletionVector(live(table, 'a'), vector)
      .commit()
    expect(await logged(table, 2)).toContainEqual({ remove: expect.objectContaining(
      { baseRowId: 0, defaultRowCommitVersion: 1 }) as unknown })
    await table.begin({ operation: 'UPDATE' }).remove(live(table, 'a')).add(file('b', 3)).commit()
    expect(await logged(table, 3)).toContainEqual({ commitInfo: expect.objectContaining(
      { tags: { 'delta.rowTracking.preserved': 'false' } }) as unknown })
    await table.storage.putIfAbsent('a', Buffer.from('a'))
    await restore({ table, target: { version: version(1) } })
    expect(idsOf(table)).toEqual([['a', 0, 1]])
    expect(table.snapshot.domain('delta.rowTracking')).toBe('{"rowIdHighWaterMark":5}')
  })

  it('suspended, no ids are given; enabled only where every file has them', async () => {
    const table = await tableOf(['rowTracking', 'domainMetadata'],
      { 'delta.rowTrackingSuspended': 'true' })
    await append(table, file('a', 3))
    expect(idsOf(table)).toEqual([['a', undefined, undefined]])
    const enabled = { ...table.snapshot.metadata, configuration: TRACKED }
    await expect(table.begin({ operation: 'X' }).setMetadata(enabled).commit())
      .rejects.toMatchObject({ code: 'usage' })
    const done = await table.begin({ operation: 'X' }).removeAll().setMetadata(enabled).commit()
    expect(done.kind).toBe('committed')
  })
})

describe('clustering', () => {
  it('a file without statistics of the columns is refused; their names may change', async () => {
    const table = await clustered([['a']])
    await append(table, file('a', 3, 1))
    await expect(append(table, file('b', 3))).rejects.toMatchObject({ code: 'usage' })
    const { metadata } = table.snapshot
    const renamed = renameColumn(metadata, 'a', 'z')
    await expect(table.begin({ operation: 'X' }).setMetadata(dropColumn(renamed, 'z')).commit())
      .rejects.toMatchObject({ code: 'usage' })
    await expect(table.begin({ operation: 'X' }).removeAll()
      .setMetadata({ ...metadata, partitionColumns: ['b'] }).commit())
      .rejects.toMatchObject({ code: 'usage' })
    expect((await table.begin({ operation: 'X' }).setMetadata(renamed).commit()).kind)
      .toBe('committed')
    expect(await restore({ table, target: { version: version(0) } }))
      .toMatchObject({ filesRemoved: 1 })
    expect(table.snapshot.domain('delta.clustering')).toContain('"a"')
  })

  it('other columns by another writer meanwhile are a conflict for who adds files', async () => {
    const table = await clustered(['a'])
    const late = table.begin({ operation: 'WRITE' }).add(file('a', 3, 1))
    const other = await DeltaTable.open({ storage: table.storage })
    await other.begin({ operation: 'CLUSTER BY' })
      .setDomain('delta.clustering', '{"clusteringColumns":[["b"]]}').commit()
    expect(await late.commit()).toMatchObject({ kind: 'conflict', reason: 'domain-changed' })
    await expect(other.begin({ operation: 'CLUSTER BY' })
      .setDomain('delta.clustering', '{"clusteringColumns":[["none"]]}').commit())
      .rejects.toMatchObject({ code: 'usage' })
    await restore({ table, target: { version: version(0) } })
    expect(table.snapshot.domain('delta.clustering')).toBe('{"clusteringColumns":["a"]}')
  })
})

describe('NOT NULL', () => {
  const strict: StructType = { type: 'struct',
    fields: [{ ...column('a', 'long'), nullable: false }, column('b', 'string')] }

  it('a file shows that it has no NULL there, at the start too', async () => {
    const table = await DeltaTable.create({ storage: new MemoryStorage(), schema: strict,
      adds: [file('a', 3, 0)] })
    for (const wrong of [file('b', 3, 1), file('b', 3)]) {
      await expect(append(table, wrong)).rejects.toMatchObject({ code: 'usage',
        message: expect.stringContaining('a is NOT NULL') as unknown })
      await expect(DeltaTable.create({ storage: new MemoryStorage(), schema: strict,
        adds: [wrong] })).rejects.toMatchObject({ code: 'usage' })
    }
    await append(table, file('b', 3, 0))
  })

  it('a partition column has a value', async () => {
    const table = await DeltaTable.create({ storage: new MemoryStorage(), schema: strict,
      partitionColumns: ['a'] })
    await append(table, { ...file('x', 3), partitionValues: { a: '1' } })
    await expect(append(table, { ...file('y', 3), partitionValues: { a: null } }))
      .rejects.toMatchObject({ code: 'usage' })
  })

  it('comes only to a table without files', async () => {
    const table = await DeltaTable.create({ storage: new MemoryStorage(), schema: SCHEMA,
      adds: [file('a', 3, 0)] })
    await expect(table.begin({ operation: 'X' }).setSchema(strict).commit())
      .rejects.toMatchObject({ code: 'usage' })
    expect((await table.begin({ operation: 'X' }).removeAll().setSchema(strict).commit()).kind)
      .toBe('committed')
  })
})

describe('rules that only an engine of SQL can keep', () => {
  const withField = (metadata: Readonly<Record<string, string>>): object =>
    ({ schemaString: printSchema({ type: 'struct',
      fields: [{ ...column('a', 'long'), metadata }] }) })

  it.each([
    ['checkConstraints', { configuration: { 'delta.constraints.positive': 'a > 0' } }],
    ['invariants', withField({ 'delta.invariants': '{"expression":{"expression":"a > 0"}}' })],
    ['generatedColumns', withField({ 'delta.generationExpression': 'b + 1' })],
    ['identityColumns', withField({ 'delta.identity.start': '1' })],
  ])('%s: no append, no OPTIMIZE, no new metadata', async (feature, change) => {
    const table = await tableOf([feature], {})
    await table.storage.putIfAbsent(commitPath(version(1)), Buffer.from(JSON.stringify(
      { metaData: { ...table.snapshot.metadata, ...change } })))
    await table.latest()
    await expect(append(table, file('a', 3, 0))).rejects.toMatchObject(
      { code: 'delta-unsupported', message: expect.stringContaining(feature) as unknown })
  })
})

describe('properties', () => {
  it('are checked when a table is made and when they are set', async () => {
    const table = await DeltaTable.create({ storage: new MemoryStorage(), schema: SCHEMA })
    for (const [key, value] of [['delta.logRetentionDuration', 'long'],
      ['delta.appendOnly', 'yes'], ['delta.checkpointInterval', '0'],
      ['delta.dataSkippingNumIndexedCols', '-2'], ['delta.enableRowTracking', 'true'],
      ['delta.enableIcebergCompatV2', 'true'], ['delta.feature.clustering', 'supported'],
      ['delta.constraints.c', 'a > 0'], ['delta.minReaderVersion', '1'],
      ['delta.columnMapping.maxColumnId', '9']] as const) {
      expect(() => setProperties(table.snapshot.metadata, { [key]: value }), key)
        .toThrow(expect.objectContaining({ code: 'usage' }) as Error)
      const storage = new MemoryStorage()
      await expect(DeltaTable.create({ storage, schema: SCHEMA, configuration: { [key]: value } }),
        key).rejects.toMatchObject({ code: 'usage' })
      expect(await DeltaTable.openIfExists({ storage }), key).toBeNull()
    }
  })

  it('a table that nobody could read is not made', async () => {
    for (const options of [
      { schema: { type: 'struct' as const, fields: [column('a', 'varchar(3)')] } },
      { schema: SCHEMA, configuration: { 'delta.columnMapping.mode': 'names' } }]) {
      const storage = new MemoryStorage()
      await expect(DeltaTable.create({ storage, ...options })).rejects
        .toMatchObject({ code: 'delta-unsupported' })
      expect(await DeltaTable.openIfExists({ storage })).toBeNull()
    }
  })

  it('dataSkippingStatsColumns names columns as SQL quotes them', () => {
    const inner: StructType = { type: 'struct',
      fields: [column('d.e', 'long'), column('f', 'long')] }
    const named = (list: string): readonly string[] => statsColumns({ id: '', partitionColumns: [],
      format: { provider: 'parquet', options: {} },
      configuration: { 'delta.dataSkippingStatsColumns': list },
      schemaString: printSchema({ type: 'struct', fields: [column('a,b', 'long'),
        column('a', 'long'), column('c`', inner), column('ab', 'long')] }) })
      .map(({ path }) => path.join('/'))
    expect(named('`a,b`, A')).toEqual(['a,b', 'a'])
    expect(named('`c```')).toEqual(['c`/d.e', 'c`/f'])
    expect(named(' `c```.`d.e` ,ab')).toEqual(['c`/d.e', 'ab'])
  })
})
