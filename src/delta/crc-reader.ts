/**
 * CRC reader: `<version>.crc`, what its writer says that a version's state comes to.
 *
 * The log is the truth: a checksum file is written after its commit by whoever likes to, may be
 * missing, cut short or wrong, and no reader (delta-spark and the kernels, tried) refuses a table
 * by it. It tells the in-commit time of a version whose commit was cleaned up, and fsck holds it
 * against replay.
 *
 * C1  What is not a whole checksum file is `unreadable`, never a number taken for another.
 *
 * Source: PROTOCOL.md "Version Checksum File".
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { decodeAction } from './action-codec.ts'
import type { Metadata, Protocol } from './actions.ts'
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from './exact-json.ts'
import type { Snapshot } from './snapshot.ts'
import { canonicalText, domainsOf, txnsOf } from './state-differences.ts'
import { crcPath, type Version } from './version.ts'

const BYTES_MAX = 64 * 2 ** 20

/** null: the writer did not say. */
export interface Checksum {
  readonly tableSizeBytes: number
  readonly numFiles: number
  readonly inCommitTimestamp: number | null
  readonly metadata: Metadata | null
  readonly protocol: Protocol | null
  readonly numDeletionVectors: number | null
  readonly numDeletedRecords: number | null
  /** Application to its newest version. */
  readonly txns: Readonly<Record<string, bigint>> | null
  /** Domain to its configuration. */
  readonly domains: Readonly<Record<string, string>> | null
}

/** null when there is none. */
export async function readChecksum(storage: Storage, version: Version)
  : Promise<Checksum | 'unreadable' | null> {
  const body = await storage.getRange(crcPath(version), { start: 0, end: BYTES_MAX })
  if (body === null) return null
  try {
    const document = parseJson(body.toString('utf8'))
    return isJsonObject(document) ? decodeChecksum(document) : 'unreadable'
  } catch (error) {
    if (error instanceof SlipwayError) return 'unreadable'
    throw error
  }
}

function decodeChecksum(document: JsonObject): Checksum | 'unreadable' {
  const tableSizeBytes = count(document.tableSizeBytes)
  const numFiles = count(document.numFiles)
  if (tableSizeBytes === null || numFiles === null) return 'unreadable'
  const metadata = actionOf('metaData', document.metadata)
  const protocol = actionOf('protocol', document.protocol)
  const txns = listOf('txn', document.setTransactions)
  const domains = listOf('domainMetadata', document.domainMetadata)
  return {
    tableSizeBytes, numFiles, inCommitTimestamp: count(document.inCommitTimestampOpt),
    metadata: metadata !== null && 'metaData' in metadata ? metadata.metaData : null,
    protocol: protocol !== null && 'protocol' in protocol ? protocol.protocol : null,
    numDeletionVectors: count(document.numDeletionVectorsOpt),
    numDeletedRecords: count(document.numDeletedRecordsOpt),
    txns: txns === null ? null : Object.fromEntries(txns.flatMap((action) =>
      'txn' in action ? [[action.txn.appId, action.txn.version] as const] : [])),
    domains: domains === null ? null : Object.fromEntries(domains.flatMap((action) =>
      'domainMetadata' in action && !action.domainMetadata.removed
        ? [[action.domainMetadata.domain, action.domainMetadata.configuration] as const] : [])),
  }
}

function count(value: JsonValue | undefined): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
}

function actionOf(kind: string, value: JsonValue | undefined): ReturnType<typeof decodeAction> {
  return isJsonObject(value) ? decodeAction({ [kind]: value }) : null
}

function listOf(kind: string, value: JsonValue | undefined)
  : readonly NonNullable<ReturnType<typeof decodeAction>>[] | null {
  if (!Array.isArray(value)) return null
  return (value as readonly JsonValue[]).map((item) => actionOf(kind, item))
    .filter((action) => action !== null)
}

/**
 * What the checksum says otherwise than the snapshot of its version; empty when they agree.
 * `countVectors` goes over all live files.
 */
export function checksumProblems(checksum: Checksum, snapshot: Snapshot,
  options: { readonly countVectors: boolean }): readonly string[] {
  const counts: [string, number | null, number | null][] = [
    ['numFiles', checksum.numFiles, snapshot.fileCount],
    ['tableSizeBytes', checksum.tableSizeBytes, snapshot.sizeBytes],
    ['inCommitTimestamp', checksum.inCommitTimestamp, snapshot.inCommitTimestamp],
  ]
  if (options.countVectors) {
    const { vectors, deleted } = deletionsIn(snapshot)
    counts.push(['numDeletionVectors', checksum.numDeletionVectors, vectors],
      ['numDeletedRecords', checksum.numDeletedRecords, deleted])
  }
  const states: [string, unknown, unknown][] = [
    ['metadata', checksum.metadata, snapshot.metadata],
    ['protocol', checksum.protocol, snapshot.protocol],
    ['setTransactions', checksum.txns, txnsOf(snapshot)],
    ['domainMetadata', checksum.domains, domainsOf(snapshot)],
  ]
  return [
    ...counts.filter(([, said, found]) => said !== null && found !== null && said !== found)
      .map(([name, said, found]) => `says ${name} ${said}, the log ${found}`),
    ...states.filter(([, said, found]) => said !== null
      && canonicalText(said) !== canonicalText(found))
      .map(([name]) => `has another ${name} than the log`),
  ]
}

function deletionsIn(snapshot: Snapshot): { readonly vectors: number; readonly deleted: number } {
  let vectors = 0
  let deleted = 0
  for (const { deletionVector } of snapshot.files()) {
    if (deletionVector === undefined) continue
    vectors++
    deleted += deletionVector.cardinality
  }
  return { vectors, deleted }
}
