/**
 * Log reader: commits and whole snapshots from storage.
 *
 * L1  A snapshot at V is the same whether it came from a checkpoint and the rest, or from
 *     every commit since 0.
 * L2  A file that vanishes between listing and reading (clean-up) means: list again, not fail.
 * L3  A checkpoint or compacted commit that cannot be read is done without, as long as what it
 *     stands for is there in other files; else its damage is the error.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage, StoredObject } from '../storage/storage.ts'
import { decodeActions } from './action-codec.ts'
import { readCheckpoint } from './checkpoint-reader.ts'
import { readChecksum } from './crc-reader.ts'
import { findLogSegment, type CommitRange, type LogSegment } from './log-segment.ts'
import { SnapshotBuilder, type CommitContent, type Snapshot } from './snapshot.ts'
import { LOG_DIRECTORY, commitPath, type Version } from './version.ts'

const PARALLEL_READS_MAX = 16
const ATTEMPTS_MAX = 3
/** Files to do without (L3) before giving up. */
const DAMAGED_MAX = 8

/** null when the version does not exist (any more). Throws `delta-corrupt` naming the file. */
export async function readCommit(storage: Storage, version: Version)
  : Promise<CommitContent | null> {
  const file = await storage.stat(commitPath(version))
  return file === null ? null
    : await readCommitRange(storage, { version, first: version, file })
}

/** null when the file is gone. Throws `delta-corrupt` naming the file. */
export async function readCommitRange(storage: Storage, range: CommitRange)
  : Promise<CommitContent | null> {
  const { version, first, file } = range
  const body = await storage.get(file.path)
  if (body === null) return null
  try {
    // What a writer without fsync leaves behind after a power cut.
    if (body.length === 0) throw new SlipwayError('delta-corrupt', 'the commit is empty')
    return { version, first, mtimeMs: file.mtimeMs, actions: decodeActions(body) }
  } catch (error) {
    throw namingFile(file, error)
  }
}

/** The snapshot at a version (null: the newest); null when there is no log. */
export async function loadSnapshot(storage: Storage, at: Version | null)
  : Promise<Snapshot | null> {
  const damaged = new Set<string>()
  let damage: SlipwayError | null = null
  for (let vanished = 0; ;) {
    const outcome: Replay | null = await insteadOf(damage, async () => {
      const segment = await findLogSegment(storage, at, damaged)
      return segment === null ? null : await replay(storage, segment)
    })
    if (outcome === null) return null
    switch (outcome.kind) {
      case 'replayed': return outcome.snapshot
      case 'damaged':
        damage ??= outcome.error
        if (damaged.size >= DAMAGED_MAX) throw damage
        for (const file of outcome.files) damaged.add(file.path)
        break
      case 'vanished':
        if (++vanished < ATTEMPTS_MAX) break
        throw new SlipwayError('delta-corrupt', `${outcome.file.path} is missing`)
    }
  }
}

/** L3: what fails for want of the damaged file is not the error to tell of. */
async function insteadOf<T>(damage: SlipwayError | null, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw damage ?? error
  }
}

type Replay =
  | { readonly kind: 'replayed'; readonly snapshot: Snapshot }
  | { readonly kind: 'vanished'; readonly file: StoredObject }
  | { readonly kind: 'damaged'; readonly files: readonly StoredObject[]
      readonly error: SlipwayError }

async function replay(storage: Storage, segment: LogSegment): Promise<Replay> {
  const builder = new SnapshotBuilder()
  const { checkpoint, commits } = segment
  if (checkpoint !== null) {
    try {
      for await (const part of readCheckpoint(storage, checkpoint)) {
        builder.checkpoint(checkpoint.version, part)
      }
    } catch (error) {
      const [file] = checkpoint.files
      return { kind: 'damaged', files: checkpoint.files,
        error: file === undefined ? onlyDamage(error) : namingFile(file, onlyDamage(error)) }
    }
  }
  for (let at = 0; at < commits.length; at += PARALLEL_READS_MAX) {
    const wanted = commits.slice(at, at + PARALLEL_READS_MAX)
    const read = await Promise.all(wanted
      .map((range) => attempted(readCommitRange(storage, range))))
    for (const [index, range] of wanted.entries()) {
      const content = read[index] ?? null
      if (content === null) return { kind: 'vanished', file: range.file }
      if (!(content instanceof SlipwayError)) builder.commit(content)
      else if (range.first === range.version) throw content
      else return { kind: 'damaged', files: [range.file], error: content }
    }
  }
  const last = commits.at(-1)
  if (last === undefined || last.first !== last.version) {
    builder.commitTime(await timeOf(storage, segment))
  }
  return { kind: 'replayed', snapshot: builder.build() }
}

/**
 * The commit of the segment's version, for its time alone: neither a checkpoint nor compacted
 * commits hold it. Where clean-up took the commit, its checksum file may still know.
 */
async function timeOf(storage: Storage, segment: LogSegment): Promise<CommitContent> {
  const { version, checkpoint, commits } = segment
  const commit = await readCommit(storage, version)
  if (commit !== null) return commit
  const checksum = await readChecksum(storage, version)
  const inCommitTimestamp = checksum === 'unreadable' ? null : checksum?.inCommitTimestamp ?? null
  const file = commits.at(-1)?.file ?? checkpoint?.files[0]
  return { version, first: version, mtimeMs: file?.mtimeMs ?? 0,
    actions: inCommitTimestamp === null ? [] : [{ commitInfo: { inCommitTimestamp } }] }
}

async function attempted<T>(work: Promise<T>): Promise<T | SlipwayError> {
  try {
    return await work
  } catch (error) {
    return onlyDamage(error)
  }
}

function onlyDamage(error: unknown): SlipwayError {
  if (error instanceof SlipwayError && error.code === 'delta-corrupt') return error
  throw error
}

function namingFile(file: StoredObject, error: unknown): SlipwayError {
  if (!(error instanceof SlipwayError)) throw error
  return error.message.includes(`${LOG_DIRECTORY}/`) ? error
    : new SlipwayError(error.code, `${file.path}: ${error.message}`, { cause: error })
}
