/**
 * Partitioning: the columns of a partitioned table that its files do not hold.
 *
 * P1  A value's text is the one of PROTOCOL.md "Partition Value Serialization": every reader
 *     gets the value back, whatever characters it has.
 * P2  `null` and the empty string are the same to Delta: both are null.
 * P3  A file's folder is Hive's `column=value`, as Polars wants it; no other reader looks.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Metadata, PartitionValues } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { parseSchema, type StructField } from './schema.ts'

const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'
/** What Hive escapes in folder names, and `%` itself; control characters too. */
const HIVE_ESCAPED = /[\u0000-\u001f"#%'*/:=?\\\u007f{[\]^]/g

/** In the order of the table's partition columns. */
export function partitionFields(metadata: Metadata): readonly StructField[] {
  if (metadata.partitionColumns.length === 0) return []
  const { fields } = parseSchema(metadata.schemaString)
  return metadata.partitionColumns.map((name) => {
    const field = fields.find((candidate) => candidate.name === name)
    if (field !== undefined) return field
    throw new SlipwayError('delta-corrupt', `the partition column ${name} is no column`)
  })
}

/** Throws `usage` unless every file has a value for each partition column, and no other. */
export function requirePartitionValues(metadata: Metadata,
  files: Iterable<{ readonly partitionValues: PartitionValues }>): void {
  const wanted = new Set(partitionFields(metadata).map(physicalName))
  for (const { partitionValues } of files) {
    const keys = Object.keys(partitionValues)
    if (keys.length === wanted.size && keys.every((key) => wanted.has(key))) continue
    throw new SlipwayError('usage', 'a file\'s partition values are not those of the table\'s '
      + `partition columns (${metadata.partitionColumns.join(', ') || 'none'})`)
  }
}

/** P1, P2. Dates are `YYYY-MM-DD` already; a Date is a moment in UTC. */
export function partitionText(value: string | number | bigint | boolean | Date | null)
  : string | null {
  if (value === null || value === '') return null
  // ISO 8601 in UTC: the one form that does not depend on the reader's zone.
  return value instanceof Date ? value.toISOString() : String(value)
}

/** P3. Ends with `/`; empty for a table without partitions. Not yet encoded for the log. */
export function partitionFolder(metadata: Metadata, values: PartitionValues): string {
  return partitionFields(metadata).map((field) => {
    const value = values[physicalName(field)] ?? null
    const text = value === null ? HIVE_NULL : escaped(value)
    return `${escaped(physicalName(field))}=${text}/`
  }).join('')
}

function escaped(text: string): string {
  return text.replace(HIVE_ESCAPED, (character) =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}
