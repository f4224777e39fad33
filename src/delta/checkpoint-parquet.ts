/**
 * Checkpoint Parquet: the actions of one Parquet checkpoint file (or sidecar).
 *
 * A1  An action is where its key member is (`add.path`, `txn.appId`, …): whatever its writer
 *     made of absent structs, an absent action is never an empty one.
 * A2  Statistics kept as a struct (`stats_parsed`) become the JSON text that they stand for
 *     where no text is there.
 * A3  Leaves that hold only nulls, by their own statistics, are not read; a map or list that is
 *     empty in every row then reads as absent.
 */
import { parquetMetadata, parquetSchema, type ColumnMetaData, type RowGroup, type SchemaTree }
  from 'hyparquet'
import { SlipwayError } from '../base/errors.ts'
import { decodeAction } from './action-codec.ts'
import type { Action } from './actions.ts'
import { plainValue, statsText } from './checkpoint-value.ts'
import type { JsonObject, JsonValue } from './exact-json.ts'
import { leafShape, readLeaf, type LeafRows } from './parquet-leaf.ts'

/** A1: a member that each action must have. */
const KEYS: Readonly<Record<string, string>> = {
  add: 'path', remove: 'path', txn: 'appId', metaData: 'id', protocol: 'minReaderVersion',
  domainMetadata: 'domain', sidecar: 'path', checkpointMetadata: 'version',
}
/** Only for readers that have no JSON parser. */
const UNREAD: ReadonlySet<string> = new Set(['partitionValues_parsed'])
const GROUP_ROWS_MAX = 20_000_000

/** A row group's actions at a time. Throws when the file is damaged, in hyparquet's words. */
export function* parquetActions(bytes: ArrayBuffer): Generator<readonly Action[]> {
  const metadata = parquetMetadata(bytes)
  const tree = parquetSchema(metadata)
  for (const group of metadata.row_groups) {
    if (group.num_rows > GROUP_ROWS_MAX) throw new Error('a row group is too large')
    for (const node of tree.children) {
      const key = KEYS[node.element.name]
      if (key !== undefined) yield actionsOf(new GroupReader(bytes, tree, group), node, key)
    }
  }
}

function actionsOf(reader: GroupReader, node: SchemaTree, key: string): readonly Action[] {
  const keyNode = node.children.find((child) => child.element.name === key)
  const keys = keyNode === undefined ? null : reader.leaf(keyNode)
  if (keys?.kind !== 'flat') return []
  const build = structBuilder(reader, node)
  const { name } = node.element
  const actions: Action[] = []
  for (let row = 0; row < keys.rows.length; row++) {
    if (keys.rows[row] === undefined) continue
    const action = decodeAction({ [name]: build(row) ?? {} })
    if (action !== null) actions.push(action)
  }
  return actions
}

/** undefined: null, or not read. */
export type Build = (row: number) => JsonValue | undefined

function structBuilder(reader: GroupReader, node: SchemaTree): Build {
  const members: [string, Build][] = []
  for (const child of node.children) {
    const { name } = child.element
    if (UNREAD.has(name)) continue
    const build = name === 'stats_parsed' ? null : builderOf(reader, child)
    if (build !== null) members.push([name, build])
  }
  const parsed = node.children.find((child) => child.element.name === 'stats_parsed')
  if (parsed !== undefined) addParsedStats(reader, parsed, members)
  return (row) => {
    let object: Record<string, JsonValue> | undefined
    for (const [name, build] of members) {
      const value = build(row)
      if (value !== undefined) (object ??= {})[name] = value
    }
    return object
  }
}

/** A2: the struct is read only when some row has no text. */
function addParsedStats(reader: GroupReader, parsed: SchemaTree, members: [string, Build][])
  : void {
  const at = members.findIndex(([name]) => name === 'stats')
  const text = members[at]?.[1] ?? ((): undefined => undefined)
  let fromStruct: Build | null = null
  const build: Build = (row) => {
    const found = text(row)
    if (found !== undefined) return found
    fromStruct ??= statsText(parsed, (leaf) => reader.leaf(leaf))
    return fromStruct(row)
  }
  if (at === -1) members.push(['stats', build])
  else members[at] = ['stats', build]
}

/** null when there is nothing to read. */
function builderOf(reader: GroupReader, node: SchemaTree): Build | null {
  const { children, element } = node
  if (children.length === 0) return leafBuilder(reader, node)
  const leaves = leavesOf(node)
  if (isKind(element, 'MAP')) {
    const [keys, values] = leaves.map((leaf) => reader.leaf(leaf))
    return keys?.kind === 'list' && values?.kind === 'list' && leaves.length === 2
      ? mapBuilder(keys, values) : null
  }
  if (isKind(element, 'LIST')) {
    const items = leaves[0] === undefined ? null : reader.leaf(leaves[0])
    return items?.kind === 'list' && leaves.length === 1
      ? (row) => items.rows[row]?.map((item) => plainValue(item) ?? null) : null
  }
  return structBuilder(reader, node)
}

function leafBuilder(reader: GroupReader, node: SchemaTree): Build | null {
  const leaf = reader.leaf(node)
  return leaf?.kind === 'flat' ? (row) => plainValue(leaf.rows[row]) : null
}

type ListLeaf = Extract<LeafRows, { kind: 'list' }>

function mapBuilder(keys: ListLeaf, values: ListLeaf): Build {
  return (row): JsonObject | undefined => {
    const names = keys.rows[row]
    if (names === undefined) return undefined
    const items = values.rows[row]
    return Object.fromEntries(names.map((name, at) => {
      const text = plainValue(name)
      if (typeof text !== 'string') throw new SlipwayError('delta-corrupt', 'a map\'s key is null')
      return [text, plainValue(items?.[at]) ?? null]
    }))
  }
}

function isKind(element: SchemaTree['element'], kind: 'MAP' | 'LIST'): boolean {
  return element.converted_type === kind || element.logical_type?.type === kind
    || (kind === 'MAP' && element.converted_type === 'MAP_KEY_VALUE')
}

function leavesOf(node: SchemaTree): SchemaTree[] {
  return node.children.length === 0 ? [node] : node.children.flatMap(leavesOf)
}

/** The leaves of one row group, each decoded at most once. */
class GroupReader {
  readonly #bytes: ArrayBuffer
  readonly #tree: SchemaTree
  readonly #rows: number
  readonly #chunks: ReadonlyMap<string, ColumnMetaData>

  constructor(bytes: ArrayBuffer, tree: SchemaTree, group: RowGroup) {
    this.#bytes = bytes
    this.#tree = tree
    this.#rows = Number(group.num_rows)
    this.#chunks = new Map(group.columns.map(({ meta_data: chunk }) => chunk)
      .filter((chunk) => chunk !== undefined)
      .map((chunk) => [chunk.path_in_schema.join('\0'), chunk]))
  }

  /** null when it is not there, holds only nulls (A3), or is nested deeper than we read. */
  leaf(node: SchemaTree): LeafRows | null {
    const chunk = this.#chunks.get(node.path.join('\0'))
    if (chunk === undefined || chunk.statistics?.null_count === chunk.num_values) return null
    const path = [this.#tree]
    for (const name of node.path) {
      const child = path.at(-1)?.children.find((one) => one.element.name === name)
      if (child === undefined) return null
      path.push(child)
    }
    const shape = leafShape(path)
    return shape === null ? null : readLeaf(this.#bytes, chunk, shape, this.#rows)
  }
}
