/**
 * TableDescription -> TableSchema, and what a change of shape asks of the mirror.
 */
import { oid } from '../base/oid.ts'
import { mirrorTypeOf } from '../mirror/mirror-type.ts'
import type { TableDescription } from '../mirror/replication.ts'
import type { ColumnSchema, TableSchema } from '../mirror/table-schema.ts'

export function schemaOf(description: TableDescription): TableSchema {
  return {
    relid: oid(description.relid), schema: description.schema, name: description.name,
    primaryKey: description.primaryKey,
    columns: description.columns.map((column): ColumnSchema => ({
      attnum: column.attnum, name: column.name, typeOid: oid(column.typeOid),
      typmod: column.typmod, notNull: column.notNull,
      mirror: mirrorTypeOf({ typeOid: oid(column.typeOid), typmod: column.typmod,
        elementOid: column.elementOid }),
    })),
  }
}

export type SchemaChange =
  /** Nothing that the mirror holds. */
  | 'none'
  /** Only what the catalog says of columns whose values stay as they are. */
  | 'restated'
  /** Names only: of the table, or its schema. */
  | 'moved'
  /** Columns added without a value for old rows, renamed or dropped: files stay. */
  | 'evolved'
  /** Old rows hold something that no message carried. */
  | 'copy'

export function schemaChange(before: TableSchema, after: TableDescription, rewritten: boolean)
  : SchemaChange {
  if (rewritten) return 'copy'
  const next = schemaOf(after)
  if (JSON.stringify(before.primaryKey) !== JSON.stringify(next.primaryKey)) return 'copy'
  const old = new Map(before.columns.map((column) => [column.attnum, column]))
  let evolved = before.columns.length !== next.columns.length
  for (const column of next.columns) {
    const was = old.get(column.attnum)
    if (was === undefined) {
      const missing = after.columns.find((each) => each.attnum === column.attnum)?.hasMissing
      if (missing === true) return 'copy'
      evolved = true
    } else {
      if (JSON.stringify(was.mirror) !== JSON.stringify(column.mirror)) return 'copy'
      if (was.typeOid !== column.typeOid && column.mirror.kind === 'opaque') return 'copy'
      if (was.name !== column.name) evolved = true
    }
  }
  if (evolved) return 'evolved'
  if (before.name !== next.name || before.schema !== next.schema) return 'moved'
  return JSON.stringify(before.columns) === JSON.stringify(next.columns) ? 'none' : 'restated'
}
