/**
 * FileColumns: what Delta's statistics tell of a file's columns.
 *
 * FB1  Every value of the column lies within its bounds (delta/stat-bound.ts); where that is not
 *      certain, there are none.
 * FB2  A column that has a name has it in the file itself; those that may be missing have none.
 */
import { parseJson, isJsonObject } from '../delta/exact-json.ts'
import { column as deltaColumn } from '../delta/schema.ts'
import { boundReader } from '../delta/stat-bound.ts'
import { tokenOf } from '../delta/stats-reader.ts'
import type { ColumnBounds, LakeFile } from '../mirror/epoch.ts'
import { deltaTypeOf, type MirrorType } from '../mirror/mirror-type.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import type { LakeRecord } from './lake-schema.ts'

/** What queries prune by: the router compares nothing else by order. */
const BOUNDED: ReadonlySet<MirrorType['kind']> = new Set(['int2', 'int4', 'int8', 'decimal',
  'date', 'timestamp', 'timestamptz', 'text', 'bpchar', 'uuid'])

/** `stats`: the add's JSON text. */
export function fileColumns(stats: string | undefined, table: TableSchema,
  names: LakeRecord['names']): Pick<LakeFile, 'bounds' | 'names'> {
  const bounds = new Map<number, ColumnBounds>()
  const present = new Map<number, string>()
  const document = stats === undefined ? null : parseJson(stats, { exactNumbers: true })
  if (!isJsonObject(document)) return { bounds, names: present }
  const { minValues, maxValues, nullCount } = document
  table.columns.forEach((column, at) => {
    const name = names[at]?.physical ?? column.name
    const read = BOUNDED.has(column.mirror.kind)
      ? boundReader(deltaColumn(name, deltaTypeOf(column.mirror)), 'own') : null
    const boundIn = (values: typeof minValues, side: 'low' | 'high'): ColumnBounds['min'] => {
      const token = isJsonObject(values) ? tokenOf(values[name]) : null
      return token === null || read === null ? null : read(token, side)
    }
    const [min, max] = [boundIn(minValues, 'low'), boundIn(maxValues, 'high')]
    if (min !== null || max !== null) bounds.set(column.attnum, { min, max })
    // FB2: our writer counts the nulls of what it has written.
    if (isJsonObject(nullCount) && Object.hasOwn(nullCount, name)) present.set(column.attnum, name)
  })
  return { bounds, names: present }
}
