/**
 * Restore: a new version that is what an older one was.
 *
 * RS1  Every file that comes back is there before anything is written: else `not-found`, and
 *      the table is as it was.
 * RS2  The protocol is never lowered, column ids and physical names are never given twice, and
 *      from when in-commit times are kept stays as it is: the log before must stay readable.
 */
import { isDeepStrictEqual } from 'node:util'
import { SlipwayError } from '../base/errors.ts'
import { failpoint } from '../base/failpoint.ts'
import type { AddFile, Metadata } from './actions.ts'
import { CLUSTERING_DOMAIN } from './clustering.ts'
import { mergeMapping } from './column-mapping.ts'
import { parseDataPath } from './data-path.ts'
import { deletionVectorId, deletionVectorPath } from './deletion-vector.ts'
import { protocolJoined } from './protocol.ts'
import type { Snapshot } from './snapshot.ts'
import type { DeltaTable } from './table.ts'
import type { Transaction } from './transaction.ts'
import type { Version } from './version.ts'

export type RestoreTarget =
  | { readonly version: Version }
  /** Milliseconds. */
  | { readonly timestampMs: number }

export interface RestoreReport {
  /** null: the table is as it was then, or the run was dry. */
  readonly version: Version | null
  readonly restoredVersion: Version
  readonly filesRemoved: number
  readonly filesRestored: number
  readonly bytesRemoved: number
  readonly bytesRestored: number
  readonly metadataChanged: boolean
}

const ATTEMPTS_MAX = 20
const PARALLEL_STATS_MAX = 32

/** Throws `not-found` for a version that is gone, or whose files are. */
export async function restore(options: {
  readonly table: DeltaTable
  readonly target: RestoreTarget
  readonly dryRun?: boolean
}): Promise<RestoreReport> {
  const { table, target } = options
  const wanted = 'version' in target ? await table.at(target.version)
    : await table.atTimestamp(target.timestampMs)
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const current = await table.latest()
    const difference = differenceOf(current, wanted)
    await requireFiles(table, wanted, difference.added)
    if (options.dryRun === true || isSame(difference)) return reportOf(null, wanted, difference)
    failpoint('restore.before-commit')
    const outcome = await transactionOf(table, target, wanted, difference).commit()
    if (outcome.kind === 'committed') return reportOf(outcome.version, wanted, difference)
  }
  throw new SlipwayError('delta-conflict', 'other writers changed the table again and again')
}

interface Difference {
  readonly removed: readonly AddFile[]
  readonly added: readonly AddFile[]
  readonly metadata: Metadata | null
  readonly changesClustering: boolean
}

function differenceOf(current: Snapshot, wanted: Snapshot): Difference {
  const holds = (snapshot: Snapshot, file: AddFile): boolean => {
    const other = snapshot.file(file.path)
    return other !== null
      && deletionVectorId(other.deletionVector) === deletionVectorId(file.deletionVector)
  }
  const metadata = restoredMetadata(current.metadata, wanted.metadata)
  return {
    removed: [...current.files()].filter((file) => !holds(wanted, file)),
    added: [...wanted.files()].filter((file) => !holds(current, file)),
    metadata: isDeepStrictEqual(metadata, current.metadata) ? null : metadata,
    changesClustering: current.domain(CLUSTERING_DOMAIN) !== wanted.domain(CLUSTERING_DOMAIN),
  }
}

function isSame({ removed, added, metadata, changesClustering }: Difference): boolean {
  return removed.length + added.length === 0 && metadata === null && !changesClustering
}

/** RS2. */
function restoredMetadata(current: Metadata, wanted: Metadata): Metadata {
  const times = Object.entries(current.configuration)
    .filter(([key]) => key.toLowerCase().includes('incommittimestamp'))
  const others = Object.entries(wanted.configuration)
    .filter(([key]) => !key.toLowerCase().includes('incommittimestamp'))
  return mergeMapping(current, { ...wanted, id: current.id,
    configuration: Object.fromEntries([...others, ...times]) })
}

function transactionOf(table: DeltaTable, target: RestoreTarget, wanted: Snapshot,
  difference: Difference): Transaction {
  const transaction = table.begin({ operation: 'RESTORE', readsWholeTable: true,
    operationParameters: {
      version: 'version' in target ? String(target.version) : 'null',
      timestamp: 'version' in target ? 'null' : new Date(target.timestampMs).toISOString() },
    operationMetrics: metricsOf(reportOf(null, wanted, difference)) })
  if (difference.metadata !== null) transaction.setMetadata(difference.metadata)
  const { protocol } = transaction.snapshot
  const joined = protocolJoined(protocol, wanted.protocol)
  if (joined !== protocol) transaction.setProtocol(joined)
  for (const file of difference.removed) transaction.remove(file)
  for (const file of difference.added) transaction.addAgain({ ...file, dataChange: true })
  if (difference.changesClustering) {
    transaction.setDomain(CLUSTERING_DOMAIN, wanted.domain(CLUSTERING_DOMAIN))
  }
  return transaction
}

/** RS1. */
async function requireFiles(table: DeltaTable, wanted: Snapshot, files: readonly AddFile[])
  : Promise<void> {
  const { storage } = table
  const paths = new Set(files.flatMap((file) => {
    const parsed = parseDataPath(file.path)
    if (parsed.kind !== 'relative') {
      throw new SlipwayError('delta-unsupported',
        'a data file lies outside of its table, which is not restored')
    }
    const vector = file.deletionVector === undefined ? null
      : deletionVectorPath(storage, file.deletionVector)
    return vector === null ? [parsed.path] : [parsed.path, vector]
  }))
  const missing: string[] = []
  const wantedPaths = [...paths]
  for (let at = 0; at < wantedPaths.length; at += PARALLEL_STATS_MAX) {
    const some = wantedPaths.slice(at, at + PARALLEL_STATS_MAX)
    const found = await Promise.all(some.map((path) => storage.stat(path)))
    missing.push(...some.filter((_, index) => found[index] === null))
  }
  if (missing.length === 0) return
  throw new SlipwayError('not-found', `version ${wanted.version} cannot be restored: `
    + `${missing.length} of its files are gone, such as ${missing[0] ?? ''}`,
    { hint: 'VACUUM has removed them; restore a newer version.' })
}

function reportOf(version: Version | null, wanted: Snapshot, difference: Difference)
  : RestoreReport {
  const bytes = (files: readonly AddFile[]): number =>
    files.reduce((sum, file) => sum + file.size, 0)
  return { version, restoredVersion: wanted.version, filesRemoved: difference.removed.length,
    filesRestored: difference.added.length, bytesRemoved: bytes(difference.removed),
    bytesRestored: bytes(difference.added), metadataChanged: difference.metadata !== null }
}

function metricsOf(report: RestoreReport): Readonly<Record<string, string>> {
  return { numRemovedFiles: String(report.filesRemoved),
    numRestoredFiles: String(report.filesRestored), removedFilesSize: String(report.bytesRemoved),
    restoredFilesSize: String(report.bytesRestored) }
}
