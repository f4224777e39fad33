/**
 * Stats columns: which leaf columns of a table have bounds and null counts in `add.stats`.
 *
 * SC1  `delta.dataSkippingStatsColumns` names them; else the first
 *      `delta.dataSkippingNumIndexedCols` leaves in the schema's order, 32 by default, -1 for all.
 * SC2  Leaves inside arrays and maps have none: a reader could not tell whose they are.
 *
 * Source: Delta's documentation, "Data skipping"; delta-spark StatisticsCollection.
 */
import type { Metadata } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { parseSchema, type PrimitiveType, type StructField } from './schema.ts'

export interface StatsColumn {
  /** Physical names, outermost first. */
  readonly path: readonly string[]
  readonly type: PrimitiveType
}

const INDEXED_COLUMNS = 32

interface Leaf {
  readonly path: readonly string[]
  readonly logical: readonly string[]
  /** null inside SC2: counted, but without bounds. */
  readonly type: PrimitiveType | null
}

/** Of the columns that files hold. `always`: physical names of columns wanted in any case. */
export function statsColumns(metadata: Metadata, always: readonly string[] = [])
  : readonly StatsColumn[] {
  const { fields } = parseSchema(metadata.schemaString)
  const leaves = leavesOf(fields
    .filter((field) => !metadata.partitionColumns.includes(field.name)), [], [])
  const named = metadata.configuration['delta.dataSkippingStatsColumns']
  const limit = Number(metadata.configuration['delta.dataSkippingNumIndexedCols']
    ?? INDEXED_COLUMNS)
  const prefixes = named === undefined ? undefined : namesIn(named)
  return leaves.filter((leaf, at) => always.includes(leaf.path[0] ?? '')
    || (prefixes === undefined ? limit < 0 || at < limit
      : prefixes.some((prefix) => isPrefix(prefix, leaf.logical))))
    .flatMap(({ path, type }) => type === null ? [] : [{ path, type }])
}

function leavesOf(fields: readonly StructField[], path: readonly string[],
  logical: readonly string[]): readonly Leaf[] {
  return fields.flatMap((field): readonly Leaf[] => {
    const at = [...path, physicalName(field)]
    const named = [...logical, field.name]
    if (typeof field.type === 'string') return [{ path: at, type: field.type, logical: named }]
    if (field.type.type === 'struct') return leavesOf(field.type.fields, at, named)
    return [{ path: at, type: null, logical: named }]
  })
}

/** ``a, b.c, `d,e`.f``: columns by their parts, which may stand in backquotes. */
function namesIn(list: string): readonly (readonly string[])[] {
  const columns: string[][] = [[]]
  for (const [token, quoted, plain] of list.matchAll(/`((?:[^`]|``)*)`|([^`.,]+)|[.,]/g)) {
    if (token === ',') columns.push([])
    const part = quoted?.replaceAll('``', '`') ?? plain?.trim() ?? ''
    if (part !== '') columns.at(-1)?.push(part)
  }
  return columns.filter((parts) => parts.length > 0)
}

function isPrefix(prefix: readonly string[], logical: readonly string[]): boolean {
  return prefix.length <= logical.length
    && prefix.every((part, at) => part.toLowerCase() === logical[at]?.toLowerCase())
}
