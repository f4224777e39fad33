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
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { failpoint } from '../base/failpoint.ts'
import type { Storage } from '../storage/storage.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import { readLastCheckpoint } from './log-segment.ts'
import type { Snapshot } from './snapshot.ts'
import { deletedFileRetentionMs } from './table-properties.ts'
import { LAST_CHECKPOINT, LOG_DIRECTORY, checkpointPath } from './version.ts'
import { asWriteFailure } from './write-failure.ts'

/**
 * Writes a classic checkpoint of the snapshot's version; none when there is one already.
 * `writer`: kept from one checkpoint to the next it writes only what has changed.
 */
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
  await asWriteFailure('a checkpoint',
    () => mkdir(storage.stagingDirectory, { recursive: true }))
  const file = join(storage.stagingDirectory, `${randomUUID()}.parquet`)
  let size: number
  let sizeInBytes: number
  try {
    const written = await asWriteFailure('a checkpoint',
      () => writer.write({ storage, snapshot, file, path: target }))
    size = written.actions
    sizeInBytes = (await stat(file)).size
    failpoint('checkpoint.after-write')
    if (await storage.adopt(file, target) === 'created') written.keep()
    else sizeInBytes = (await storage.stat(target))?.size ?? sizeInBytes
  } finally {
    await rm(file, { force: true })
  }
  failpoint('checkpoint.before-hint')
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
