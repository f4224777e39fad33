/**
 * LogSegment: the files that say what a table is at one version: a checkpoint, and every
 * commit after it.
 *
 * G1  Commits are gapless: a missing one is damage, and its version is named.
 * G2  `_last_checkpoint` only says where to begin looking: missing, stale or garbled, the
 *     segment is the same.
 * G3  A checkpoint of several parts counts only when all of them are there.
 * G4  Compacted commits stand for those that they fold together, never for less or more.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage, StoredObject } from '../storage/storage.ts'
import { isJsonObject, parseJson } from './exact-json.ts'
import { LAST_CHECKPOINT, LOG_DIRECTORY, commitPath, logPathFloor, parseLogFileName, type Version }
  from './version.ts'

export interface CheckpointFiles {
  readonly version: Version
  readonly format: 'parquet' | 'json'
  /** One, or all parts in order. */
  readonly files: readonly StoredObject[]
}

export interface CommitFile {
  readonly version: Version
  readonly file: StoredObject
}

/** Commits `first` … `version`: one, or several that were compacted into one file. */
export interface CommitRange extends CommitFile {
  readonly first: Version
}

export interface LogSegment {
  readonly version: Version
  readonly checkpoint: CheckpointFiles | null
  /** After the checkpoint, rising, gapless. */
  readonly commits: readonly CommitRange[]
}

const NONE: ReadonlySet<string> = new Set()

/**
 * The segment for version `at` (null: the newest); null when there is no log at all.
 * `damaged`: checkpoints and compacted commits to do without, by their paths.
 * Throws `not-found` for a version that does not exist (any more), `delta-corrupt` for a gap.
 */
export async function findLogSegment(storage: Storage, at: Version | null,
  damaged: ReadonlySet<string> = NONE): Promise<LogSegment | null> {
  const hint = damaged.size > 0 ? null : await readLastCheckpoint(storage)
  if (hint !== null && (at === null || hint <= at)) {
    const found = await listLog(storage, hint)
    // G2: believed only when the checkpoint it names is really there.
    if (found.checkpoints.some((checkpoint) => checkpoint.version >= hint
      && (at === null || checkpoint.version <= at))) return segmentOf(found, at)
  }
  const all = await listLog(storage, null)
  if (all.commits.length === 0 && all.checkpoints.length === 0) return null
  return segmentOf(all, at, damaged)
}

const HINT_BYTES_MAX = 2 ** 20

/** The version that `_last_checkpoint` names; null when it is missing or garbled. */
export async function readLastCheckpoint(storage: Storage): Promise<Version | null> {
  const body = await storage.getRange(LAST_CHECKPOINT, { start: 0, end: HINT_BYTES_MAX })
  if (body === null) return null
  try {
    const document = parseJson(body.toString('utf8'))
    const named = isJsonObject(document) ? document.version : null
    return typeof named === 'number' && Number.isSafeInteger(named) && named >= 0
      ? named as Version : null
  } catch (error) {
    if (error instanceof SlipwayError) return null
    throw error
  }
}

export interface LogListing {
  /** Rising. */
  readonly commits: readonly CommitFile[]
  /** Complete ones, rising. */
  readonly checkpoints: readonly CheckpointFiles[]
  readonly compacted: readonly CommitRange[]
  readonly checksums: readonly CommitFile[]
  /** All that is neither a commit nor a part of a checkpoint. */
  readonly others: readonly StoredObject[]
}

/** Everything in the log from version `from` on (null: all). */
export async function listLog(storage: Storage, from: Version | null): Promise<LogListing> {
  const floor = from === null ? null : logPathFloor(from)
  const files = await storage.list(`${LOG_DIRECTORY}/`, floor)
  const commits: CommitFile[] = []
  const checkpoints: CheckpointFiles[] = []
  const compacted: CommitRange[] = []
  const checksums: CommitFile[] = []
  const others: StoredObject[] = []
  const parts = new Map<string, StoredObject[]>()
  for (const file of files) {
    const name = parseLogFileName(file.path.slice(LOG_DIRECTORY.length + 1))
    switch (name.kind) {
      case 'commit': commits.push({ version: name.version, file }); break
      case 'compacted':
        compacted.push({ first: name.version, version: name.last, file })
        others.push(file)
        break
      case 'crc':
        checksums.push({ version: name.version, file })
        others.push(file)
        break
      case 'classic-checkpoint':
        checkpoints.push({ version: name.version, format: 'parquet', files: [file] })
        break
      case 'v2-checkpoint':
        checkpoints.push({ version: name.version, format: name.format, files: [file] })
        break
      case 'multipart-checkpoint': {
        const key = `${name.version}.${name.parts}`
        const found = [...parts.get(key) ?? [], file]
        parts.set(key, found)
        if (found.length === name.parts) {
          checkpoints.push({ version: name.version, format: 'parquet', files: found })
        }
        break
      }
      default: others.push(file)
    }
  }
  // An empty file is what a crashed writer without atomic rename leaves.
  const whole = checkpoints.filter(({ files: all }) => all.every(({ size }) => size > 0))
    .sort((a, b) => a.version - b.version)
  return { commits, checkpoints: whole, compacted, checksums, others }
}

function segmentOf(listing: LogListing, at: Version | null, damaged = NONE): LogSegment {
  const last = listing.commits.at(-1)?.version
  const newest = Math.max(last ?? -1, listing.checkpoints.at(-1)?.version ?? -1) as Version
  const wanted = at ?? newest
  if (wanted > newest) {
    throw new SlipwayError('not-found',
      `version ${wanted} does not exist; the newest is ${newest}`)
  }
  const checkpoint = listing.checkpoints
    .filter((candidate) => candidate.version <= wanted
      && candidate.files.every((file) => !damaged.has(file.path))).at(-1) ?? null
  const first = (checkpoint === null ? 0 : checkpoint.version + 1) as Version
  const compacted = listing.compacted.filter(({ file }) => !damaged.has(file.path))
  const commits = coverOf({ ...listing, compacted }, first, wanted, at !== null)
  return { version: wanted, checkpoint, commits }
}

/** G1, G4: each version from `first` to `last` once, by the longest compacted run. */
function coverOf(listing: LogListing, first: Version, last: Version, asked: boolean)
  : readonly CommitRange[] {
  const single = new Map(listing.commits.map((commit) => [commit.version, commit]))
  const runs = new Map<Version, CommitRange>()
  for (const run of listing.compacted) {
    if (run.version <= last && run.version > (runs.get(run.first)?.version ?? -1)) {
      runs.set(run.first, run)
    }
  }
  const cover: CommitRange[] = []
  for (let next = first; next <= last;) {
    const commit = single.get(next)
    const found = runs.get(next) ?? (commit === undefined ? undefined : { ...commit, first: next })
    if (found === undefined) throw gapAt(next, { first, last, asked })
    cover.push(found)
    next = (found.version + 1) as Version
  }
  return cover
}

/** G1. */
function gapAt(version: Version, range: { readonly first: Version; readonly last: Version
  readonly asked: boolean }): SlipwayError {
  const missing = commitPath(version)
  if (version === 0 && range.first === 0 && range.asked) {
    return new SlipwayError('not-found', `version ${range.last} can no longer be read: `
      + `the log before it was cleaned up (${missing} is gone and no checkpoint covers it)`)
  }
  return new SlipwayError('delta-corrupt', `the log has a gap: ${missing} is missing`)
}
