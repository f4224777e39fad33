/**
 * History: who made which version when, and which version a moment had.
 *
 * H1  Times rise strictly with versions. From `inCommitTimestampEnablementVersion` on they are
 *     the in-commit ones, before it the commit files' modification times, moved up where one
 *     is not above its predecessor's.
 * H2  The version of a moment is the newest one whose time is not after it.
 *
 * Source: PROTOCOL.md "In-Commit Timestamps"; delta-spark DeltaHistoryManager for H1's second
 * half.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { CommitInfo, Metadata } from './actions.ts'
import { readCommit } from './log-reader.ts'
import { listLog, type CommitFile } from './log-segment.ts'
import type { CommitContent, Snapshot } from './snapshot.ts'
import type { Version } from './version.ts'

export interface HistoryEntry {
  readonly version: Version
  readonly timestampMs: number
  /** Empty when the writer left none. */
  readonly commitInfo: CommitInfo
}

/** Newest first, as far back as the log still goes. `latest`: the table's newest snapshot. */
export async function* readHistory(storage: Storage, latest: Snapshot)
  : AsyncGenerator<HistoryEntry> {
  const commits = await commitsUpTo(storage, latest.version)
  const timeOf = timesOf(commits, latest)
  for (const { version } of commits.toReversed()) {
    const commit = await readCommit(storage, version)
    if (commit === null) continue
    yield { version, timestampMs: timeOf(commit), commitInfo: commitInfoIn(commit.actions) }
  }
}

/** H1, for the commits up to `latest`; milliseconds. */
export async function commitTimes(storage: Storage, latest: Snapshot)
  : Promise<(commit: CommitContent) => number> {
  return timesOf(await commitsUpTo(storage, latest.version), latest)
}

function timesOf(commits: readonly CommitFile[], { metadata }: Snapshot)
  : (commit: CommitContent) => number {
  const times = fileTimes(commits)
  const keptFrom = inCommitTimesFrom(metadata)
  return ({ version, actions, mtimeMs }) => {
    const kept = keptFrom !== null && version >= keptFrom
      ? commitInfoIn(actions).inCommitTimestamp : undefined
    return kept ?? times.get(version) ?? mtimeMs
  }
}

/** H2. Throws `not-found` for a moment before the oldest version that the log still has. */
export async function versionAt(storage: Storage, latest: Snapshot, timestampMs: number)
  : Promise<Version> {
  if (timestampMs >= latest.timestampMs) return latest.version
  const commits = await commitsUpTo(storage, latest.version)
  const times = fileTimes(commits)
  const keptFrom = inCommitTimesFrom(latest.metadata)
  const timeOf = async (commit: CommitFile): Promise<number> => {
    if (keptFrom === null || commit.version < keptFrom) return times.get(commit.version) ?? 0
    const content = await readCommit(storage, commit.version)
    return commitInfoIn(content?.actions ?? []).inCommitTimestamp ?? commit.file.mtimeMs
  }
  // Times rise, so halving reads a few commits of many.
  let low = 0
  let high = commits.length
  while (low < high) {
    const middle = (low + high) >> 1
    const commit = commits[middle]
    if (commit !== undefined && await timeOf(commit) <= timestampMs) low = middle + 1
    else high = middle
  }
  const found = commits[low - 1]
  if (found === undefined) {
    throw new SlipwayError('not-found',
      'the table did not exist at that time, or its log of then was cleaned up')
  }
  return found.version
}

/** The oldest version whose time is not before the moment. Throws `not-found` after the newest. */
export async function versionFrom(storage: Storage, latest: Snapshot, timestampMs: number)
  : Promise<Version> {
  const commits = await commitsUpTo(storage, latest.version)
  const timeOf = timesOf(commits, latest)
  for (const { version } of commits) {
    const commit = await readCommit(storage, version)
    if (commit !== null && timeOf(commit) >= timestampMs) return version
  }
  throw new SlipwayError('not-found', 'the table has no version at or after that time')
}

/** The gapless run of commits that ends with `last`: older ones no longer stand for a version. */
async function commitsUpTo(storage: Storage, last: Version): Promise<readonly CommitFile[]> {
  const { commits } = await listLog(storage, null)
  const upTo = commits.filter((commit) => commit.version <= last)
  let first = upTo.length - 1
  while (first > 0 && upTo[first - 1]?.version === (upTo[first]?.version ?? 0) - 1) first--
  return upTo.slice(Math.max(0, first))
}

/** H1: modification times, each above the one before. */
function fileTimes(commits: readonly CommitFile[]): ReadonlyMap<Version, number> {
  const times = new Map<Version, number>()
  let last = -Infinity
  for (const { version, file } of commits) {
    last = Math.max(file.mtimeMs, last + 1)
    times.set(version, last)
  }
  return times
}

/** null: in-commit times are not kept. */
function inCommitTimesFrom(metadata: Metadata): number | null {
  const { configuration } = metadata
  if (configuration['delta.enableInCommitTimestamps'] !== 'true') return null
  // Absent: kept since the table was made.
  return Number(configuration['delta.inCommitTimestampEnablementVersion'] ?? '0')
}

function commitInfoIn(actions: readonly object[]): CommitInfo {
  for (const action of actions) {
    if ('commitInfo' in action) return action.commitInfo as CommitInfo
  }
  return {}
}
