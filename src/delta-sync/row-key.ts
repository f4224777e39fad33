/**
 * RowKey: a row's primary key as one comparable value.
 *
 * RK1  Two rows of a table have the same RowKey exactly when their key columns hold the same
 *      MirrorValues; where they came from (stream, copy, file) makes no difference.
 */
import { assert } from '../base/assert.ts'
import type { MirrorScalarValue, MirrorValue } from '../mirror/mirror-value.ts'

/** A safe integer for keys of one whole-number column, else text. */
export type RowKey = number | string

/** `at`: indexes of the key columns in the row. */
export function rowKey(row: readonly MirrorValue[], at: readonly number[]): RowKey {
  if (at.length === 1) {
    const value = row[at[0] ?? 0] ?? null
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value === 0 ? 0 : value
    if (typeof value === 'bigint' && value >= -SAFE && value <= SAFE) return Number(value)
    return keyText(value)
  }
  // PostgreSQL's text never holds U+0000, so the parts cannot run into each other.
  return at.map((index) => keyText(row[index] ?? null)).join('\u0000')
}

const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

function keyText(value: MirrorValue): string {
  assert(value !== null, 'a key column is not null')
  return Array.isArray(value)
    ? JSON.stringify((value as readonly MirrorScalarValue[]).map(
      (element) => element === null ? null : scalarText(element)))
    : scalarText(value as NonNullable<MirrorScalarValue>)
}

function scalarText(value: NonNullable<MirrorScalarValue>): string {
  return Buffer.isBuffer(value) ? value.toString('hex') : String(value)
}
