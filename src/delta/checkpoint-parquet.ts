/**
 * Checkpoint Parquet: the actions of one Parquet checkpoint file (or sidecar).
 *
 * A1  An action is where its key member is (`add.path`, `txn.appId`, …): whatever its writer
 *     made of absent structs, an absent action is never an empty one.
 * A2  Statistics kept as a struct (`stats_parsed`) become the JSON text that they stand for
 *     where no text is there.
 * A3  Files and tombstones stay columns (FileBlock, TombstoneBlock); all that a snapshot needs
 *     of them is decoded here, so that damage shows here. Statistics wait to be asked for.
 */
import { parquetMetadata, parquetSchema, type ColumnMetaData, type RowGroup, type SchemaTree }
  from 'hyparquet'
import { SlipwayError } from '../base/errors.ts'
import { decodeAction, decodeRemove } from './action-codec.ts'
import type { Action } from './actions.ts'
import { plainValue, statsText } from './checkpoint-value.ts'
import type { JsonObject, JsonValue } from './exact-json.ts'
import { FileBlock, MapColumn, TombstoneBlock, objectAt, type Build } from './file-block.ts'
import { checkLeaf, leafShape, readLeaf, type FlatLeaf, type LeafSource, type ListLeaf }
  from './parquet-leaf.ts'
import { DecodeBudget, viewOf } from './parquet-page.ts'
import { checkThrift } from './thrift-bounds.ts'

/** What one part of a checkpoint says, in no order. */
export interface CheckpointPart {
  readonly actions: readonly Action[]
  readonly files: FileBlock | null
  readonly tombstones: TombstoneBlock | null
}

/** A1: a member that each action must have. */
const KEYS: Readonly<Record<string, string>> = {
  add: 'path', remove: 'path', txn: 'appId', metaData: 'id', protocol: 'minReaderVersion',
  domainMetadata: 'domain', sidecar: 'path', checkpointMetadata: 'version',
}
const FOOTER_BYTES = 8

/**
 * A row group and kind of action at a time. `place` names table and file. Throws when the file
 * is damaged: a SlipwayError, or an Error that says what is wrong.
 */
export function* parquetParts(file: Uint8Array, place: string): Generator<CheckpointPart> {
  const footer = footerOf(file)
  const metadata = parquetMetadata(footer, { geoparquet: false })
  const tree = parquetSchema(metadata)
  const budget = new DecodeBudget(file.length)
  for (const group of metadata.row_groups) {
    for (const node of tree.children) {
      const key = KEYS[node.element.name]
      if (key === undefined) continue
      const reader = new GroupReader({ file, tree, group, budget, place })
      const rows = presentRows(reader, node, key)
      if (rows.length > 0) yield partOf(reader, node, rows)
    }
  }
}

/** The file's end: all that its metadata needs, with its bounds checked. */
function footerOf(file: Uint8Array): Uint8Array {
  if (file.length < FOOTER_BYTES) throw new Error('the file is too short')
  const length = viewOf(file).getUint32(file.length - FOOTER_BYTES, true)
  const start = file.length - FOOTER_BYTES - length
  if (start < 0) throw new Error('the footer is longer than the file')
  checkThrift(file.subarray(0, file.length - FOOTER_BYTES), start)
  return file.subarray(start)
}

function presentRows(reader: GroupReader, node: SchemaTree, key: string): Int32Array {
  const keys = reader.flat(childOf(node, key))
  if (keys === null) return new Int32Array(0)
  const rows = new Int32Array(keys.rows)
  let count = 0
  for (let row = 0; row < keys.rows; row++) if (!keys.isNull(row)) rows[count++] = row
  return rows.slice(0, count)
}

function partOf(reader: GroupReader, node: SchemaTree, rows: Int32Array): CheckpointPart {
  const { name } = node.element
  if (name === 'add') {
    return { actions: [], files: fileBlock(reader, node, rows), tombstones: null }
  }
  const build = structBuilder(reader, node)
  if (name === 'remove') {
    const remove = (row: number) => decodeRemove(objectAt(build, row))
    return { actions: [], files: null,
      tombstones: new TombstoneBlock({ place: reader.place, rows, remove }) }
  }
  const actions: Action[] = []
  for (const row of rows) {
    const action = decodeAction({ [name]: objectAt(build, row) })
    if (action !== null) actions.push(action)
  }
  return { actions, files: null, tombstones: null }
}

function fileBlock(reader: GroupReader, node: SchemaTree, rows: Int32Array): FileBlock {
  const flat = (name: string): FlatLeaf | null => reader.flat(childOf(node, name))
  const path = flat('path')
  const size = flat('size')
  if (path === null || size === null) {
    throw new SlipwayError('delta-corrupt', 'a file has no path or no size')
  }
  const vector = childOf(node, 'deletionVector')
  return new FileBlock({
    place: reader.place, rows, path, size,
    modificationTime: flat('modificationTime'), dataChange: flat('dataChange'),
    partitionValues: mapColumn(reader, childOf(node, 'partitionValues')),
    tags: mapColumn(reader, childOf(node, 'tags')),
    deletionVector: vector === undefined ? null : vectorBuilder(reader, vector),
    baseRowId: flat('baseRowId'), defaultRowCommitVersion: flat('defaultRowCommitVersion'),
    clusteringProvider: flat('clusteringProvider'),
    stats: statsBuilder(reader, node),
  })
}

/** null where no file has one, which is how most tables are. */
function vectorBuilder(reader: GroupReader, node: SchemaTree): Build | null {
  const kind = reader.flat(childOf(node, 'storageType'))
  if (kind === null) return null
  const build = structBuilder(reader, node)
  return (row) => kind.isNull(row) ? undefined : build(row)
}

/** A2. The struct is read only when some row has no text. */
function statsBuilder(reader: GroupReader, node: SchemaTree)
  : (row: number) => string | undefined {
  const textNode = childOf(node, 'stats')
  const parsedNode = childOf(node, 'stats_parsed')
  if (textNode !== undefined) reader.check(textNode)
  let text: FlatLeaf | null | undefined
  let parsed: ((row: number) => string | undefined) | undefined
  return (row) => {
    text ??= reader.flat(textNode)
    const found = text?.text(row)
    if (found !== undefined || parsedNode === undefined) return found
    parsed ??= statsText(parsedNode, (leaf) => reader.flat(leaf))
    return parsed(row)
  }
}

function structBuilder(reader: GroupReader, node: SchemaTree): Build {
  const members: [string, Build][] = []
  for (const child of node.children) {
    const build = builderOf(reader, child)
    if (build !== null) members.push([child.element.name, build])
  }
  return (row) => {
    let object: Record<string, JsonValue> | undefined
    for (const [name, build] of members) {
      const value = build(row)
      if (value !== undefined) (object ??= {})[name] = value
    }
    return object
  }
}

/** null when there is nothing to read. */
function builderOf(reader: GroupReader, node: SchemaTree): Build | null {
  const { children, element } = node
  if (children.length === 0) return leafBuilder(reader, node)
  if (isKind(element, 'MAP')) {
    const map = mapColumn(reader, node)
    return map === null ? null : (row): JsonObject | undefined => map.at(row)
  }
  if (isKind(element, 'LIST')) {
    const items = reader.list(leavesOf(node)[0])
    return items === null || leavesOf(node).length > 1 ? null
      : (row) => items.isNull(row) ? undefined : itemsOf(items, row)
  }
  return structBuilder(reader, node)
}

function itemsOf(list: ListLeaf, row: number): JsonValue {
  const items: JsonValue[] = []
  for (let at = list.start(row); at < list.end(row); at++) {
    items.push(plainValue(list.items.raw(at)) ?? null)
  }
  return items
}

function leafBuilder(reader: GroupReader, node: SchemaTree): Build | null {
  const leaf = reader.flat(node)
  return leaf === null ? null : (row) => plainValue(leaf.raw(row))
}

function mapColumn(reader: GroupReader, node: SchemaTree | undefined): MapColumn | null {
  if (node === undefined) return null
  const [keyNode, valueNode, third] = leavesOf(node)
  const keys = reader.list(keyNode)
  const values = reader.list(valueNode)
  return keys === null || values === null || third !== undefined ? null
    : new MapColumn(keys, values)
}

function childOf(node: SchemaTree, name: string): SchemaTree | undefined {
  return node.children.find((child) => child.element.name === name)
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
  readonly place: string
  readonly #file: Uint8Array
  readonly #tree: SchemaTree
  readonly #rows: number
  readonly #budget: DecodeBudget
  readonly #chunks: ReadonlyMap<string, ColumnMetaData>
  readonly #leaves = new Map<SchemaTree, FlatLeaf | ListLeaf>()

  constructor(options: { readonly file: Uint8Array; readonly tree: SchemaTree
    readonly group: RowGroup; readonly budget: DecodeBudget; readonly place: string }) {
    this.place = options.place
    this.#file = options.file
    this.#tree = options.tree
    this.#budget = options.budget
    this.#rows = Number(options.group.num_rows)
    this.#chunks = new Map(options.group.columns.map(({ meta_data: chunk }) => chunk)
      .filter((chunk) => chunk !== undefined)
      .map((chunk) => [chunk.path_in_schema.join('\0'), chunk]))
    options.budget.take(this.#rows * 4)
  }

  /** null when it is not there, or is nested. */
  flat(node: SchemaTree | undefined): FlatLeaf | null {
    const leaf = this.#leaf(node)
    return leaf?.kind === 'flat' ? leaf : null
  }

  /** null when it is not there, is no list, or is nested deeper than we read. */
  list(node: SchemaTree | undefined): ListLeaf | null {
    const leaf = this.#leaf(node)
    return leaf?.kind === 'list' ? leaf : null
  }

  /** Throws when the leaf's pages are damaged, as far as shows without decoding them. */
  check(node: SchemaTree): void {
    const source = this.#source(node)
    if (source !== null) checkLeaf(source)
  }

  #leaf(node: SchemaTree | undefined): FlatLeaf | ListLeaf | null {
    if (node === undefined) return null
    const known = this.#leaves.get(node)
    if (known !== undefined) return known
    const source = this.#source(node)
    if (source === null) return null
    const leaf = readLeaf(source)
    this.#leaves.set(node, leaf)
    return leaf
  }

  #source(node: SchemaTree): LeafSource | null {
    const chunk = this.#chunks.get(node.path.join('\0'))
    if (chunk === undefined) return null
    const path = [this.#tree]
    for (const name of node.path) {
      const child = path.at(-1)?.children.find((one) => one.element.name === name)
      if (child === undefined) return null
      path.push(child)
    }
    const shape = leafShape(path)
    return shape === null ? null
      : { file: this.#file, chunk, shape, rows: this.#rows, budget: this.#budget }
  }
}
