/**
 * FileBlock: the add actions of one row group of a checkpoint, kept as the columns that they
 * are. An AddFile is made when somebody asks for one, its statistics are decoded with the first.
 *
 * B1  Immutable; the same row always gives an equal AddFile.
 * B2  Damage that shows only now is `delta-corrupt` with the checkpoint's name, like the rest.
 */
import { SlipwayError } from '../base/errors.ts'
import { decodeVector } from './action-codec.ts'
import type { AddFile, DeletionVectorDescriptor, PartitionValues, RemoveFile, Tags }
  from './actions.ts'
import type { JsonObject, JsonValue } from './exact-json.ts'
import type { FlatLeaf, ListLeaf } from './parquet-leaf.ts'

/** undefined: null, or not read. */
export type Build = (row: number) => JsonValue | undefined

/** Columns that nobody wrote are null. */
export interface AddColumns {
  /** For B2: table and file. */
  readonly place: string
  /** The group's rows that are adds. */
  readonly rows: Int32Array
  readonly path: FlatLeaf
  readonly size: FlatLeaf
  readonly modificationTime: FlatLeaf | null
  readonly dataChange: FlatLeaf | null
  readonly partitionValues: MapColumn | null
  readonly tags: MapColumn | null
  readonly deletionVector: Build | null
  readonly baseRowId: FlatLeaf | null
  readonly defaultRowCommitVersion: FlatLeaf | null
  readonly clusteringProvider: FlatLeaf | null
  /** Decodes with its first call. */
  readonly stats: (row: number) => string | undefined
}

export class FileBlock {
  readonly count: number
  readonly #columns: AddColumns

  constructor(columns: AddColumns) {
    this.count = columns.rows.length
    this.#columns = columns
  }

  /** `at`: from 0 to count - 1, here and below. */
  path(at: number): string {
    return this.#guarded(() => present(this.#columns.path.text(this.#row(at)), 'path'))
  }

  size(at: number): number {
    return this.#guarded(() => whole(this.#columns.size.number(this.#row(at)), 'size'))
  }

  deletionVector(at: number): DeletionVectorDescriptor | undefined {
    const build = this.#columns.deletionVector
    return build === null ? undefined
      : this.#guarded(() => decodeVector(build(this.#row(at))))
  }

  partitionValues(at: number): PartitionValues {
    return this.#guarded(() => this.#columns.partitionValues?.at(this.#row(at)) ?? NONE)
  }

  /** The JSON text of the statistics, whether kept as text or as a struct. */
  stats(at: number): string | undefined {
    return this.#guarded(() => this.#columns.stats(this.#row(at)))
  }

  add(at: number): AddFile {
    return this.#guarded(() => this.#add(at))
  }

  #add(at: number): AddFile {
    const row = this.#row(at)
    const { modificationTime, dataChange, tags, baseRowId, defaultRowCommitVersion,
      clusteringProvider } = this.#columns
    const add: { -readonly [K in keyof AddFile]: AddFile[K] } = {
      path: this.path(at),
      partitionValues: this.partitionValues(at),
      size: this.size(at),
      modificationTime: optional(modificationTime, row, 'modificationTime') ?? 0,
      dataChange: dataChange?.raw(row) !== false,
    }
    const stats = this.#columns.stats(row)
    if (stats !== undefined) add.stats = stats
    const tag = tags?.at(row)
    if (tag !== undefined) add.tags = tag
    const vector = this.deletionVector(at)
    if (vector !== undefined) add.deletionVector = vector
    const first = optional(baseRowId, row, 'baseRowId')
    if (first !== undefined) add.baseRowId = first
    const since = optional(defaultRowCommitVersion, row, 'defaultRowCommitVersion')
    if (since !== undefined) add.defaultRowCommitVersion = since
    const provider = clusteringProvider?.text(row)
    if (provider !== undefined) add.clusteringProvider = provider
    return add
  }

  #row(at: number): number {
    return this.#columns.rows[at] ?? -1
  }

  /** B2. */
  #guarded<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw damagedAt(this.#columns.place, error)
    }
  }
}

/** The remove actions of one row group, made into objects when asked for. */
export class TombstoneBlock {
  readonly count: number
  readonly #place: string
  readonly #rows: Int32Array
  readonly #remove: (row: number) => RemoveFile

  constructor(options: { readonly place: string; readonly rows: Int32Array
    readonly remove: (row: number) => RemoveFile }) {
    this.count = options.rows.length
    this.#place = options.place
    this.#rows = options.rows
    this.#remove = options.remove
  }

  remove(at: number): RemoveFile {
    try {
      return this.#remove(this.#rows[at] ?? -1)
    } catch (error) {
      throw damagedAt(this.#place, error)
    }
  }
}

/** What a decoder throws, as `delta-corrupt` that says where. */
export function damagedAt(place: string, error: unknown): SlipwayError {
  if (error instanceof SlipwayError) {
    return error.message.includes(place) ? error
      : new SlipwayError(error.code, `${place}: ${error.message}`, { cause: error })
  }
  return new SlipwayError('delta-corrupt', `${place} is not a readable Parquet file`,
    { cause: error })
}

const NONE: Readonly<Record<string, never>> = Object.freeze({})
const INTERNED_MAX = 65_536

/** A column of maps from text to text, most of them the same as others. */
export class MapColumn {
  readonly #keys: ListLeaf
  readonly #values: ListLeaf
  readonly #interned = new Map<string, Tags>()

  constructor(keys: ListLeaf, values: ListLeaf) {
    this.#keys = keys
    this.#values = values
  }

  /** undefined for null. */
  at(row: number): Tags | undefined {
    if (this.#keys.isNull(row)) return undefined
    const entries: [string, string | null][] = []
    const start = this.#keys.start(row)
    const length = this.#keys.end(row) - start
    const first = this.#values.start(row)
    if (this.#values.end(row) - first !== length) {
      throw new SlipwayError('delta-corrupt', 'a map has not as many values as keys')
    }
    for (let at = 0; at < length; at++) {
      const key = this.#keys.items.text(start + at)
      if (key === undefined) throw new SlipwayError('delta-corrupt', 'a map\'s key is null')
      entries.push([key, this.#values.items.text(first + at) ?? null])
    }
    return this.#shared(entries)
  }

  /** Equal maps are one object: a partition of a thousand files has its values once. */
  #shared(entries: readonly [string, string | null][]): Tags {
    const name = JSON.stringify(entries)
    const known = this.#interned.get(name)
    if (known !== undefined) return known
    const made = Object.freeze(Object.fromEntries(entries))
    if (this.#interned.size < INTERNED_MAX) this.#interned.set(name, made)
    return made
  }
}

function present<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new SlipwayError('delta-corrupt', `${field} is missing`)
  return value
}

function whole(value: number | bigint | undefined, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw new SlipwayError('delta-corrupt', `${field} is not a whole number below 2^53`)
}

function optional(leaf: FlatLeaf | null, row: number, field: string): number | undefined {
  const value = leaf?.number(row)
  return value === undefined ? undefined : whole(value, field)
}

/** For builders that hand JSON to the action codec. */
export function objectAt(build: Build, row: number): JsonObject {
  return (build(row) ?? {}) as JsonObject
}
