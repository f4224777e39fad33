/**
 * Optimize: the same rows in better files: small ones packed, deleted rows left out, rows of
 * near values together.
 *
 * OZ1  The rows of the table are the same before and after: every commit is `dataChange: false`.
 * OZ2  Appends of others never conflict with it. Where another writer has removed or changed a
 *      file meanwhile, that bin alone is given up.
 * OZ3  A table that says itself what it is clustered by is clustered by that, and files that
 *      another implementation clustered are left to it. Rows keep their ids where they have any.
 * OZ4  Memory is the rewriter's and one action a file. Killed at any moment it leaves the table
 *      as it was, and files that VACUUM removes.
 */
import { SlipwayError } from '../base/errors.ts'
import { failpoint } from '../base/failpoint.ts'
import type { AddFile } from './actions.ts'
import { CLUSTERING_DOMAIN, CLUSTERING_PROVIDER, clusteringColumns } from './clustering.ts'
import { mappingMode, physicalName } from './column-mapping.ts'
import { deletionVectorId } from './deletion-vector.ts'
import { CLUSTERED_TAG, clusteredBy, planOptimize, type OptimizeBin } from './optimize-plan.ts'
import type { ParquetRewriter } from './parquet-rewriter.ts'
import { requireWritable } from './protocol.ts'
import { discardFiles, rewriteSource, rewriteStaged } from './rewritten-files.ts'
import { rowIdColumns } from './row-tracking.ts'
import type { Snapshot } from './snapshot.ts'
import { numRecordsOf } from './stats.ts'
import type { DeltaTable } from './table.ts'
import { targetFileBytes } from './table-properties.ts'
import type { Version } from './version.ts'

export interface OptimizeOptions {
  readonly table: DeltaTable
  readonly rewriter: ParquetRewriter
  /** Logical names of top-level columns; absent: the table's own, else files are packed only. */
  readonly clusterBy?: readonly string[]
  /** Absent: the table's `delta.targetFileSize`, else 128 MiB. */
  readonly fileBytes?: number
  /** Plans and says what would be rewritten. */
  readonly dryRun?: boolean
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void
  readonly signal?: AbortSignal
}

export interface OptimizeReport {
  /** null: nothing was committed. */
  readonly version: Version | null
  readonly filesRemoved: number
  readonly filesAdded: number
  readonly bytesRemoved: number
  readonly bytesAdded: number
  readonly deletionVectorsRemoved: number
  /** Given up by OZ2. */
  readonly binsSkipped: number
}

interface Clustering {
  /** Physical names; empty: files are packed only. */
  readonly columns: readonly string[]
  /** They are the table's own. */
  readonly isTables: boolean
}

interface Rewrite { readonly bin: OptimizeBin; readonly adds: readonly AddFile[] }

/** Commits of others that win against one of ours before it gives up. */
const ATTEMPTS_MAX = 20
/** DuckDB's own number of rows, and its least. */
const ROW_GROUP_ROWS_MAX = 122_880
const ROW_GROUP_ROWS_MIN = 2_048
const ROW_GROUPS_PER_FILE = 4

/** Throws `usage` for columns without an order, `delta-conflict` when others always win. */
export async function optimize(options: OptimizeOptions): Promise<OptimizeReport> {
  const { table } = options
  const snapshot = await table.latest()
  requireWritable(snapshot.protocol, snapshot.metadata)
  requireRewritable(snapshot)
  const clustering = clusteringOf(snapshot, options.clusterBy ?? [])
  const fileBytes = options.fileBytes ?? targetFileBytes(snapshot.metadata)
  const bins = planOptimize(filesToPlan(snapshot, clustering),
    { fileBytes, clusterBy: clustering.columns })
  if (options.dryRun === true) {
    return reportOf(null, bins.map((bin) => ({ bin, adds: [] })), 0)
  }
  const total = bins.reduce((sum, bin) => sum + bin.bytes, 0)
  const done: Rewrite[] = []
  let doneBytes = 0
  try {
    for (const bin of bins) {
      done.push(await rewriteBin(options, snapshot, bin, { clustering, fileBytes }))
      options.onProgress?.(doneBytes += bin.bytes, total)
    }
    failpoint('optimize.before-commit')
    return await commit(options, done, clustering)
  } catch (error) {
    await discard(table, done)
    throw error
  }
}

/** What Spark calls the ids' columns in files of this mode is nowhere said. */
function requireRewritable({ metadata }: Snapshot): void {
  if (rowIdColumns(metadata) === null || mappingMode(metadata) !== 'id') return
  throw new SlipwayError('delta-unsupported',
    'a table with row tracking and columns mapped by id is not rewritten')
}

/** OZ3. */
function clusteringOf(snapshot: Snapshot, names: readonly string[]): Clustering {
  const own = clusteringColumns(snapshot.domain(CLUSTERING_DOMAIN))
  if (own.length === 0) return { columns: clusterColumns(snapshot, names), isTables: false }
  if (names.length > 0) {
    throw new SlipwayError('usage', 'the table has clustering columns of its own: name none')
  }
  if (own.some((path) => path.length > 1)) {
    throw new SlipwayError('delta-unsupported',
      'the table is clustered by a field of a struct, which Slipway does not do yet')
  }
  return { columns: own.flat(), isTables: true }
}

function * filesToPlan(snapshot: Snapshot, { isTables }: Clustering): Generator<AddFile> {
  for (const file of snapshot.files()) {
    const provider = file.clusteringProvider ?? CLUSTERING_PROVIDER
    if (!isTables || provider === CLUSTERING_PROVIDER) yield file
  }
}

/** Physical names. */
function clusterColumns(snapshot: Snapshot, names: readonly string[]): readonly string[] {
  return names.map((name, at) => {
    const field = snapshot.schema.fields.find((one) => one.name === name)
    if (field === undefined) throw new SlipwayError('not-found', `there is no column ${name}`)
    if (names.indexOf(name) !== at) {
      throw new SlipwayError('usage', `${name} is named twice`)
    }
    if (snapshot.metadata.partitionColumns.includes(name)) {
      throw new SlipwayError('usage', `${name} is a partition column: its rows lie together as is`)
    }
    if (typeof field.type !== 'string') {
      throw new SlipwayError('usage', `rows cannot be clustered by ${name}: its type has no order`)
    }
    return physicalName(field)
  })
}

async function rewriteBin(options: OptimizeOptions, snapshot: Snapshot, bin: OptimizeBin,
  how: { readonly clustering: Clustering; readonly fileBytes: number }): Promise<Rewrite> {
  const { storage } = options.table
  const { columns: clusterBy, isTables } = how.clustering
  await using staged = await rewriteStaged({ storage, rewriter: options.rewriter,
    metadata: snapshot.metadata, signal: options.signal, clusterBy,
    fileBytes: how.fileBytes, rowIds: rowIdColumns(snapshot.metadata),
    rowGroupRows: clusterBy.length === 0 ? null : rowGroupRows(bin, how.fileBytes),
    sources: bin.files.map((file) => rewriteSource(storage, file)) })
  failpoint('optimize.after-rewrite')
  const adds = await staged.addFiles(snapshot.metadata, bin.partitionValues, {
    dataChange: false, ...isTables ? { clusteringProvider: CLUSTERING_PROVIDER } : {},
    ...clusterBy.length === 0 ? {} : { tags: { [CLUSTERED_TAG]: clusteredBy(clusterBy) } } })
  failpoint('optimize.after-adopt')
  return { bin, adds }
}

/** Several row groups a file, so that files end near their size and are pruned inside. */
function rowGroupRows(bin: OptimizeBin, fileBytes: number): number | null {
  let rows = 0
  for (const file of bin.files) rows += numRecordsOf(file.stats) ?? Number.NaN
  if (Number.isNaN(rows) || rows === 0) return null
  const rowsPerFile = fileBytes / (bin.bytes / rows)
  return Math.round(Math.min(ROW_GROUP_ROWS_MAX, Math.max(ROW_GROUP_ROWS_MIN,
    rowsPerFile / ROW_GROUPS_PER_FILE)))
}

/** OZ2. */
async function commit(options: OptimizeOptions, rewrites: readonly Rewrite[],
  clustering: Clustering): Promise<OptimizeReport> {
  const { table } = options
  let standing = rewrites
  for (let attempt = 0; standing.length > 0; attempt++) {
    const report = reportOf(null, standing, rewrites.length - standing.length)
    const columns = JSON.stringify(clustering.columns)
    const transaction = table.begin({ operation: 'OPTIMIZE', movesRows: true,
      operationParameters: { predicate: '[]', zOrderBy: clustering.isTables ? '[]' : columns,
        ...clustering.isTables ? { clusterBy: columns } : {} },
      operationMetrics: metricsOf(report) })
    for (const { bin, adds } of standing) {
      for (const file of bin.files) transaction.remove(file, { dataChange: false })
      for (const add of adds) transaction.add(add)
    }
    const outcome = await transaction.commit()
    if (outcome.kind === 'committed') return { ...report, version: outcome.version }
    const changed = outcome.reason === 'metadata-changed' || outcome.reason === 'protocol-changed'
    if (changed || attempt >= ATTEMPTS_MAX) {
      throw new SlipwayError('delta-conflict',
        `another writer changed the table while it was optimised (${outcome.reason})`)
    }
    const latest = await table.latest()
    const lost = standing.filter((rewrite) => !isStanding(latest, rewrite.bin))
    standing = standing.filter((rewrite) => !lost.includes(rewrite))
    await discard(table, lost)
  }
  return reportOf(null, [], rewrites.length)
}

function isStanding(latest: Snapshot, bin: OptimizeBin): boolean {
  return bin.files.every((file) => {
    const live = latest.file(file.path)
    return live !== null
      && deletionVectorId(live.deletionVector) === deletionVectorId(file.deletionVector)
  })
}

/** Files that no commit will name; where a commit's outcome is unknown, VACUUM decides. */
async function discard(table: DeltaTable, rewrites: readonly Rewrite[]): Promise<void> {
  const latest = await table.latest().catch(() => null)
  if (latest === null) return
  for (const { adds } of rewrites) {
    await discardFiles(table.storage, adds.filter((add) => latest.file(add.path) === null))
  }
}

function reportOf(version: Version | null, rewrites: readonly Rewrite[], binsSkipped: number)
  : OptimizeReport {
  const removed = rewrites.flatMap(({ bin }) => bin.files)
  const added = rewrites.flatMap(({ adds }) => adds)
  const bytes = (files: readonly AddFile[]): number =>
    files.reduce((sum, file) => sum + file.size, 0)
  return { version, binsSkipped, filesRemoved: removed.length, filesAdded: added.length,
    bytesRemoved: bytes(removed), bytesAdded: bytes(added),
    deletionVectorsRemoved: removed.filter((file) => file.deletionVector !== undefined).length }
}

function metricsOf(report: OptimizeReport): Readonly<Record<string, string>> {
  return { numRemovedFiles: String(report.filesRemoved), numAddedFiles: String(report.filesAdded),
    numRemovedBytes: String(report.bytesRemoved), numAddedBytes: String(report.bytesAdded),
    numDeletionVectorsRemoved: String(report.deletionVectorsRemoved) }
}
