/**
 * PartitionValue: the value that a file's path in the log gives a partition column.
 *
 * Source: PROTOCOL.md "Partition Value Serialization". An empty text is NULL for every type.
 */
import { SlipwayError } from '../base/errors.ts'
import type { StructField } from './schema.ts'
import { parseValue, type Value } from './value.ts'

/** null is NULL, as is a value that is not there. Throws `delta-corrupt` for no such value. */
export function partitionValue(column: StructField, text: string | null | undefined)
  : Value | null {
  if (text === null || text === undefined || text === '') return null
  const value = typeof column.type === 'string' ? parseValue(column.type, text) : null
  if (value !== null) return value
  throw new SlipwayError('delta-corrupt',
    `a partition value is none of column ${column.name}'s type`)
}
