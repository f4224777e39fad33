/**
 * Checkpoint: a snapshot written as one Parquet file, and `_last_checkpoint` that names it.
 *
 * K1  The checkpoint is whole and durable before `_last_checkpoint` names it: delta-rs and
 *     ClickHouse fail on a hint to a checkpoint that is not there.
 * K2  The hint only moves forward, and has no `parts` (Trino #26148).
 * K3  Tombstones past the table's retention are left out, and those that are live again.
 * K4  The event loop is never held for more than a batch of actions.
 *
 * Source: PROTOCOL.md "Checkpoints", "Last Checkpoint File".
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { encodeActions } from './action-codec.ts'
import type { Action, RemoveFile } from './actions.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import { readLastCheckpoint } from './log-segment.ts'
import type { Snapshot } from './snapshot.ts'
import { deletedFileRetentionMs } from './table-properties.ts'
import { LAST_CHECKPOINT, LOG_DIRECTORY, checkpointPath } from './version.ts'

const BATCH_ACTIONS = 500

/** Writes a classic checkpoint of the snapshot's version; none when there is one already. */
export async function writeCheckpoint(options: {
  readonly storage: Storage
  readonly snapshot: Snapshot
  readonly writer: CheckpointWriter
  readonly nowMs: number
}): Promise<void> {
  const { storage, writer } = options
  const retentionMs = deletedFileRetentionMs(options.snapshot.metadata)
  const snapshot = options.snapshot.withoutTombstones(options.nowMs - retentionMs)
  const target = checkpointPath(snapshot.version)
  const size = 2 + count(snapshot.txns()) + count(snapshot.domains()) + snapshot.fileCount
    + snapshot.tombstoneCount
  await mkdir(storage.stagingDirectory, { recursive: true })
  const staged = join(storage.stagingDirectory, randomUUID())
  let sizeInBytes: number
  try {
    await writeActions(`${staged}.ndjson`, snapshot)
    await writer.write(`${staged}.ndjson`, `${staged}.parquet`)
    sizeInBytes = (await stat(`${staged}.parquet`)).size
    if (await storage.adopt(`${staged}.parquet`, target) === 'exists') {
      sizeInBytes = (await storage.stat(target))?.size ?? sizeInBytes
    }
  } finally {
    await rm(`${staged}.ndjson`, { force: true })
    await rm(`${staged}.parquet`, { force: true })
  }
  await moveHint(storage, { version: snapshot.version, size, sizeInBytes,
    numOfAddFiles: snapshot.fileCount })
}

/** K1, K2. */
async function moveHint(storage: Storage, hint: { readonly version: number
  readonly size: number; readonly sizeInBytes: number; readonly numOfAddFiles: number })
  : Promise<void> {
  const old = await readLastCheckpoint(storage)
  if (old !== null && old > hint.version) return
  await storage.put(LAST_CHECKPOINT, Buffer.from(JSON.stringify(hint)))
  // Hadoop's checksum of a hint that Spark wrote: left there, Spark retries for 3 s.
  await storage.delete(`${LOG_DIRECTORY}/._last_checkpoint.crc`)
}

async function writeActions(path: string, snapshot: Snapshot): Promise<void> {
  const file = await open(path, 'wx')
  try {
    let batch: Action[] = []
    for (const action of checkpointActions(snapshot)) {
      batch.push(action)
      if (batch.length < BATCH_ACTIONS) continue
      await file.appendFile(encodeActions(batch))
      batch = []
    }
    await file.appendFile(encodeActions(batch))
  } catch (error) {
    throw new SlipwayError('lake-write-failed', 'a checkpoint could not be written',
      { cause: error })
  } finally {
    await file.close()
  }
}

/** PROTOCOL.md: removes without stats and tags; neither commitInfo nor cdc. */
export function* checkpointActions(snapshot: Snapshot): Generator<Action> {
  yield { protocol: snapshot.protocol }
  yield { metaData: snapshot.metadata }
  for (const txn of snapshot.txns()) yield { txn }
  for (const domainMetadata of snapshot.domains()) yield { domainMetadata }
  for (const add of snapshot.files()) yield { add: { ...add, dataChange: false } }
  for (const tombstone of snapshot.tombstones()) {
    const remove: { -readonly [K in keyof RemoveFile]: RemoveFile[K] } =
      { ...tombstone, dataChange: false }
    delete remove.tags
    yield { remove }
  }
}

function count(items: Iterable<unknown>): number {
  return [...items].length
}
