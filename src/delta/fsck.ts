/**
 * fsck: whether everything that a table's log says is so.
 *
 * K1  It changes nothing, and goes on after a finding: one run tells of all damage.
 * K2  Every live data file is there with its size; every live deletion vector passes its
 *     checksum and counts no more rows than its file has.
 * K3  Each checkpoint, compacted commit and checksum file says what the commits up to it say,
 *     where both are there.
 * K4  What is in the data files is looked at by the caller's DataCheck, where there is one.
 */
import { SlipwayError } from '../base/errors.ts'
import { tableName, type Storage } from '../storage/storage.ts'
import type { AddFile } from './actions.ts'
import { readCheckpoint } from './checkpoint-reader.ts'
import { checksumProblems, readChecksum } from './crc-reader.ts'
import { filePlace, shownPath } from './data-path.ts'
import { readDeletionVector } from './deletion-vector.ts'
import { readCommit, readCommitRange } from './log-reader.ts'
import { listLog, readLastCheckpoint, type CheckpointFiles, type CommitRange, type LogListing }
  from './log-segment.ts'
import { SnapshotBuilder, type Snapshot } from './snapshot.ts'
import { stateDifferences } from './state-differences.ts'
import { numRecordsOf } from './stats.ts'
import { LAST_CHECKPOINT, commitPath, crcPath, type Version } from './version.ts'

export interface Finding {
  /** The file, relative to the table's root. */
  readonly path: string
  readonly problem: string
}

export interface FsckReport {
  readonly version: Version | null
  readonly commits: number
  readonly checkpoints: number
  readonly checksums: number
  readonly files: number
  readonly deletionVectors: number
  readonly findings: readonly Finding[]
}

/** K4: the problems of one live file's data; none when it is sound. */
export type DataCheck = (file: AddFile, snapshot: Snapshot) => Promise<readonly string[]>

/** Reads the log and every deletion vector; of data files only name and size, but for K4. */
export async function checkTable(storage: Storage,
  options: { readonly dataCheck?: DataCheck } = {}): Promise<FsckReport> {
  const findings: Finding[] = []
  const listing = await listLog(storage, null)
  if (listing.commits.length + listing.checkpoints.length === 0) {
    throw new SlipwayError('not-found', `there is no Delta table in ${storage.root}`)
  }
  checkGaps(listing, findings)
  const snapshot = await new LogCheck(storage, listing, findings).run()
  await checkHint(storage, listing, findings)
  let files = 0
  let deletionVectors = 0
  for (const file of snapshot?.files() ?? []) {
    files++
    if (file.deletionVector !== undefined) deletionVectors++
    const problems = [...await fileProblems(storage, file), ...await vectorProblems(storage, file)]
    // What is missing or cut short has been told of.
    if (problems.length === 0 && snapshot !== null) {
      problems.push(...await options.dataCheck?.(file, snapshot) ?? [])
    }
    for (const problem of problems) findings.push({ path: shownPath(file.path), problem })
  }
  return { version: snapshot?.version ?? null, commits: listing.commits.length,
    checkpoints: listing.checkpoints.length, checksums: listing.checksums.length, files,
    deletionVectors, findings }
}

function checkGaps(listing: LogListing, findings: Finding[]): void {
  let expected = listing.commits[0]?.version ?? 0
  for (const { version } of listing.commits) {
    for (; expected < version; expected++) {
      findings.push({ path: commitPath(expected as Version), problem: 'is missing' })
    }
    expected = (version + 1)
  }
}

/** Replays commit after commit, and holds everything else in the log against that (K3). */
class LogCheck {
  readonly #storage: Storage
  readonly #listing: LogListing
  readonly #findings: Finding[]
  readonly #checkpoints = new Map<Version, CheckpointFiles[]>()
  readonly #checksums: ReadonlySet<Version>
  /** Compacted commits by their last version, with the state before their first. */
  readonly #compacted = new Map<CommitRange, Snapshot>()

  constructor(storage: Storage, listing: LogListing, findings: Finding[]) {
    this.#storage = storage
    this.#listing = listing
    this.#findings = findings
    for (const checkpoint of listing.checkpoints) {
      const known = this.#checkpoints.get(checkpoint.version)
      if (known === undefined) this.#checkpoints.set(checkpoint.version, [checkpoint])
      else known.push(checkpoint)
    }
    this.#checksums = new Set(listing.checksums.map(({ version }) => version))
  }

  /** The newest snapshot, or null when the log cannot be replayed to its end. */
  async run(): Promise<Snapshot | null> {
    const { commits, checkpoints } = this.#listing
    // Commits from 0 are replayed whole; a cleaned-up log begins with its oldest checkpoint.
    const base = commits[0]?.version === 0 ? null : checkpoints[0] ?? null
    let snapshot = base === null ? null : await this.#stored(base)
    for (const { version } of commits) {
      if (snapshot !== null && version <= snapshot.version) continue
      const next = await this.#replayed(snapshot, version)
      if (next === null) return null
      this.#checkTime(snapshot, next)
      snapshot = next
      await this.#compare(snapshot)
    }
    return snapshot
  }

  async #replayed(before: Snapshot | null, version: Version): Promise<Snapshot | null> {
    try {
      const commit = await readCommit(this.#storage, version)
      if (commit === null) throw new SlipwayError('delta-corrupt', 'is missing')
      if (before !== null) return before.next(commit)
      const builder = new SnapshotBuilder()
      builder.commit(commit)
      return builder.build()
    } catch (error) {
      this.#found(commitPath(version), problemOf(error, this.#storage))
      return null
    }
  }

  /** PROTOCOL.md "In-Commit Timestamps": each is above the one before. */
  #checkTime(before: Snapshot | null, next: Snapshot): void {
    const keeps = next.metadata.configuration['delta.enableInCommitTimestamps'] === 'true'
    if (keeps && next.inCommitTimestamp === null) {
      this.#found(commitPath(next.version), 'has no in-commit timestamp')
    }
    if ((before?.inCommitTimestamp ?? -Infinity) >= (next.inCommitTimestamp ?? Infinity)) {
      this.#found(commitPath(next.version), 'has an in-commit timestamp that does not rise')
    }
  }

  async #compare(replayed: Snapshot): Promise<void> {
    const { version } = replayed
    for (const checkpoint of this.#checkpoints.get(version) ?? []) {
      const stored = await this.#stored(checkpoint)
      if (stored === null) continue
      for (const problem of stateDifferences(stored, replayed)) {
        this.#found(checkpoint.files[0]?.path ?? '', problem)
      }
    }
    if (this.#checksums.has(version)) await this.#compareChecksum(replayed)
    for (const [range, before] of this.#compacted) {
      if (range.version === version) await this.#compareCompacted(range, before, replayed)
    }
    for (const range of this.#listing.compacted) {
      if (range.first === version + 1) this.#compacted.set(range, replayed)
    }
  }

  async #compareChecksum(replayed: Snapshot): Promise<void> {
    const path = crcPath(replayed.version)
    const checksum = await readChecksum(this.#storage, replayed.version)
    if (checksum === null) return
    if (checksum === 'unreadable') {
      this.#found(path, 'is not a readable checksum file')
      return
    }
    // Counting deletion vectors goes over all files: once is enough.
    const newest = replayed.version === this.#listing.commits.at(-1)?.version
    for (const problem of checksumProblems(checksum, replayed, { countVectors: newest })) {
      this.#found(path, problem)
    }
  }

  async #compareCompacted(range: CommitRange, before: Snapshot, replayed: Snapshot)
    : Promise<void> {
    this.#compacted.delete(range)
    const { path } = range.file
    try {
      const content = await readCommitRange(this.#storage, range)
      if (content === null) return
      for (const problem of stateDifferences(before.next(content), replayed)) {
        this.#found(path, problem)
      }
    } catch (error) {
      this.#found(path, problemOf(error, this.#storage))
    }
  }

  async #stored(checkpoint: CheckpointFiles): Promise<Snapshot | null> {
    try {
      const builder = new SnapshotBuilder()
      for await (const part of readCheckpoint(this.#storage, checkpoint)) {
        builder.checkpoint(checkpoint.version, part)
      }
      return builder.build()
    } catch (error) {
      this.#found(checkpoint.files[0]?.path ?? '', problemOf(error, this.#storage))
      return null
    }
  }

  #found(path: string, problem: string): void {
    this.#findings.push({ path, problem })
  }
}

async function checkHint(storage: Storage, listing: LogListing, findings: Finding[])
  : Promise<void> {
  const hint = await readLastCheckpoint(storage)
  if (hint === null || listing.checkpoints.some(({ version }) => version === hint)) return
  findings.push({ path: LAST_CHECKPOINT,
    problem: `names the checkpoint of version ${hint}, which is not there` })
}

/** K2. A file that the storage may not read is a finding: nobody has looked at it. */
async function fileProblems(storage: Storage, file: AddFile): Promise<readonly string[]> {
  try {
    const place = filePlace(storage, file.path)
    const found = await place.storage.stat(place.path)
    if (found === null) return ['is missing']
    return found.size === file.size ? []
      : [`has ${found.size} bytes, ${file.size} in the log`]
  } catch (error) {
    return [problemOf(error, storage)]
  }
}

async function vectorProblems(storage: Storage, file: AddFile): Promise<readonly string[]> {
  if (file.deletionVector === undefined) return []
  try {
    const { last } = await readDeletionVector(storage, file.deletionVector)
    const rows = numRecordsOf(file.stats)
    return rows !== null && last !== null && last >= rows ? [`deletes row ${last} of ${rows}`] : []
  } catch (error) {
    return [problemOf(error, storage)]
  }
}

/** The report's reader knows which table it is of. */
function problemOf(error: unknown, storage: Storage): string {
  if (error instanceof SlipwayError) return error.message.replace(`${tableName(storage)}: `, '')
  throw error
}
