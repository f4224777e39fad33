/**
 * History: who made which version when, and which version a moment had.
 *
 * H1  Times rise strictly with versions. From `inCommitTimestampEnablementVersion` on they are
 *     the in-commit ones, before it the commit files' modification times, moved up where one
 *     is not above its predecessor's.
 * H2  The version of a moment is the newest one whose time is not after it. A moment outside of
 *     the table's time is refused, and the nearest time is named: its state is not known, yet or
 *     any more.
 *
 * Source: PROTOCOL.md "In-Commit Timestamps"; delta-spark DeltaHistoryManager for H1's second
 * half and for H2.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { CommitInfo } from './actions.ts'
import { readCommit } from './log-reader.ts'
import { listLog, type CommitFile, type LogListing } from './log-segment.ts'
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
  const commits = commitsUpTo(await listLog(storage, null), latest.version)
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
  return timesOf(commitsUpTo(await listLog(storage, null), latest.version), latest)
}

function timesOf(commits: readonly CommitFile[], latest: Snapshot)
  : (commit: CommitContent) => number {
  const times = fileTimes(commits)
  const keptFrom = inCommitTimesOf(latest)?.version ?? null
  return ({ version, actions, mtimeMs }) => {
    const kept = keptFrom !== null && version >= keptFrom
      ? commitInfoIn(actions).inCommitTimestamp : undefined
    return kept ?? times.get(version) ?? mtimeMs
  }
}

/** H2. Throws `not-found`. */
export async function versionAt(storage: Storage, latest: Snapshot, timestampMs: number)
  : Promise<Version> {
  const listing = await listLog(storage, null)
  const commits = commitsUpTo(listing, latest.version)
  const times = fileTimes(commits)
  const kept = inCommitTimesOf(latest)
  const timeOf = async (commit: CommitFile): Promise<number> => {
    const byFile = times.get(commit.version) ?? 0
    if (kept === null || commit.version < kept.version) return byFile
    const content = await readCommit(storage, commit.version)
    return commitInfoIn(content?.actions ?? []).inCommitTimestamp ?? byFile
  }
  const newest = commits.at(-1)
  const newestTime = newest === undefined ? latest.timestampMs : await timeOf(newest)
  if (timestampMs > newestTime) {
    throw outside(`the newest version, ${latest.version}, is of`, newestTime)
  }
  // Files' times need not be below in-commit times: each half is searched by its own.
  const from = kept === null ? 0 : commits.findIndex(({ version }) => version >= kept.version)
  const half = from > 0 && kept !== null
    ? timestampMs >= kept.timestampMs ? commits.slice(from) : commits.slice(0, from) : commits
  const found = await newestNotAfter(half, timestampMs, timeOf)
  const oldest = commits.find(({ version }) => version >= oldestReadable(listing))
  if (found !== undefined && oldest !== undefined && found.version >= oldest.version) {
    return found.version
  }
  throw oldest === undefined ? outside('the newest version is of', newestTime)
    : outside(`the oldest version that can be read, ${oldest.version}, is of`,
      await timeOf(oldest))
}

/** Times rise, so halving reads a few commits of many. */
async function newestNotAfter(commits: readonly CommitFile[], timestampMs: number,
  timeOf: (commit: CommitFile) => Promise<number>): Promise<CommitFile | undefined> {
  let low = 0
  let high = commits.length
  while (low < high) {
    const middle = (low + high) >> 1
    const commit = commits[middle]
    if (commit !== undefined && await timeOf(commit) <= timestampMs) low = middle + 1
    else high = middle
  }
  return commits[low - 1]
}

/** Version 0 while its commit is there, else that of the first checkpoint. */
function oldestReadable(listing: LogListing): number {
  if (listing.commits[0]?.version === 0) return 0
  return listing.checkpoints[0]?.version ?? Infinity
}

function outside(what: string, timeMs: number): SlipwayError {
  const time = new Date(timeMs)
  const shown = Number.isNaN(time.getTime()) ? `${timeMs} ms` : time.toISOString()
  return new SlipwayError('not-found', `the table has no state of that time: ${what} ${shown}`)
}

/** The oldest version whose time is not before the moment. Throws `not-found` after the newest. */
export async function versionFrom(storage: Storage, latest: Snapshot, timestampMs: number)
  : Promise<Version> {
  const commits = commitsUpTo(await listLog(storage, null), latest.version)
  const timeOf = timesOf(commits, latest)
  for (const { version } of commits) {
    const commit = await readCommit(storage, version)
    if (commit !== null && timeOf(commit) >= timestampMs) return version
  }
  throw new SlipwayError('not-found', 'the table has no version at or after that time')
}

/** The gapless run of commits that ends with `last`: older ones no longer stand for a version. */
function commitsUpTo({ commits }: LogListing, last: Version): readonly CommitFile[] {
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

/** Since when in-commit times are kept; null: they are not. */
function inCommitTimesOf({ metadata: { configuration } }: Snapshot)
  : { readonly version: number; readonly timestampMs: number } | null {
  if (configuration['delta.enableInCommitTimestamps'] !== 'true') return null
  // Absent: kept since the table was made.
  return {
    version: Number(configuration['delta.inCommitTimestampEnablementVersion'] ?? '0'),
    timestampMs: Number(configuration['delta.inCommitTimestampEnablementTimestamp'] ?? '0'),
  }
}

function commitInfoIn(actions: readonly object[]): CommitInfo {
  for (const action of actions) {
    if ('commitInfo' in action) return action.commitInfo as CommitInfo
  }
  return {}
}
