/**
 * Protocol: which table features a table asks for, and which of them we can serve.
 *
 * P1  A table is read only when every reader feature it names is one that we apply.
 * P2  A table is written only when every writer feature it names is one that we keep.
 * P3  A refusal names the features.
 *
 * Source: PROTOCOL.md "Table Features"; legacy versions imply features (there: "Valid Feature
 * Names in Table Features").
 */
import { SlipwayError } from '../base/errors.ts'
import type { Metadata, Protocol } from './actions.ts'
import { mappingMode } from './column-mapping.ts'
import { containsPrimitive, parseSchema, structsIn, type DataType, type StructType }
  from './schema.ts'

const READABLE: ReadonlySet<string> = new Set(['deletionVectors', 'timestampNtz', 'columnMapping',
  'typeWidening', 'typeWidening-preview', 'v2Checkpoint', 'vacuumProtocolCheck'])

/** Kept by every commit of ours, or harmless as long as the property named is not set. */
const WRITABLE: ReadonlySet<string> = new Set(['deletionVectors', 'timestampNtz', 'columnMapping',
  'inCommitTimestamp', 'appendOnly', 'invariants', 'checkConstraints', 'generatedColumns',
  'changeDataFeed', 'domainMetadata', 'vacuumProtocolCheck', 'allowColumnDefaults', 'typeWidening',
  'typeWidening-preview', 'v2Checkpoint', 'rowTracking', 'clustering'])

/** Features that belong in both lists. */
const READER_WRITER: ReadonlySet<string> = new Set(['deletionVectors', 'timestampNtz',
  'columnMapping', 'typeWidening', 'typeWidening-preview', 'v2Checkpoint', 'vacuumProtocolCheck'])

const LEGACY_WRITER: readonly { readonly from: number; readonly features: readonly string[] }[] = [
  { from: 2, features: ['appendOnly', 'invariants'] },
  { from: 3, features: ['checkConstraints'] },
  { from: 4, features: ['changeDataFeed', 'generatedColumns'] },
  { from: 5, features: ['columnMapping'] },
  { from: 6, features: ['identityColumns'] },
]

export function readerFeatures(protocol: Protocol): readonly string[] {
  if (protocol.minReaderVersion === 3) return protocol.readerFeatures ?? []
  return protocol.minReaderVersion === 2 ? ['columnMapping'] : []
}

export function writerFeatures(protocol: Protocol): readonly string[] {
  if (protocol.minWriterVersion === 7) return protocol.writerFeatures ?? []
  return LEGACY_WRITER.filter((level) => level.from <= protocol.minWriterVersion)
    .flatMap((level) => level.features)
}

export function hasFeature(protocol: Protocol, feature: string): boolean {
  return writerFeatures(protocol).includes(feature) || readerFeatures(protocol).includes(feature)
}

/** P1, P3. Throws `delta-unsupported`. */
export function requireReadable(protocol: Protocol): void {
  if (protocol.minReaderVersion > 3 || protocol.minReaderVersion < 1) {
    throw new SlipwayError('delta-unsupported',
      `the table asks for reader version ${protocol.minReaderVersion}; 1 to 3 are supported`)
  }
  refuse('read', readerFeatures(protocol).filter((feature) => !READABLE.has(feature)))
}

/** P2, P3. Throws `delta-unsupported`. */
export function requireWritable(protocol: Protocol, metadata: Metadata): void {
  requireReadable(protocol)
  mappingMode(metadata)
  if (protocol.minWriterVersion > 7) {
    throw new SlipwayError('delta-unsupported',
      `the table asks for writer version ${protocol.minWriterVersion}; 1 to 7 are supported`)
  }
  const legacy = protocol.minWriterVersion < 7
  refuse('write', writerFeatures(protocol).filter((feature) =>
    !WRITABLE.has(feature) && !(legacy && feature === 'identityColumns')))
  refuse('write', featuresInUse(metadata))
}

/** What WRITABLE only allows while nobody uses it: rules that every new row must meet. */
function featuresInUse(metadata: Metadata): readonly string[] {
  const found = new Set<string>()
  if (Object.keys(metadata.configuration).some((key) => key.startsWith('delta.constraints.'))) {
    found.add('checkConstraints')
  }
  const visit = (type: DataType): void => {
    for (const struct of structsIn(type)) {
      for (const field of struct.fields) {
        if ('delta.invariants' in field.metadata) found.add('invariants')
        if ('delta.generationExpression' in field.metadata) found.add('generatedColumns')
        if ('delta.identity.start' in field.metadata) found.add('identityColumns')
        visit(field.type)
      }
    }
  }
  visit(parseSchema(metadata.schemaString))
  return [...found]
}

/** The protocol of a table that we make: (3,7) and nothing that it does not need. */
export function protocolFor(schema: StructType, configuration: Readonly<Record<string, string>>)
  : Protocol {
  return withFeatures({ minReaderVersion: 1, minWriterVersion: 2 },
    ['deletionVectors', ...featuresFor(schema, configuration)], { restate: false })
}

/** The protocol once `metadata` is the table's: features it needs are added, none is removed. */
export function protocolCovering(protocol: Protocol, metadata: Metadata): Protocol {
  const missing = featuresFor(parseSchema(metadata.schemaString), metadata.configuration)
    .filter((feature) => !hasFeature(protocol, feature)
      && !hasFeature(protocol, `${feature}-preview`))
  return missing.length === 0 ? protocol : withFeatures(protocol, missing, { restate: true })
}

/** `protocol` with what `other` asks for beside; itself when that is nothing. */
export function protocolJoined(protocol: Protocol, other: Protocol): Protocol {
  const missing = [...readerFeatures(other), ...writerFeatures(other)]
    .filter((feature) => !hasFeature(protocol, feature))
  return missing.length === 0 ? protocol : withFeatures(protocol, missing, { restate: true })
}

/** A property that needs a feature, by the value that asks for it. */
const FEATURE_OF_PROPERTY: readonly (readonly [string, string, string])[] = [
  ['delta.enableDeletionVectors', 'true', 'deletionVectors'],
  ['delta.enableInCommitTimestamps', 'true', 'inCommitTimestamp'],
  ['delta.enableChangeDataFeed', 'true', 'changeDataFeed'],
  ['delta.appendOnly', 'true', 'appendOnly'],
  ['delta.checkpointPolicy', 'v2', 'v2Checkpoint'],
]

function featuresFor(schema: StructType, configuration: Readonly<Record<string, string>>)
  : readonly string[] {
  const wanted: string[] = []
  if (containsPrimitive(schema, 'timestamp_ntz')) wanted.push('timestampNtz')
  if ((configuration['delta.columnMapping.mode'] ?? 'none') !== 'none') {
    wanted.push('columnMapping')
  }
  // A table of the preview keeps to it: both at once are refused by Spark.
  if (configuration['delta.enableTypeWidening'] === 'true') wanted.push('typeWidening')
  return [...wanted, ...FEATURE_OF_PROPERTY
    .filter(([key, value]) => configuration[key] === value).map(([, , feature]) => feature)]
}

/** Table features (3,7) with `added`; `restate`: what legacy versions implied is named too. */
export function withFeatures(protocol: Protocol, added: readonly string[],
  options: { readonly restate: boolean }): Protocol {
  const old = options.restate || protocol.minWriterVersion === 7 ? writerFeatures(protocol) : []
  const writer = [...new Set([...old, ...added])]
  const reader = new Set([...readerFeatures(protocol), ...writer]
    .filter((feature) => READER_WRITER.has(feature)))
  return { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: [...reader],
    writerFeatures: writer }
}

function refuse(verb: 'read' | 'write', features: readonly string[]): void {
  if (features.length === 0) return
  const names = features.map((feature) => feature.slice(0, 64)).join(', ')
  throw new SlipwayError('delta-unsupported',
    `the table needs features that Slipway cannot ${verb} yet: ${names}`)
}
