/**
 * CRC writer: `<version>.crc`, what a version's state comes to, beside its commit.
 *
 * W1  Written for a version that we committed, never replaced, and never waited for by the
 *     disk: after a power cut it may be missing or empty, and readers do without it.
 * W2  Failing to write it fails nothing: the commit stands.
 *
 * Source: PROTOCOL.md "Version Checksum File".
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { stringifyJson, type JsonValue } from './exact-json.ts'
import type { Snapshot } from './snapshot.ts'
import { crcPath } from './version.ts'

/** Above this the lists of applications and domains are left out, as they may be. */
const LISTED_MAX = 100

/** W1, W2. `txnId`: that of the commit's commitInfo. */
export async function writeChecksum(storage: Storage, snapshot: Snapshot, txnId: string | null)
  : Promise<void> {
  try {
    await storage.putIfAbsent(crcPath(snapshot.version), Buffer.from(checksumOf(snapshot, txnId)),
      { durable: false })
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
  }
}

function checksumOf(snapshot: Snapshot, txnId: string | null): string {
  const document = {
    ...txnId === null ? {} : { txnId },
    tableSizeBytes: snapshot.sizeBytes,
    numFiles: snapshot.fileCount,
    numMetadata: 1,
    numProtocol: 1,
    ...snapshot.inCommitTimestamp === null ? {}
      : { inCommitTimestampOpt: snapshot.inCommitTimestamp },
    ...listed('setTransactions', snapshot.txns()),
    ...listed('domainMetadata', snapshot.domains()),
    metadata: snapshot.metadata,
    protocol: snapshot.protocol,
  }
  return stringifyJson(document as unknown as JsonValue)
}

function listed(name: string, items: Iterable<unknown>): Record<string, unknown> {
  const found = [...items]
  return found.length > LISTED_MAX ? {} : { [name]: found }
}
