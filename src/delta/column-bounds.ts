/**
 * ColumnBounds: one column's bounds in many files, kept as arrays beside them.
 *
 * CB1  Every value of file i that is not NULL lies from low[i] to high[i]; null: no bound.
 * CB2  NULL, and other values, are ruled out only where the file says that it has none.
 */
import type { AddFile, PartitionValues } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { keyRanks, type KeyRanks } from './key-ranks.ts'
import { partitionValue } from './partition-value.ts'
import type { FieldPath } from './predicate.ts'
import { boundReader } from './stat-bound.ts'
import { StatsReader } from './stats-reader.ts'
import { keyOf, type Key } from './value.ts'

/** Files by number, from 0 to count - 1. */
export interface FileColumns {
  readonly count: number
  stats(at: number): string | undefined
  partitionValues(at: number): PartitionValues
  add(at: number): AddFile
}

/** What rows of a file may hold. */
export const MAY_BE_NULL = 1
export const MAY_BE_VALUE = 2

export interface ColumnBounds {
  readonly low: readonly (Key | null)[]
  readonly high: readonly (Key | null)[]
  readonly ranks: KeyRanks
  /** MAY_BE_NULL, MAY_BE_VALUE or both. */
  readonly holds: Uint8Array
  /** Bounds of floats say nothing of NaN, which is above all. */
  readonly mayBeNaN: boolean
}

export function columnBounds(files: FileColumns, path: FieldPath, isPartition: boolean)
  : ColumnBounds {
  return isPartition ? partitionBounds(files, path) : statBounds(files, path)
}

/** Exact: each file has one value. */
function partitionBounds(files: FileColumns, [column]: FieldPath): ColumnBounds {
  const name = physicalName(column)
  const known = new Map<string | null | undefined, Key | null>()
  const keys: (Key | null)[] = new Array<Key | null>(files.count)
  const holds = new Uint8Array(files.count)
  for (let at = 0; at < files.count; at++) {
    const text = files.partitionValues(at)[name]
    let key = known.get(text)
    if (key === undefined) {
      const value = partitionValue(column, text)
      key = value === null ? null : keyOf(value)
      known.set(text, key)
    }
    keys[at] = key
    holds[at] = key === null ? MAY_BE_NULL : MAY_BE_VALUE
  }
  return { low: keys, high: keys, ranks: keyRanks(keys, keys), holds, mayBeNaN: false }
}

function statBounds(files: FileColumns, path: FieldPath): ColumnBounds {
  const field = path.at(-1) ?? path[0]
  const read = boundReader(field)
  const reader = new StatsReader(path.map(physicalName))
  const low: (Key | null)[] = new Array<Key | null>(files.count)
  const high: (Key | null)[] = new Array<Key | null>(files.count)
  const holds = new Uint8Array(files.count)
  // Writers differ on whether a field of a NULL struct counts as NULL.
  const always = path.length > 1 ? MAY_BE_NULL : 0
  for (let at = 0; at < files.count; at++) {
    reader.read(files.stats(at))
    const { min, max, nullCount, rows } = reader
    low[at] = min === null || read === null ? null : read(min, 'low')
    high[at] = max === null || read === null ? null : read(max, 'high')
    holds[at] = always | (nullCount === '0' ? 0 : MAY_BE_NULL)
      | (nullCount !== null && nullCount === rows ? 0 : MAY_BE_VALUE)
  }
  const mayBeNaN = field.type === 'float' || field.type === 'double'
  return { low, high, ranks: keyRanks(low, high), holds, mayBeNaN }
}
