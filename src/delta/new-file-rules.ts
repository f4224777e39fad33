/**
 * New-file rules: what the rows of a new file must be, as far as its statistics tell.
 *
 * NF1  A column that is not nullable has a null count of 0; a partition column has a value. The
 *      same of fields in structs that are not nullable themselves: of others nobody can tell.
 * NF2  A column that the table is clustered by has statistics.
 *
 * Source: PROTOCOL.md "Column Invariants", "Clustered Table".
 */
import { SlipwayError } from '../base/errors.ts'
import type { AddFile } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import type { StructType } from './schema.ts'
import { StatsReader } from './stats-reader.ts'

export interface NewFileRules {
  readonly schema: StructType
  readonly partitionColumns: readonly string[]
  /** As clusteringColumns has it. */
  readonly clustering: readonly (readonly string[])[]
}

/** Throws `usage`. */
export function requireNewFiles(rules: NewFileRules, files: readonly AddFile[]): void {
  if (files.length === 0) return
  for (const { path, name } of requiredFields(rules.schema)) {
    const isPartition = rules.partitionColumns.includes(name)
    const reader = new StatsReader(path)
    for (const file of files) {
      if (isPartition) {
        if ((file.partitionValues[path[0] ?? ''] ?? '') !== '') continue
      } else {
        reader.read(file.stats)
        if (reader.nullCount === '0') continue
      }
      throw new SlipwayError('usage',
        `${name} is NOT NULL: a file must show by its nullCount that it has no NULL there`)
    }
  }
  for (const path of rules.clustering) {
    const reader = new StatsReader(path)
    for (const file of files) {
      reader.read(file.stats)
      if (reader.nullCount !== null && reader.rows !== null) continue
      throw new SlipwayError('usage',
        'the table is clustered: a file must have statistics of the columns it is clustered by')
    }
  }
}

interface RequiredField {
  /** Physical names, outermost first. */
  readonly path: readonly string[]
  readonly name: string
}

/** NF1: leaves whose NULL would be one of a column that has none. */
function requiredFields(schema: StructType, above: readonly string[] = [])
  : readonly RequiredField[] {
  return schema.fields.filter((field) => !field.nullable).flatMap((field) => {
    const path = [...above, physicalName(field)]
    if (typeof field.type === 'string') return [{ path, name: field.name }]
    return field.type.type === 'struct' ? requiredFields(field.type, path) : []
  })
}
