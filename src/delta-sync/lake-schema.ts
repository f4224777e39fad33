/**
 * LakeSchema: a mirrored table's shape as its Delta table has it, kept in the Delta table.
 *
 * Z1  The Delta property `slipway.table` says which PostgreSQL table it mirrors and which
 *     column is which attnum: the lake alone is enough to go on after a restart.
 * Z2  Delta's column names are PostgreSQL's; of two that differ only in case the later gets a
 *     suffix.
 * Z3  Column mapping comes with a table's first rename or drop, never before.
 */
import { deltaTypeOf } from '../mirror/mirror-type.ts'
import { oid } from '../base/oid.ts'
import { addColumn, dropColumn, enableColumnMapping, mappingId, mappingMode, physicalName,
  renameColumn } from '../delta/column-mapping.ts'
import { column, parseSchema, type StructType } from '../delta/schema.ts'
import type { Metadata } from '../delta/actions.ts'
import type { TableSchema } from '../mirror/table-schema.ts'

export const TABLE_PROPERTY = 'slipway.table'

export interface Suspension {
  readonly reason: string
  readonly cure: string
  /** Not for the user to mend: it is copied anew by itself. */
  readonly recopy: boolean
}

/** What `slipway.table` holds, as JSON. */
export interface LakeRecord {
  /** Of this copy of the table; another after it was copied anew. */
  readonly incarnation: string
  readonly table: TableSchema
  /** By index of table.columns: Delta's name and the Parquet column's. */
  readonly names: readonly { readonly logical: string; readonly physical: string }[]
  readonly suspended: Suspension | null
}

export function printRecord(record: LakeRecord): string {
  return JSON.stringify(record)
}

/** null when the property is missing or not ours. */
export function parseRecord(metadata: Metadata): LakeRecord | null {
  const text = metadata.configuration[TABLE_PROPERTY]
  if (text === undefined) return null
  try {
    const record = JSON.parse(text) as LakeRecord
    if (!Array.isArray(record.names) || record.names.length !== record.table.columns.length) {
      return null
    }
    return { ...record, table: { ...record.table, relid: oid(record.table.relid) } }
  } catch {
    return null
  }
}

/** Names for a table that is made anew: logical and physical are the same (Z2). */
export function freshNames(table: TableSchema): LakeRecord['names'] {
  const taken = new Set<string>()
  return table.columns.map((each) => {
    const logical = unusedName(each.name, taken)
    return { logical, physical: logical }
  })
}

export function deltaSchema(table: TableSchema, names: LakeRecord['names']): StructType {
  return {
    type: 'struct',
    fields: table.columns.map((each, at) =>
      column(names[at]?.logical ?? each.name, deltaTypeOf(each.mirror))),
  }
}

/**
 * The metadata and the names after columns were added, renamed or dropped; types are the
 * same. `metadata` is that of the Delta table whose record is `before`.
 *
 * The same arguments give the same names: files may be written by one answer and the log by a
 * later one. An attnum is never given again, so a physical name made of it is not either.
 */
export function evolve(metadata: Metadata, before: LakeRecord, table: TableSchema)
  : { readonly metadata: Metadata; readonly names: LakeRecord['names'] } {
  const old = new Map(before.table.columns.map((each, at) =>
    [each.attnum, { name: each.name, logical: before.names[at]?.logical ?? each.name }]))
  const kept = new Set(table.columns.map((each) => each.attnum))
  const dropped = [...old].filter(([attnum]) => !kept.has(attnum))
  const renamed = table.columns.filter((each) => {
    const was = old.get(each.attnum)
    return was !== undefined && was.name !== each.name
  })
  let next = metadata
  if (dropped.length > 0 || renamed.length > 0) {
    const attnums = new Map([...old].map(([attnum, { logical }]) => [logical, attnum]))
    next = enableColumnMapping(next, (name) => attnums.get(name) ?? 0)
  }
  for (const [, { logical }] of dropped) next = dropColumn(next, logical)
  next = renameAll(next, renamed.map((each) => ({
    from: old.get(each.attnum)?.logical ?? '', to: each.name })))
  const taken = new Set(parseSchema(next.schemaString).fields.map((f) => f.name.toLowerCase()))
  for (const each of table.columns) {
    if (old.has(each.attnum)) continue
    const field = column(unusedName(each.name, taken), deltaTypeOf(each.mirror))
    next = addColumn(next, field, { id: each.attnum,
      physicalName: `col-${before.incarnation}-${each.attnum}` })
  }
  return { metadata: next, names: namesIn(next, table, old) }
}

/** In two steps through names that nobody has, so that a swap of two names works. */
function renameAll(metadata: Metadata, pairs: readonly { readonly from: string
  readonly to: string }[]): Metadata {
  let next = metadata
  pairs.forEach(({ from }, at) => { next = renameColumn(next, from, `__slipway_${at}`) })
  const taken = new Set(parseSchema(next.schemaString).fields.map((f) => f.name.toLowerCase()))
  pairs.forEach(({ to }, at) => {
    next = renameColumn(next, `__slipway_${at}`, unusedName(to, taken))
  })
  return next
}

function namesIn(metadata: Metadata, table: TableSchema,
  old: ReadonlyMap<number, { readonly name: string; readonly logical: string }>)
  : LakeRecord['names'] {
  const { fields } = parseSchema(metadata.schemaString)
  if (mappingMode(metadata) === 'none') {
    // Only added to: fields stand in the order of attnum, and so do the table's columns.
    return table.columns.map((each, at) => {
      const name = old.get(each.attnum)?.logical ?? fields[at]?.name ?? each.name
      return { logical: name, physical: name }
    })
  }
  return table.columns.map((each) => {
    const field = fields.find((candidate) => mappingId(candidate) === each.attnum)
    return field === undefined ? { logical: each.name, physical: each.name }
      : { logical: field.name, physical: physicalName(field) }
  })
}

function unusedName(name: string, taken: Set<string>): string {
  let unused = name
  for (let suffix = 2; taken.has(unused.toLowerCase()); suffix++) unused = `${name}_${suffix}`
  taken.add(unused.toLowerCase())
  return unused
}
