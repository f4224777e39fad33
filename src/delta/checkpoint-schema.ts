/**
 * Checkpoint schema: the columns of a classic checkpoint, and rows taken apart into them.
 *
 * CS1  An absent action is a null struct, never one of empty texts (delta-rs #3030).
 * CS2  Removes have neither stats nor tags.
 * CS3  What a checkpoint holds is no change of data.
 *
 * Source: PROTOCOL.md "Checkpoint Schema"; Dremel's levels as in apache/parquet-format.
 */
import { ParquetColumn, type LeafType, type LeafValue } from './parquet-column.ts'
import { binary, i32, struct, type ThriftValue } from './thrift-writer.ts'

type Node =
  | { readonly kind: 'leaf'; readonly name: string; readonly type: LeafType }
  | { readonly kind: 'group'; readonly name: string; readonly children: readonly Node[] }
  /** Texts by text, or a list of texts. */
  | { readonly kind: 'map' | 'list'; readonly name: string }

const leaf = (type: LeafType) => (name: string): Node => ({ kind: 'leaf', name, type })
const text = leaf('text')
const long = leaf('i64')
const int = leaf('i32')
const flag = leaf('boolean')
const map = (name: string): Node => ({ kind: 'map', name })
const list = (name: string): Node => ({ kind: 'list', name })
const group = (name: string, children: readonly Node[]): Node => ({ kind: 'group', name, children })

const VECTOR = group('deletionVector', [text('storageType'), text('pathOrInlineDv'),
  int('offset'), int('sizeInBytes'), long('cardinality')])
const ROW_IDS = [long('baseRowId'), long('defaultRowCommitVersion')]

export type ActionKind = 'txn' | 'add' | 'remove' | 'metaData' | 'protocol' | 'domainMetadata'

const ACTIONS: readonly Node[] = [
  group('txn', [text('appId'), long('version'), long('lastUpdated')]),
  group('add', [text('path'), map('partitionValues'), long('size'), long('modificationTime'),
    flag('dataChange'), text('stats'), map('tags'), VECTOR, ...ROW_IDS,
    text('clusteringProvider')]),
  group('remove', [text('path'), long('deletionTimestamp'), flag('dataChange'),
    flag('extendedFileMetadata'), map('partitionValues'), long('size'), VECTOR, ...ROW_IDS]),
  group('metaData', [text('id'), text('name'), text('description'),
    group('format', [text('provider'), map('options')]), text('schemaString'),
    list('partitionColumns'), map('configuration'), long('createdTime')]),
  group('protocol', [int('minReaderVersion'), int('minWriterVersion'), list('readerFeatures'),
    list('writerFeatures')]),
  group('domainMetadata', [text('domain'), text('configuration'), flag('removed')]),
]

/** A leaf's place, in the order of Parquet's column chunks. */
export interface LeafPlace {
  readonly path: readonly string[]
  readonly type: LeafType
}

const REQUIRED = 0
const OPTIONAL = 1
const REPEATED = 2
const TYPE_CODES: Readonly<Record<LeafType, number>> = { boolean: 0, i32: 1, i64: 2, text: 6 }
const CONVERTED = { text: 0, map: 1, list: 3 }
/** Members of parquet.thrift's LogicalType. */
const LOGICAL = { text: 1, map: 2, list: 3 }

export const CHECKPOINT_LEAVES: readonly LeafPlace[] = ACTIONS.flatMap((node) => leavesOf(node, []))

/** The footer's schema, depth first. */
export const CHECKPOINT_SCHEMA: readonly ThriftValue[] = [
  element('checkpoint', { children: ACTIONS.length }), ...ACTIONS.flatMap(elementsOf)]

function leavesOf(node: Node, above: readonly string[]): readonly LeafPlace[] {
  const path = [...above, node.name]
  switch (node.kind) {
    case 'leaf': return [{ path, type: node.type }]
    case 'group': return node.children.flatMap((child) => leavesOf(child, path))
    case 'map': return ['key', 'value'].map((name) =>
      ({ path: [...path, 'key_value', name], type: 'text' as const }))
    case 'list': return [{ path: [...path, 'list', 'element'], type: 'text' }]
  }
}

function elementsOf(node: Node): readonly ThriftValue[] {
  switch (node.kind) {
    case 'leaf': return [element(node.name, { repetition: OPTIONAL, type: node.type })]
    case 'group': return [element(node.name, { repetition: OPTIONAL,
      children: node.children.length }), ...node.children.flatMap(elementsOf)]
    case 'map': return [element(node.name, { repetition: OPTIONAL, children: 1, holds: 'map' }),
      element('key_value', { repetition: REPEATED, children: 2 }),
      element('key', { repetition: REQUIRED, type: 'text' }),
      element('value', { repetition: OPTIONAL, type: 'text' })]
    case 'list': return [element(node.name, { repetition: OPTIONAL, children: 1, holds: 'list' }),
      element('list', { repetition: REPEATED, children: 1 }),
      element('element', { repetition: OPTIONAL, type: 'text' })]
  }
}

function element(name: string, of: { readonly type?: LeafType; readonly repetition?: number
  readonly children?: number; readonly holds?: 'map' | 'list' }): ThriftValue {
  const meaning = of.holds ?? (of.type === 'text' ? of.type : undefined)
  const optional = (value: number | undefined): ThriftValue | undefined =>
    value === undefined ? undefined : i32(value)
  return struct([[1, optional(of.type === undefined ? undefined : TYPE_CODES[of.type])],
    [3, optional(of.repetition)], [4, binary(name)], [5, optional(of.children)],
    [6, optional(meaning === undefined ? undefined : CONVERTED[meaning])],
    [10, meaning === undefined ? undefined : struct([[LOGICAL[meaning], struct([])]])]])
}

/** Writes one value at a repetition level; undefined and null are absent. */
type Shredder = (value: unknown, repetition: number) => void

/** Rows of one row group, taken apart. */
export class RowShredder {
  readonly columns: readonly ParquetColumn[]
  readonly #actions: ReadonlyMap<string, { readonly columns: readonly ParquetColumn[]
    readonly write: Shredder; absent: number }>

  constructor() {
    const columns: ParquetColumn[] = []
    this.#actions = new Map(ACTIONS.map((node) => {
      const own: ParquetColumn[] = []
      const write = shredderOf(node, 0, own)
      columns.push(...own)
      return [node.name, { columns: own, write, absent: 0 }]
    }))
    this.columns = columns
  }

  /** Rows of other kinds are noted, and written as one run when their turn is over. */
  add(kind: ActionKind, action: object): void {
    for (const [name, part] of this.#actions) {
      if (name !== kind) {
        part.absent++
        continue
      }
      this.#settle(part)
      part.write(action, 0)
    }
  }

  end(): void {
    for (const part of this.#actions.values()) this.#settle(part)
  }

  #settle(part: { readonly columns: readonly ParquetColumn[]; absent: number }): void {
    if (part.absent === 0) return
    for (const column of part.columns) column.addNulls(0, 0, part.absent)
    part.absent = 0
  }
}

function shredderOf(node: Node, depth: number, columns: ParquetColumn[]): Shredder {
  const column = (type: LeafType, definitionMax: number, isRepeated: boolean): ParquetColumn => {
    const made = new ParquetColumn({ type, definitionMax, isRepeated })
    columns.push(made)
    return made
  }
  switch (node.kind) {
    case 'leaf': {
      const own = column(node.type, depth + 1, false)
      // CS3.
      if (node.name === 'dataChange') return (_value, repetition) => { own.add(false, repetition) }
      return (value, repetition) => {
        if (value === undefined || value === null) own.addNulls(depth, repetition, 1)
        else own.add(value as LeafValue, repetition)
      }
    }
    case 'group': return groupShredder(node.children, depth, columns)
    case 'map': return mapShredder(column('text', depth + 2, true), column('text', depth + 3, true),
      depth)
    case 'list': return listShredder(column('text', depth + 3, true), depth)
  }
}

function groupShredder(children: readonly Node[], depth: number, columns: ParquetColumn[])
  : Shredder {
  const first = columns.length
  const parts = children.map((child) =>
    [child.name, shredderOf(child, depth + 1, columns)] as const)
  const own = columns.slice(first)
  return (value, repetition) => {
    if (value === undefined || value === null) {
      for (const each of own) each.addNulls(depth, repetition, 1)
      return
    }
    for (const [name, write] of parts) {
      write((value as Readonly<Record<string, unknown>>)[name], repetition)
    }
  }
}

function mapShredder(keys: ParquetColumn, values: ParquetColumn, depth: number): Shredder {
  const absent = (definition: number, repetition: number): void => {
    keys.addNulls(definition, repetition, 1)
    values.addNulls(definition, repetition, 1)
  }
  return (value, repetition) => {
    if (value === undefined || value === null) { absent(depth, repetition); return }
    const texts = value as Readonly<Record<string, string | null>>
    let level = repetition
    for (const key of Object.keys(texts)) {
      const text = texts[key] ?? null
      keys.add(key, level)
      if (text === null) values.addNulls(depth + 2, level, 1)
      else values.add(text, level)
      level = 1
    }
    if (level === repetition) absent(depth + 1, repetition)
  }
}

function listShredder(elements: ParquetColumn, depth: number): Shredder {
  return (value, repetition) => {
    if (value === undefined || value === null) {
      elements.addNulls(depth, repetition, 1)
      return
    }
    const items = value as readonly string[]
    if (items.length === 0) elements.addNulls(depth + 1, repetition, 1)
    for (const [at, item] of items.entries()) elements.add(item, at === 0 ? repetition : 1)
  }
}
