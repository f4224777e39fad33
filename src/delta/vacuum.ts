/**
 * Vacuum: deletes the files that no version within the retention needs.
 *
 * VA1  A file stays that a live file, a deletion vector or a change file of any version of the
 *      retention names, and any file younger than the retention: a commit may yet name it.
 * VA2  A retention below the table's own is refused unless it is forced: readers and writers
 *      that run may lose files under their hands.
 * VA3  Names that begin with `_` or `.` are others' business, but for `_change_data`, folders of
 *      partition columns, and our own staging directory, whose leftovers go after a day.
 *
 * Source: delta-spark VacuumCommand.
 */
import { SlipwayError } from '../base/errors.ts'
import { failpoint } from '../base/failpoint.ts'
import type { Storage, StoredObject } from '../storage/storage.ts'
import type { Action, AddFile, RemoveFile } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { parseDataPath } from './data-path.ts'
import { deletionVectorPath } from './deletion-vector.ts'
import { readCommit } from './log-reader.ts'
import { listLog } from './log-segment.ts'
import { partitionFields } from './partitioning.ts'
import { requireWritable } from './protocol.ts'
import type { Snapshot } from './snapshot.ts'
import type { DeltaTable } from './table.ts'
import { deletedFileRetentionMs } from './table-properties.ts'
import { LOG_DIRECTORY } from './version.ts'

export interface VacuumOptions {
  readonly table: DeltaTable
  /** Absent: the table's `delta.deletedFileRetentionDuration`, else seven days. */
  readonly retentionMs?: number
  /** VA2. */
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly nowMs: number
  readonly onProgress?: (deleted: number, total: number) => void
  readonly signal?: AbortSignal
}

export interface VacuumReport {
  /** Relative to the table's root, in order; deleted, or to be deleted when dry. */
  readonly files: readonly string[]
  readonly bytes: number
  readonly retentionMs: number
}

const CHANGE_DATA = '_change_data'
const STAGING = '_staging'
const STAGED_AGE_MAX_MS = 24 * 3_600_000
const PARALLEL_DELETES_MAX = 16

/** Throws `usage` by VA2. */
export async function vacuum(options: VacuumOptions): Promise<VacuumReport> {
  const { table, nowMs } = options
  // Listed first: a file that a commit names after this was made before it, and is young.
  const found = await table.storage.listTree('')
  const snapshot = await table.latest()
  requireWritable(snapshot.protocol, snapshot.metadata)
  const ownMs = deletedFileRetentionMs(snapshot.metadata)
  const retentionMs = options.retentionMs ?? ownMs
  if (retentionMs < ownMs && options.force !== true) throw tooShort(retentionMs, ownMs)
  const horizon = nowMs - retentionMs
  // Checkpoints keep tombstones for the table's own retention only; change files, never.
  const beyondTombstones = retentionMs > ownMs
    || found.some(({ path }) => path.startsWith(`${CHANGE_DATA}/`))
  const needed = await neededFiles(table.storage, snapshot, horizon, beyondTombstones)
  const isCandidate = candidates(snapshot, nowMs - Math.min(retentionMs, STAGED_AGE_MAX_MS),
    horizon)
  const old = found.filter((file) => isCandidate(file) && !needed.has(file.path))
  if (options.dryRun !== true) await deleteAll(options, old)
  return { files: old.map(({ path }) => path), retentionMs,
    bytes: old.reduce((sum, file) => sum + file.size, 0) }
}

function tooShort(retentionMs: number, ownMs: number): SlipwayError {
  const hours = (ms: number): string => `${Math.round(ms / 36_000) / 100} hours`
  return new SlipwayError('usage', `a retention of ${hours(retentionMs)} is shorter than the `
    + `table's own of ${hours(ownMs)}: who reads or writes an older version now would lose files`,
  { hint: 'If nobody does, force it (--force).' })
}

/** VA1: what is not to be deleted, whatever its age. */
async function neededFiles(storage: Storage, snapshot: Snapshot, horizon: number,
  beyondTombstones: boolean): Promise<ReadonlySet<string>> {
  const needed = new Set<string>()
  for (const file of snapshot.files()) addNames(needed, storage, file)
  for (const file of snapshot.tombstones()) {
    if ((file.deletionTimestamp ?? 0) >= horizon) addNames(needed, storage, file)
  }
  if (beyondTombstones) await addLogged(needed, storage, horizon)
  return needed
}

/** From the commits that are not before the horizon. */
async function addLogged(needed: Set<string>, storage: Storage, horizon: number): Promise<void> {
  const { commits } = await listLog(storage, null)
  for (const { version } of commits.toReversed()) {
    const commit = await readCommit(storage, version)
    if (commit === null) continue
    for (const action of commit.actions) addAction(needed, storage, action)
    if (commit.mtimeMs < horizon) return
  }
}

function addAction(needed: Set<string>, storage: Storage, action: Action): void {
  if ('remove' in action) addNames(needed, storage, action.remove)
  else if ('add' in action) addNames(needed, storage, action.add)
  else if ('cdc' in action) addNames(needed, storage, action.cdc)
}

function addNames(needed: Set<string>, storage: Storage,
  file: Pick<AddFile | RemoveFile, 'path' | 'deletionVector'>): void {
  const path = ownPath(storage, file.path)
  if (path !== null) needed.add(path)
  const { deletionVector } = file
  if (deletionVector === undefined) return
  const vector = deletionVector.storageType === 'p'
    ? ownPath(storage, deletionVector.pathOrInlineDv) : deletionVectorPath(storage, deletionVector)
  if (vector !== null) needed.add(vector)
}

/** null for what lies outside; a shallow clone may name files of its own absolutely. */
function ownPath(storage: Storage, path: string): string | null {
  const parsed = parseDataPath(path)
  if (parsed.kind === 'relative') return parsed.path
  const root = storage.root.endsWith('/') ? storage.root : `${storage.root}/`
  return parsed.kind === 'absolute' && parsed.path.startsWith(root)
    ? parsed.path.slice(root.length) : null
}

/** VA1's age, and VA3. */
function candidates(snapshot: Snapshot, stagedBeforeMs: number, horizon: number)
  : (file: StoredObject) => boolean {
  const partitions = partitionFields(snapshot.metadata)
    .flatMap((field) => [`${physicalName(field)}=`, `${field.name}=`])
  return ({ path, mtimeMs }) => {
    const parts = path.split('/')
    if (parts[0] === STAGING) return mtimeMs < stagedBeforeMs
    if (parts[0] === LOG_DIRECTORY || mtimeMs >= horizon) return false
    return parts.every((part, at) => !/^[_.]/.test(part) || (at === 0 && part === CHANGE_DATA)
      || (at < parts.length - 1 && partitions.some((prefix) => part.startsWith(prefix))))
  }
}

async function deleteAll(options: VacuumOptions, old: readonly StoredObject[]): Promise<void> {
  const { storage } = options.table
  for (let at = 0; at < old.length; at += PARALLEL_DELETES_MAX) {
    options.signal?.throwIfAborted()
    const some = old.slice(at, at + PARALLEL_DELETES_MAX)
    await Promise.all(some.map(({ path }) => storage.delete(path)))
    failpoint('vacuum.after-deletes')
    options.onProgress?.(Math.min(old.length, at + PARALLEL_DELETES_MAX), old.length)
  }
}
