/**
 * Log clean-up: deletes the log of versions past retention.
 *
 * U1  Everything goes that lies before one checkpoint, nothing else: that checkpoint, its own
 *     commit and all later files stay, so every version from it on can be read.
 * U2  That checkpoint is named by `_last_checkpoint`, or an older one than the named.
 * U3  Both it and its commit are older than the retention: who listed the log within that time
 *     still finds every file of the list (Spark fails on a file that went meanwhile).
 */
import { failpoint } from '../base/failpoint.ts'
import type { Storage } from '../storage/storage.ts'
import { listLog, readLastCheckpoint } from './log-segment.ts'
import { LOG_DIRECTORY, parseLogFileName } from './version.ts'

/** Returns the number of files deleted. `retentionMs`: minutes at least, see U3. */
export async function cleanUpLog(options: {
  readonly storage: Storage
  readonly retentionMs: number
  readonly nowMs: number
}): Promise<number> {
  const { storage } = options
  const hint = await readLastCheckpoint(storage)
  if (hint === null) return 0
  const listing = await listLog(storage, null)
  const horizon = options.nowMs - options.retentionMs
  const commitTimes = new Map(listing.commits.map(({ version, file }) => [version, file.mtimeMs]))
  const boundary = listing.checkpoints.filter(({ version, files }) => version <= hint
    && (commitTimes.get(version) ?? Infinity) < horizon
    && files.every((file) => file.mtimeMs < horizon)).at(-1)
  if (boundary === undefined) return 0
  const old = [
    ...listing.checkpoints.filter(({ version }) => version < boundary.version)
      .flatMap(({ files }) => files),
    ...listing.commits.filter(({ version }) => version < boundary.version)
      .map(({ file }) => file),
    ...listing.others.filter((file) => endsBefore(file.path, boundary.version)),
  ]
  // Commits go oldest first: a crash in between leaves one gapless tail.
  for (const file of old) {
    await storage.delete(file.path)
    failpoint('clean-up.after-delete')
  }
  return old.length
}

function endsBefore(path: string, version: number): boolean {
  const name = parseLogFileName(path.slice(LOG_DIRECTORY.length + 1))
  switch (name.kind) {
    case 'crc': return name.version < version
    case 'compacted': return name.last < version
    default: return false
  }
}
