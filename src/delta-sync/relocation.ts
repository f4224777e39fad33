/**
 * Relocation: where rows went whose files were rewritten as one.
 *
 * RL1  The new file holds the sources' rows in the order of the sources and of their rows, less
 *      the dropped ones.
 */
import { fileOfPosition, rowOfPosition, rowPosition } from '../mirror/epoch.ts'

export interface RelocatedFile {
  readonly fileNo: number
  /** Physical rows. */
  readonly rows: number
  /** Dead when the file was rewritten; rising. */
  readonly dropped: readonly number[]
}

export class Relocation {
  /** The new file's fileNo. */
  readonly to: number
  /** Of the new file. */
  readonly rows: number
  readonly droppedRows: number
  readonly #sources = new Map<number, { readonly first: number; readonly dropped: Uint32Array }>()

  constructor(to: number, sources: readonly RelocatedFile[]) {
    this.to = to
    let first = 0
    let droppedRows = 0
    for (const { fileNo, rows, dropped } of sources) {
      this.#sources.set(fileNo, { first, dropped: Uint32Array.from(dropped) })
      first += rows - dropped.length
      droppedRows += dropped.length
    }
    this.rows = first
    this.droppedRows = droppedRows
  }

  /** The sources' fileNos. */
  get from(): readonly number[] { return [...this.#sources.keys()] }

  moved(fileNo: number): boolean { return this.#sources.has(fileNo) }

  /** The position now of what was at `position`, anywhere in the table; null: dropped. */
  locate(position: number): number | null {
    const source = this.#sources.get(fileOfPosition(position))
    if (source === undefined) return position
    const row = rowOfPosition(position)
    const below = lowerBound(source.dropped, row)
    return source.dropped[below] === row ? null
      : rowPosition(this.to, source.first + row - below)
  }
}

/** How many of the rising `values` are below `value`. */
function lowerBound(values: Uint32Array, value: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((values[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  return low
}
