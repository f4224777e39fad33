/**
 * ParquetTree: the schema of a Parquet file, as DuckDB's parquet_schema() tells it.
 *
 * PT1  A list's element is found in every form that writers have used (Parquet's
 *      LogicalTypes.md, "Lists": backward-compatibility rules).
 */

export interface ParquetNode {
  readonly name: string
  readonly fieldId: number | null
  readonly repeated: boolean
  /** Of a leaf: DuckDB's name for it (`INTEGER`, `DECIMAL(10,2)`); null inside the tree. */
  readonly leafType: string | null
  readonly kind: 'list' | 'map' | 'other'
  readonly children: readonly ParquetNode[]
}

/** A row of `SCHEMA_COLUMNS` of parquet_schema(). */
export type SchemaRow = readonly [name: string, repetition: string | null, children: number,
  converted: string | null, logical: string | null, fieldId: number | null, type: string | null]

export const SCHEMA_COLUMNS = 'name, repetition_type, CAST(coalesce(num_children, 0) AS INTEGER), '
  + 'converted_type, logical_type, CAST(field_id AS INTEGER), duckdb_type'

/** The file's columns. `rows`: depth first, the root first, as parquet_schema() gives them. */
export function parquetTree(rows: readonly SchemaRow[]): readonly ParquetNode[] {
  const next = { at: 0 }
  return nodeAt(rows, next).children
}

function nodeAt(rows: readonly SchemaRow[], next: { at: number }): ParquetNode {
  const row = rows[next.at++]
  if (row === undefined) throw new Error('a Parquet schema ends early')
  const [name, repetition, count, converted, logical, fieldId, type] = row
  const children = Array.from({ length: count }, () => nodeAt(rows, next))
  const kind = converted === 'LIST' || logical?.startsWith('ListType') === true ? 'list'
    : converted === 'MAP' || converted === 'MAP_KEY_VALUE'
      || logical?.startsWith('MapType') === true ? 'map' : 'other'
  return { name, fieldId, repeated: repetition === 'REPEATED', children, kind,
    leafType: children.length === 0 ? type ?? '' : null }
}

/** PT1. null: the node is no list. */
export function listElement(node: ParquetNode): ParquetNode | null {
  // A repeated field outside of a list is itself one.
  if (node.repeated && node.kind !== 'list') return { ...node, repeated: false }
  if (node.kind !== 'list') return null
  const [group] = node.children
  if (group === undefined) return null
  const wraps = group.children.length === 1 && group.name !== 'array'
    && group.name !== `${node.name}_tuple`
  return wraps ? group.children[0] ?? null : { ...group, repeated: false }
}

/** null: the node is no map. */
export function mapEntry(node: ParquetNode): readonly [ParquetNode, ParquetNode] | null {
  if (node.kind !== 'map') return null
  const [key, value] = node.children[0]?.children ?? []
  return key === undefined || value === undefined ? null : [key, value]
}
