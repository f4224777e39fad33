/**
 * Log reader: commits and whole snapshots from storage.
 *
 * L1  A snapshot at V is the same whether it came from a checkpoint and the rest, or from
 *     every commit since 0.
 * L2  A file that vanishes between listing and reading (clean-up) means: list again, not fail.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { decodeActions } from './action-codec.ts'
import { readCheckpoint } from './checkpoint-reader.ts'
import { findLogSegment, type LogSegment } from './log-segment.ts'
import { SnapshotBuilder, type CommitContent, type Snapshot } from './snapshot.ts'
import { commitPath, type Version } from './version.ts'

const PARALLEL_READS_MAX = 16
const ATTEMPTS_MAX = 3

/** null when the version does not exist (any more). Throws `delta-corrupt` naming the file. */
export async function readCommit(storage: Storage, version: Version)
  : Promise<CommitContent | null> {
  const path = commitPath(version)
  const [body, file] = await Promise.all([storage.get(path), storage.stat(path)])
  if (body === null || file === null) return null
  try {
    return { version, mtimeMs: file.mtimeMs, actions: decodeActions(body.toString('utf8')) }
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    throw new SlipwayError(error.code, `${path}: ${error.message}`, { cause: error })
  }
}

/** The snapshot at a version (null: the newest); null when there is no log. */
export async function loadSnapshot(storage: Storage, at: Version | null)
  : Promise<Snapshot | null> {
  for (let attempt = 1; ; attempt++) {
    const segment = await findLogSegment(storage, at)
    if (segment === null) return null
    const snapshot = await replay(storage, segment, attempt === ATTEMPTS_MAX)
    if (snapshot !== null) return snapshot
  }
}

/** null by L2, unless it is the `last` attempt: then the missing file is an error. */
async function replay(storage: Storage, segment: LogSegment, last: boolean)
  : Promise<Snapshot | null> {
  const builder = new SnapshotBuilder()
  const { checkpoint } = segment
  if (checkpoint !== null) {
    for (const file of checkpoint.files) {
      if (!last && await storage.stat(file.path) === null) return null
    }
    for await (const actions of readCheckpoint(storage, checkpoint)) {
      builder.checkpoint(checkpoint.version, actions)
    }
    // A checkpoint does not hold its commit's time; its commit does, where it is still there.
    if (segment.commits.length === 0) {
      builder.commitTime(await readCommit(storage, checkpoint.version)
        ?? { version: checkpoint.version, mtimeMs: checkpoint.files[0]?.mtimeMs ?? 0, actions: [] })
    }
  }
  for (let at = 0; at < segment.commits.length; at += PARALLEL_READS_MAX) {
    const wanted = segment.commits.slice(at, at + PARALLEL_READS_MAX)
    const commits = await Promise.all(wanted.map(({ version }) => readCommit(storage, version)))
    for (const [index, commit] of commits.entries()) {
      if (commit !== null) {
        builder.commit(commit)
      } else if (last) {
        throw new SlipwayError('delta-corrupt', `${wanted[index]?.file.path ?? ''} is missing`)
      } else {
        return null
      }
    }
  }
  return builder.build()
}
