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

/** Takes a node's values apart, row by row; undefined and null are absent. */
interface Shredder {
  readonly write: (value: unknown) => void
  /** Absent groups are noted, and written as one run when their turn is over. */
  readonly end: () => void
}

/** Rows of one row group, taken apart. */
export class RowShredder {
  readonly columns: readonly ParquetColumn[]
  readonly #actions: readonly { readonly kind: string; readonly shredder: Shredder }[]

  constructor() {
    const columns: ParquetColumn[] = []
    this.#actions = ACTIONS.map((node) =>
      ({ kind: node.name, shredder: shredderOf(node, 0, columns) }))
    this.columns = columns
  }

  add(kind: ActionKind, action: object): void {
    for (const part of this.#actions) part.shredder.write(part.kind === kind ? action : null)
  }

  end(): void {
    for (const { shredder } of this.#actions) shredder.end()
  }
}

const nothing = (): void => {}

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
      if (node.name === 'dataChange') return { write: () => { own.add(false, 0) }, end: nothing }
      return { end: nothing, write: (value) => {
        if (value === undefined || value === null) own.addNulls(depth, 0, 1)
        else own.add(value as LeafValue, 0)
      } }
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
    ({ name: child.name, shredder: shredderOf(child, depth + 1, columns) }))
  const own = columns.slice(first)
  let absent = 0
  const settle = (): void => {
    for (const { shredder } of parts) shredder.end()
    for (const each of own) each.addNulls(depth, 0, absent)
    absent = 0
  }
  return {
    write: (value) => {
      if (value === undefined || value === null) {
        absent++
        return
      }
      if (absent > 0) settle()
      for (const { name, shredder } of parts) {
        shredder.write((value as Readonly<Record<string, unknown>>)[name])
      }
    },
    end: settle,
  }
}

function mapShredder(keys: ParquetColumn, values: ParquetColumn, depth: number): Shredder {
  const absent = (definition: number): void => {
    keys.addNulls(definition, 0, 1)
    values.addNulls(definition, 0, 1)
  }
  return { end: nothing, write: (value) => {
    if (value === undefined || value === null) { absent(depth); return }
    const texts = value as Readonly<Record<string, string | null>>
    let repetition = 0
    for (const key in texts) {
      const text = texts[key] ?? null
      keys.add(key, repetition)
      if (text === null) values.addNulls(depth + 2, repetition, 1)
      else values.add(text, repetition)
      repetition = 1
    }
    if (repetition === 0) absent(depth + 1)
  } }
}

function listShredder(elements: ParquetColumn, depth: number): Shredder {
  return { end: nothing, write: (value) => {
    if (value === undefined || value === null) {
      elements.addNulls(depth, 0, 1)
      return
    }
    const items = value as readonly string[]
    if (items.length === 0) elements.addNulls(depth + 1, 0, 1)
    for (const [at, item] of items.entries()) elements.add(item, at === 0 ? 0 : 1)
  } }
}
