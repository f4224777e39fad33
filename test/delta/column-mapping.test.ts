/** Column mapping as metadata alone (M1 to M3), schemas (S1 to S3) and protocols (P1 to P3). */
import { describe, expect, it } from 'vitest'
import type { Metadata, Protocol } from '../../src/delta/actions.ts'
import { addColumn, commentOn, dropColumn, enableColumnMapping, mappingId, mappingMode,
  physicalName, renameColumn } from '../../src/delta/column-mapping.ts'
import { protocolCovering, protocolFor, readerFeatures, requireReadable, requireWritable,
  writerFeatures } from '../../src/delta/protocol.ts'
import { widenColumn } from '../../src/delta/type-widening.ts'
import { checkSchema, column, parseSchema, printSchema, type StructType }
  from '../../src/delta/schema.ts'

const SCHEMA: StructType = { type: 'struct', fields: [
  column('id', 'long'),
  column('s', { type: 'struct', fields: [column('x', 'integer'), column('y', 'string')] }),
  column('a', { type: 'array', elementType: 'decimal(10,2)', containsNull: true }),
] }

function metadata(schema: StructType = SCHEMA): Metadata {
  return { id: 'x', format: { provider: 'parquet', options: {} }, configuration: {},
    schemaString: printSchema(schema), partitionColumns: ['id'] }
}

function fields(of: Metadata): { name: string; physical: string; id: number | null }[] {
  return parseSchema(of.schemaString).fields.map((field) =>
    ({ name: field.name, physical: physicalName(field), id: mappingId(field) }))
}

const ATTNUMS: Readonly<Record<string, number>> = { id: 1, s: 3, a: 7 }
const enabled = enableColumnMapping(metadata(), (name) => ATTNUMS[name] ?? 0)

describe('column mapping', () => {
  it('M1: enabling keeps every name, takes the given ids, and numbers nested fields after them',
    () => {
      expect(mappingMode(enabled)).toBe('name')
      expect(fields(enabled)).toEqual([{ name: 'id', physical: 'id', id: 1 },
        { name: 's', physical: 's', id: 3 }, { name: 'a', physical: 'a', id: 7 }])
      const nested = parseSchema(enabled.schemaString).fields[1]?.type
      expect(nested).toMatchObject({ fields: [
        { metadata: { 'delta.columnMapping.id': 8, 'delta.columnMapping.physicalName': 'x' } },
        { metadata: { 'delta.columnMapping.id': 9, 'delta.columnMapping.physicalName': 'y' } }] })
      expect(enabled.configuration['delta.columnMapping.maxColumnId']).toBe('9')
      expect(enableColumnMapping(enabled, () => 1)).toBe(enabled)
      expect(() => enableColumnMapping(metadata(), () => 1)).toThrow('distinct')
    })

  it('a rename moves the name alone, partition columns too', () => {
    const renamed = renameColumn(enabled, 'id', 'key')
    expect(fields(renamed)[0]).toEqual({ name: 'key', physical: 'id', id: 1 })
    expect(renamed.partitionColumns).toEqual(['key'])
    expect(() => renameColumn(enabled, 'id', 'S')).toThrow('ignoring case')
    expect(() => renameColumn(enabled, 'nope', 'x')).toThrow('no column')
  })

  it('the first rename or drop enables it, nested fields included', () => {
    const first = renameColumn(metadata(), ['s', 'y'], 'z')
    expect(mappingMode(first)).toBe('name')
    expect(parseSchema(first.schemaString).fields[1]?.type).toMatchObject({ fields: [
      { name: 'x' }, { name: 'z', metadata: { 'delta.columnMapping.physicalName': 'y' } }] })
    expect(fields(dropColumn(metadata(), 'a')).map(({ name }) => name)).toEqual(['id', 's'])
    const without = dropColumn(enabled, ['s', 'x'])
    expect(() => dropColumn(without, ['s', 'y'])).toThrow('only column')
    const added = addColumn(without, column('w', 'long'), { into: 's' })
    expect(parseSchema(added.schemaString).fields[1]?.type).toMatchObject({ fields: [
      { name: 'y' }, { name: 'w', metadata: { 'delta.columnMapping.id': 10 } }] })
    expect(() => addColumn(enabled, { ...column('n', 'long'), nullable: false }))
      .toThrow('nullable')
  })

  it('comments and widened types are metadata of their field', () => {
    const told = commentOn(commentOn(enabled, 'id', 'key'), 'a', 'list')
    expect(parseSchema(told.schemaString).fields.map((field) => field.metadata.comment))
      .toEqual(['key', undefined, 'list'])
    expect(commentOn(commentOn(enabled, 'id', 'key'), 'id', null)).toEqual(enabled)
    const wide = widenColumn(widenColumn(enabled, ['s', 'x'], 'long'), ['a', 'element'],
      'decimal(12,3)')
    const [, s, a] = parseSchema(wide.schemaString).fields
    expect(s?.type).toMatchObject({ fields: [{ type: 'long', metadata: {
      'delta.typeChanges': [{ fromType: 'integer', toType: 'long' }] } }, {}] })
    expect(a).toMatchObject({ type: { elementType: 'decimal(12,3)' }, metadata: {
      'delta.typeChanges': [{ fromType: 'decimal(10,2)', toType: 'decimal(12,3)',
        fieldPath: 'element' }] } })
    expect(() => widenColumn(enabled, ['a', 'element'], 'decimal(10,3)')).toThrow('widened')
    expect(() => widenColumn(enabled, ['s', 'y'], 'long')).toThrow('widened')
    expect(writerFeatures(protocolCovering(protocolFor(SCHEMA, {}), wide)))
      .toEqual(['deletionVectors', 'columnMapping', 'typeWidening'])
  })

  it('M2, M3: a dropped name comes back with another id and physical name', () => {
    const back = addColumn(dropColumn(enabled, 'a'), column('a', 'string'))
    expect(fields(back)[2]).toMatchObject({ name: 'a', id: 10 })
    expect(fields(back)[2]?.physical).toMatch(/^col-[0-9a-f-]{36}$/)
    expect(back.configuration['delta.columnMapping.maxColumnId']).toBe('10')
    expect(() => addColumn(enabled, column('z', 'long'), { id: 7 })).toThrow('in use')
    expect(() => dropColumn(enabled, 'id')).toThrow('partition column')
  })
})

describe('schemas', () => {
  it('S1: print after parse keeps everything', () => {
    const text = '{"type":"struct","fields":[{"name":"m","type":{"type":"map","keyType":"string",'
      + '"valueType":{"type":"array","elementType":"timestamp_ntz","containsNull":false},'
      + '"valueContainsNull":true},"nullable":false,'
      + '"metadata":{"comment":"é","n":12345678901234567890}}]}'
    expect(printSchema(parseSchema(text))).toBe(text)
  })

  it('S2: two columns of one name, ignoring case, are refused at any depth', () => {
    expect(() => { checkSchema({ type: 'struct', fields: [column('s', { type: 'array',
      containsNull: true, elementType: { type: 'struct',
        fields: [column('X', 'long'), column('x', 'long')] } })] }) }).toThrow('ignoring case')
    expect(() => { checkSchema({ type: 'struct', fields: [column('', 'long')] }) })
      .toThrow('no name')
  })

  it('S3: what is no schema or no known type is refused', () => {
    const of = (type: string): string => `{"type":"struct","fields":[{"name":"c","type":${type}}]}`
    for (const type of ['"variant"', '"geometry"', '"decimal(39,0)"', '"decimal(5,6)"',
      '{"type":"tensor"}']) {
      expect(() => parseSchema(of(type)), type).toThrow(expect.objectContaining(
        { code: 'delta-unsupported' }) as Error)
    }
    for (const text of ['', '"long"', '{"type":"struct"}', of('7'),
      '{"type":"struct","fields":[1]}',
      of('{"type":"array","elementType":'.repeat(90) + '"long"' + '}'.repeat(90))]) {
      expect(() => parseSchema(text)).toThrow(expect.objectContaining(
        { code: 'delta-corrupt' }) as Error)
    }
    expect(parseSchema(of('"decimal"')).fields[0]?.type).toBe('decimal(10,0)')
  })
})

describe('protocols', () => {
  it('features are in both lists only where both kinds of clients need them', () => {
    const ntz: StructType = { type: 'struct', fields: [column('a', { type: 'array',
      elementType: 'timestamp_ntz', containsNull: true })] }
    expect(protocolFor(ntz, { 'delta.enableInCommitTimestamps': 'true',
      'delta.enableChangeDataFeed': 'true' })).toEqual({ minReaderVersion: 3, minWriterVersion: 7,
      readerFeatures: ['deletionVectors', 'timestampNtz'],
      writerFeatures: ['deletionVectors', 'timestampNtz', 'inCommitTimestamp', 'changeDataFeed'] })
  })

  it('legacy versions imply features, which an upgrade restates', () => {
    const legacy: Protocol = { minReaderVersion: 2, minWriterVersion: 5 }
    expect(readerFeatures(legacy)).toEqual(['columnMapping'])
    expect(writerFeatures(legacy)).toEqual(['appendOnly', 'invariants', 'checkConstraints',
      'changeDataFeed', 'generatedColumns', 'columnMapping'])
    const wider = { ...metadata({ type: 'struct', fields: [column('t', 'timestamp_ntz')] }),
      partitionColumns: [] }
    expect(protocolCovering(legacy, wider)).toEqual({ minReaderVersion: 3, minWriterVersion: 7,
      readerFeatures: ['columnMapping', 'timestampNtz'],
      writerFeatures: ['appendOnly', 'invariants', 'checkConstraints', 'changeDataFeed',
        'generatedColumns', 'columnMapping', 'timestampNtz'] })
    expect(protocolCovering(legacy, metadata())).toBe(legacy)
  })

  it('P1 to P3: what we cannot serve is refused by name', () => {
    const table = (reader: string[], writer: string[]): Protocol => ({ minReaderVersion: 3,
      minWriterVersion: 7, readerFeatures: reader, writerFeatures: writer })
    for (const feature of ['variantType', 'catalogManaged', 'geospatial', 'fromTheFuture']) {
      expect(() => { requireReadable(table([feature, 'deletionVectors'], [feature])) })
        .toThrow(feature)
    }
    requireReadable(table(['deletionVectors'], ['deletionVectors', 'rowTracking']))
    expect(() => { requireWritable(table([], ['icebergCompatV2', 'identityColumns']), metadata()) })
      .toThrow('icebergCompatV2, identityColumns')
    expect(() => { requireReadable({ minReaderVersion: 4, minWriterVersion: 7 }) })
      .toThrow('reader version 4')
    expect(() => { requireWritable({ minReaderVersion: 1, minWriterVersion: 8 }, metadata()) })
      .toThrow('writer version 8')
    const identity = { ...column('i', 'long'), metadata: { 'delta.identity.start': 1 } }
    expect(() => { requireWritable({ minReaderVersion: 1, minWriterVersion: 6 },
      metadata({ type: 'struct', fields: [identity] })) }).toThrow('identityColumns')
    requireWritable({ minReaderVersion: 1, minWriterVersion: 6 }, metadata())
  })
})
