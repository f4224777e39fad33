/** What `slipway delta detail` and `files` say of a snapshot: pure. */
import type { PartitionValues } from '../delta/actions.ts'
import { parseDataPath } from '../delta/data-path.ts'
import { readerFeatures, writerFeatures } from '../delta/protocol.ts'
import type { DataType } from '../delta/schema.ts'
import type { Snapshot } from '../delta/snapshot.ts'
import { numRecordsOf } from '../delta/stats.ts'

export interface TableDetail {
  readonly location: string
  readonly version: number
  readonly timestamp: string
  readonly id: string
  readonly name: string | null
  readonly description: string | null
  readonly partitionColumns: readonly string[]
  readonly files: number
  readonly sizeBytes: number
  /** null when some file's statistics do not say. */
  readonly rows: number | null
  readonly deletedRows: number
  readonly minReaderVersion: number
  readonly minWriterVersion: number
  readonly features: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  /** Application to version; 64-bit numbers as texts. */
  readonly transactions: Readonly<Record<string, string>>
  readonly schema: readonly { readonly name: string; readonly type: string
    readonly nullable: boolean }[]
}

export interface FileEntry {
  /** Decoded. */
  readonly path: string
  /** Physical rows; null when the statistics do not say. */
  readonly rows: number | null
  readonly deletedRows: number
  readonly sizeBytes: number
  readonly modificationTime: string
  readonly partitionValues: PartitionValues
}

export function describeTable(location: string, snapshot: Snapshot): TableDetail {
  const { metadata, protocol } = snapshot
  const files = listFiles(snapshot)
  const deletedRows = files.reduce((sum, file) => sum + file.deletedRows, 0)
  const rows = files.reduce<number | null>((sum, file) =>
    sum === null || file.rows === null ? null : sum + file.rows - file.deletedRows, 0)
  return {
    location, version: snapshot.version, timestamp: new Date(snapshot.timestampMs).toISOString(),
    id: metadata.id, name: metadata.name ?? null, description: metadata.description ?? null,
    partitionColumns: metadata.partitionColumns, files: files.length,
    sizeBytes: snapshot.sizeBytes, rows, deletedRows,
    minReaderVersion: protocol.minReaderVersion, minWriterVersion: protocol.minWriterVersion,
    features: [...new Set([...readerFeatures(protocol), ...writerFeatures(protocol)])].sort(),
    properties: metadata.configuration,
    transactions: Object.fromEntries([...snapshot.txns()]
      .map((txn) => [txn.appId, txn.version.toString()])),
    schema: snapshot.schema.fields.map((field) =>
      ({ name: field.name, type: typeText(field.type), nullable: field.nullable })),
  }
}

/** By path. */
export function listFiles(snapshot: Snapshot): readonly FileEntry[] {
  return [...snapshot.files()].map((add): FileEntry => {
    const path = parseDataPath(add.path)
    return { path: path.kind === 'remote' ? path.uri : path.path, rows: numRecordsOf(add.stats),
      deletedRows: add.deletionVector?.cardinality ?? 0, sizeBytes: add.size,
      modificationTime: new Date(add.modificationTime).toISOString(),
      partitionValues: add.partitionValues }
  }).sort((a, b) => a.path < b.path ? -1 : 1)
}

/** As SQL writes it: `array<struct<x:integer>>`. */
function typeText(type: DataType): string {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct':
      return `struct<${type.fields.map((one) => `${one.name}:${typeText(one.type)}`).join(',')}>`
    case 'array': return `array<${typeText(type.elementType)}>`
    case 'map': return `map<${typeText(type.keyType)},${typeText(type.valueType)}>`
  }
}
