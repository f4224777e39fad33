/**
 * Optimize plan: which live files are rewritten together.
 *
 * OP1  Pure. Files of one bin have one partition, and are in one bin at most.
 * OP2  Done again on its own result, a plan is empty or joins files that still fit together.
 * OP3  A file is left alone that is large enough and has few deleted rows, unless the rows are
 *      to be clustered and it is not yet.
 */
import type { AddFile, PartitionValues } from './actions.ts'
import { numRecordsOf } from './stats.ts'

/** A file loses its deletion vector above this share of deleted rows, as in Delta's OPTIMIZE. */
const DELETED_SHARE_MAX = 0.05
/** The tag of files that were clustered, with the columns. */
export const CLUSTERED_TAG = 'slipway.clusterBy'

export interface OptimizeBin {
  readonly partitionValues: PartitionValues
  readonly files: readonly AddFile[]
  readonly bytes: number
}

/** `clusterBy`: physical names; empty: small and holed files are packed. */
export function planOptimize(files: Iterable<AddFile>, options: {
  readonly fileBytes: number
  readonly clusterBy: readonly string[]
}): readonly OptimizeBin[] {
  const partitions = new Map<string, AddFile[]>()
  for (const file of files) {
    const key = JSON.stringify(Object.entries(file.partitionValues).sort())
    const found = partitions.get(key)
    if (found === undefined) partitions.set(key, [file])
    else found.push(file)
  }
  return [...partitions.values()].flatMap((inside) => options.clusterBy.length > 0
    ? clusterBin(inside, options.clusterBy) : packBins(inside, options.fileBytes))
}

/** The value of CLUSTERED_TAG. */
export function clusteredBy(columns: readonly string[]): string {
  return JSON.stringify(columns)
}

/** A partition is sorted as a whole, or files would overlap as before. */
function clusterBin(files: readonly AddFile[], columns: readonly string[])
  : readonly OptimizeBin[] {
  const tag = clusteredBy(columns)
  const done = files.every((file) => file.tags?.[CLUSTERED_TAG] === tag
    && file.deletionVector === undefined)
  return done ? [] : [binOf(files)]
}

/** First fit in falling size, up to the target size each. */
function packBins(files: readonly AddFile[], fileBytes: number): readonly OptimizeBin[] {
  const wanted = files.filter((file) => file.size < fileBytes || isHoled(file))
    .sort((a, b) => liveBytes(b) - liveBytes(a) || (a.path < b.path ? -1 : 1))
  const bins: { files: AddFile[]; bytes: number }[] = []
  let first = 0
  for (const file of wanted) {
    const bytes = liveBytes(file)
    const at = bins.findIndex((bin, index) => index >= first && bin.bytes + bytes <= fileBytes)
    const bin = bins[at]
    if (bin === undefined) {
      bins.push({ files: [file], bytes })
      // Searching all of very many bins for a little room is not worth its time.
      if (bins.length - first > OPEN_BINS_MAX) first++
    } else {
      bin.files.push(file)
      bin.bytes += bytes
    }
  }
  return bins.filter((bin) => bin.files.length > 1
    || bin.files.some((file) => file.deletionVector !== undefined)).map((bin) => binOf(bin.files))
}

const OPEN_BINS_MAX = 64

function binOf(files: readonly AddFile[]): OptimizeBin {
  return { files, partitionValues: files[0]?.partitionValues ?? {},
    bytes: files.reduce((sum, file) => sum + file.size, 0) }
}

function isHoled(file: AddFile): boolean {
  return deletedShare(file) > DELETED_SHARE_MAX
}

function deletedShare(file: AddFile): number {
  const deleted = file.deletionVector?.cardinality ?? 0
  if (deleted === 0) return 0
  const rows = numRecordsOf(file.stats)
  return rows === null || rows === 0 ? 1 : deleted / rows
}

function liveBytes(file: AddFile): number {
  return Math.ceil(file.size * (1 - Math.min(1, deletedShare(file))))
}
