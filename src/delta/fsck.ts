/**
 * fsck: whether everything that a table's log says is so.
 *
 * K1  It changes nothing, and goes on after a finding: one run tells of all damage.
 * K2  Every live data file is there with its size; every live deletion vector passes its
 *     checksum and counts no more rows than its file has.
 * K3  Each checkpoint says what the commits up to it say, where both are there.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { AddFile } from './actions.ts'
import { parseDataPath, pathIdentity } from './data-path.ts'
import { deletionVectorId, readDeletionVector } from './deletion-vector.ts'
import { readCheckpoint } from './checkpoint-reader.ts'
import { readCommit } from './log-reader.ts'
import { listLog, readLastCheckpoint, type CheckpointFiles, type LogListing }
  from './log-segment.ts'
import { SnapshotBuilder, type Snapshot } from './snapshot.ts'
import { numRecordsOf } from './stats.ts'
import { commitPath, type Version } from './version.ts'

export interface Finding {
  /** The file, relative to the table's root. */
  readonly path: string
  readonly problem: string
}

export interface FsckReport {
  readonly version: Version | null
  readonly commits: number
  readonly checkpoints: number
  readonly files: number
  readonly deletionVectors: number
  readonly findings: readonly Finding[]
}

/** Reads the log and every deletion vector; of data files only name and size. */
export async function checkTable(storage: Storage): Promise<FsckReport> {
  const findings: Finding[] = []
  const listing = await listLog(storage, null)
  if (listing.commits.length + listing.checkpoints.length === 0) {
    throw new SlipwayError('not-found', `there is no Delta table in ${storage.root}`)
  }
  checkGaps(listing, findings)
  const snapshot = await checkLog(storage, listing, findings)
  await checkHint(storage, listing, findings)
  let files = 0
  let deletionVectors = 0
  for (const file of snapshot?.files() ?? []) {
    files++
    await checkFile(storage, file, findings)
    if (file.deletionVector === undefined) continue
    deletionVectors++
    await checkVector(storage, file, findings)
  }
  return { version: snapshot?.version ?? null, commits: listing.commits.length,
    checkpoints: listing.checkpoints.length, files, deletionVectors, findings }
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

/** K3. The newest snapshot, or null when the log cannot be replayed to its end. */
async function checkLog(storage: Storage, listing: LogListing, findings: Finding[])
  : Promise<Snapshot | null> {
  const checkpoints = new Map(listing.checkpoints.map((one) => [one.version, one]))
  const first = listing.commits[0]?.version ?? 0
  // Commits from 0 are replayed whole; a cleaned-up log begins with its oldest checkpoint.
  const base = first === 0 ? null : listing.checkpoints[0] ?? null
  let snapshot = base === null ? null : await checkpointSnapshot(storage, base, findings)
  const builder = snapshot === null ? new SnapshotBuilder() : null
  for (const { version } of listing.commits) {
    if (snapshot !== null && version <= snapshot.version) continue
    try {
      const commit = await readCommit(storage, version)
      if (commit === null) throw new SlipwayError('delta-corrupt', 'is missing')
      if (snapshot === null) {
        builder?.commit(commit)
        snapshot = builder?.build() ?? null
      } else {
        snapshot = snapshot.next(commit)
      }
    } catch (error) {
      findings.push({ path: commitPath(version), problem: problemOf(error) })
      return null
    }
    const checkpoint = checkpoints.get(version)
    if (checkpoint !== undefined && snapshot !== null) {
      await compareCheckpoint(storage, checkpoint, snapshot, findings)
    }
  }
  return snapshot
}

async function checkpointSnapshot(storage: Storage, checkpoint: CheckpointFiles,
  findings: Finding[]): Promise<Snapshot | null> {
  try {
    const builder = new SnapshotBuilder()
    for await (const actions of readCheckpoint(storage, checkpoint)) {
      builder.checkpoint(checkpoint.version, actions)
    }
    return builder.build()
  } catch (error) {
    findings.push({ path: checkpoint.files[0]?.path ?? '', problem: problemOf(error) })
    return null
  }
}

async function compareCheckpoint(storage: Storage, checkpoint: CheckpointFiles,
  replayed: Snapshot, findings: Finding[]): Promise<void> {
  const stored = await checkpointSnapshot(storage, checkpoint, findings)
  if (stored === null) return
  const path = checkpoint.files[0]?.path ?? ''
  const wanted = liveFiles(replayed)
  const found = liveFiles(stored)
  const lost = [...wanted].filter((file) => !found.has(file)).length
  const extra = [...found].filter((file) => !wanted.has(file)).length
  if (lost + extra > 0) {
    findings.push({ path, problem: `differs from the commits: ${lost} files missing, `
      + `${extra} that are not live` })
  }
  if (stored.metadata.schemaString !== replayed.metadata.schemaString) {
    findings.push({ path, problem: 'has another schema than the commits' })
  }
  for (const { appId } of replayed.txns()) {
    if (stored.txn(appId) !== replayed.txn(appId)) {
      findings.push({ path, problem: 'has another txn than the commits' })
    }
  }
}

function liveFiles(snapshot: Snapshot): ReadonlySet<string> {
  return new Set([...snapshot.files()].map((file) =>
    `${pathIdentity(file.path)}\0${deletionVectorId(file.deletionVector)}`))
}

async function checkHint(storage: Storage, listing: LogListing, findings: Finding[])
  : Promise<void> {
  const hint = await readLastCheckpoint(storage)
  if (hint === null || listing.checkpoints.some(({ version }) => version === hint)) return
  findings.push({ path: '_delta_log/_last_checkpoint',
    problem: `names the checkpoint of version ${hint}, which is not there` })
}

/** K2. Files outside of the table are not looked at. */
async function checkFile(storage: Storage, file: AddFile, findings: Finding[]): Promise<void> {
  const parsed = parseDataPath(file.path)
  if (parsed.kind !== 'relative') return
  const found = await storage.stat(parsed.path)
  if (found === null) {
    findings.push({ path: parsed.path, problem: 'is missing' })
  } else if (found.size !== file.size) {
    findings.push({ path: parsed.path,
      problem: `has ${found.size} bytes, ${file.size} in the log` })
  }
}

async function checkVector(storage: Storage, file: AddFile, findings: Finding[]): Promise<void> {
  if (file.deletionVector === undefined) return
  try {
    const vector = await readDeletionVector(storage, file.deletionVector)
    const rows = numRecordsOf(file.stats)
    let last = -1
    for (const position of vector.positions()) last = position
    if (rows !== null && last >= rows) {
      throw new SlipwayError('delta-corrupt', `deletes row ${last} of ${rows}`)
    }
  } catch (error) {
    findings.push({ path: file.path, problem: problemOf(error) })
  }
}

function problemOf(error: unknown): string {
  if (error instanceof SlipwayError) return error.message
  throw error
}
