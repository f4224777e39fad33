/**
 * ChangeLayer: which rows a table's changes since one moment have made and ended.
 *
 * A table has the current layer and, while a flush writes it out, a frozen one below it; below
 * both lies the key index of the lake.
 *
 * CL1  A key's entry says where its row is: a `_seq` of the live table, or DEAD. No entry: ask
 *      below, unless the layer is truncated.
 * CL2  A truncated layer hides everything below it.
 */
import type { RowKey } from './row-key.ts'

export const DEAD = -1

/** What an entry is taken to cost beside its row: the map's, the live table's, the index's. */
const ENTRY_BYTES = 256

export class ChangeLayer {
  keys = new Map<RowKey, number>()
  truncated = false
  /** Files of the lake with rows that died in this layer. */
  readonly dirtyFiles = new Set<number>()
  /** Rows of the frozen layer that died since it was frozen, by _seq. */
  readonly deadFrozen: number[] = []
  /** Of the rows made in it, as PostgreSQL sent them. */
  bytes = 0
  /** The newest PostgreSQL commit in it, µs since 1970. */
  newestCommitUs = 0n
  /** The highest `_seq` given when the layer was frozen. */
  lastSeq = -1
  /** Something for the lake beyond keys and files: a new schema, a suspension. */
  metadataChanged = false

  /** Bytes, about: what a flush of it takes out of memory. */
  get weight(): number {
    return this.bytes + this.keys.size * ENTRY_BYTES
  }

  get isEmpty(): boolean {
    return this.keys.size === 0 && !this.truncated && this.dirtyFiles.size === 0
      && !this.metadataChanged
  }

  /** CL2: from here on nothing below counts, nor anything before in this layer. */
  truncate(): void {
    this.keys.clear()
    this.dirtyFiles.clear()
    this.deadFrozen.length = 0
    this.bytes = 0
    this.truncated = true
  }
}

/** `lower` was frozen and could not be written: both become one current layer again. */
export function mergeLayers(lower: ChangeLayer, upper: ChangeLayer): ChangeLayer {
  if (upper.truncated) {
    upper.metadataChanged ||= lower.metadataChanged
    upper.deadFrozen.length = 0
    return upper
  }
  for (const [key, at] of upper.keys) lower.keys.set(key, at)
  for (const fileNo of upper.dirtyFiles) lower.dirtyFiles.add(fileNo)
  lower.bytes += upper.bytes
  if (upper.newestCommitUs > lower.newestCommitUs) lower.newestCommitUs = upper.newestCommitUs
  lower.metadataChanged ||= upper.metadataChanged
  // Its rows are in the live table still, so their deaths took effect there.
  lower.deadFrozen.length = 0
  return lower
}

/** The rows of a layer that are alive, in the order of `_seq`: how they will lie in a file. */
export function aliveRows(layer: ChangeLayer)
  : { readonly keys: readonly RowKey[]; readonly seqs: readonly number[] } {
  const keys: RowKey[] = []
  const seqs: number[] = []
  let sorted = true
  let last = -1
  for (const [key, at] of layer.keys) {
    if (at === DEAD) continue
    if (at < last) sorted = false
    last = at
    keys.push(key)
    seqs.push(at)
  }
  if (sorted) return { keys, seqs }
  const order = Float64Array.from(seqs.keys()).sort((a, b) => (seqs[a] ?? 0) - (seqs[b] ?? 0))
  return {
    keys: Array.from(order, (at) => keys[at] ?? ''),
    seqs: Array.from(order, (at) => seqs[at] ?? 0),
  }
}

/** Index of `seq` in rising `seqs`, or -1. */
export function rankOf(seqs: readonly number[], seq: number): number {
  let low = 0
  let high = seqs.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const at = seqs[middle] ?? 0
    if (at === seq) return middle
    if (at < seq) low = middle + 1
    else high = middle - 1
  }
  return -1
}
