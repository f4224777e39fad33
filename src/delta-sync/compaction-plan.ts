/**
 * Compaction plan: which files of a mirrored table are rewritten as one.
 *
 * CN1  Pure. A file of half the wanted size or more stays as it is, unless many of its rows died.
 * CN2  Small files are joined when the largest is no larger than the others together, or when they
 *      make a full one: a row is rewritten no oftener than its file's size can double, and once.
 * CN3  While nothing changes, planning and rewriting in turn come to an end.
 */
import { ROWS_PER_FILE } from '../mirror/epoch.ts'

export interface CompactableFile {
  readonly fileNo: number
  readonly sizeBytes: number
  /** Physical rows, dead ones included. */
  readonly rows: number
  readonly deadRows: number
}

export interface CompactionPolicy {
  /** So many small files, or so many with many dead rows, are worth a rewrite. */
  readonly filesMin: number
  /** About how large a file becomes; half of it is worth a rewrite too. */
  readonly fileBytes: number
  /** A file becomes full by its rows, too. */
  readonly fileRows: number
}

export const COMPACTION: CompactionPolicy = { filesMin: 8, fileBytes: 128 * 1024 * 1024,
  fileRows: ROWS_PER_FILE / 2 }

/** A file with this share of dead rows is worth it. */
const HOLED_SHARE = 0.3
/** Of fileBytes: what rewriting holed files must give back when they are few. */
const RECLAIMED_SHARE = 1 / 16
const FILES_MAX = 256

interface Rated {
  readonly file: CompactableFile
  readonly liveBytes: number
  readonly liveRows: number
}

/** In the order in which their rows shall lie; empty: nothing to do. */
export function planCompaction(files: Iterable<CompactableFile>, policy: CompactionPolicy)
  : readonly CompactableFile[] {
  const rated = Array.from(files, (file): Rated => ({ file, liveBytes: liveBytes(file),
    liveRows: file.rows - file.deadRows }))
  const small = joinSmall(rated, policy)
  const chosen = small.length > 0 ? small : refillHoled(rated, policy)
  return chosen.map(({ file }) => file).sort((a, b) => a.fileNo - b.fileNo)
}

/** CN2: the longest beginning, in the order of size, whose last file is not too large for it. */
function joinSmall(files: readonly Rated[], { filesMin, fileBytes, fileRows }: CompactionPolicy)
  : readonly Rated[] {
  const small = files.filter((file) => file.liveBytes < fileBytes / 2
    && file.liveRows < fileRows / 2)
    .sort((a, b) => a.liveBytes - b.liveBytes).slice(0, FILES_MAX)
  let count = 0
  let bytes = 0
  let rows = 0
  for (const [at, { liveBytes, liveRows }] of small.entries()) {
    if (bytes + liveBytes > fileBytes || rows + liveRows > fileRows) break
    const isTooLarge = liveBytes > bytes
    bytes += liveBytes
    rows += liveRows
    const isFull = bytes >= fileBytes / 2 || rows >= fileRows / 2
    if (at > 0 && (isFull || (!isTooLarge && at + 1 >= filesMin))) count = at + 1
  }
  return small.slice(0, count)
}

function refillHoled(files: readonly Rated[], { filesMin, fileBytes, fileRows }: CompactionPolicy)
  : readonly Rated[] {
  const holed = files.filter(({ file }) => file.deadRows > 0
    && file.deadRows >= file.rows * HOLED_SHARE).sort((a, b) => deadBytes(b) - deadBytes(a))
  const chosen: Rated[] = []
  let bytes = 0
  let rows = 0
  let reclaimed = 0
  for (const rated of holed.slice(0, FILES_MAX)) {
    const { liveBytes, liveRows } = rated
    const isTooMuch = bytes + liveBytes > fileBytes || rows + liveRows > fileRows
    if (chosen.length > 0 && isTooMuch) continue
    chosen.push(rated)
    bytes += liveBytes
    rows += liveRows
    reclaimed += deadBytes(rated)
  }
  return chosen.length >= filesMin || reclaimed >= fileBytes * RECLAIMED_SHARE ? chosen : []
}

function deadBytes({ file, liveBytes }: Rated): number { return file.sizeBytes - liveBytes }

function liveBytes({ sizeBytes, rows, deadRows }: CompactableFile): number {
  return rows === 0 ? 0 : Math.ceil(sizeBytes * (rows - deadRows) / rows)
}
