/**
 * DataCheck: whether a file's rows are what the log says of them (`fsck --deep`).
 *
 * DC1  The file has the rows that `numRecords` counts, and its deletion vector names none beyond.
 * DC2  No value lies outside of its column's bounds, read as loosely as data skipping reads them
 *      (stat-bound.ts): what is found is what would make a query lose rows.
 * DC3  NULLs are as many as `nullCount` says; where bounds are not tight only `none` and `all`
 *      say anything (PROTOCOL.md "Per-file Statistics").
 * DC4  Problems name columns and counts, no values.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { AddFile } from './actions.ts'
import { columnBounds } from './column-bounds.ts'
import { mappingMode, physicalName } from './column-mapping.ts'
import { readDeletionVector } from './deletion-vector.ts'
import { isJsonObject, parseJson } from './exact-json.ts'
import type { DataCheck } from './fsck.ts'
import type { ParquetReader, ReadFile } from './parquet-reader.ts'
import type { BoundPredicate, FieldPath } from './predicate.ts'
import { decimalOf, type StructField } from './schema.ts'
import type { Snapshot } from './snapshot.ts'
import { numRecordsOf } from './stats.ts'
import { StatsReader } from './stats-reader.ts'
import { localFile } from './table-scan.ts'
import type { Key, Value } from './value.ts'

export function dataCheck(storage: Storage, reader: ParquetReader): DataCheck {
  return async (file, snapshot) => {
    try {
      return await new FileCheck({ storage, reader, file, snapshot }).run()
    } catch (error) {
      if (error instanceof SlipwayError) return [error.message]
      throw error
    }
  }
}

class FileCheck {
  readonly #storage: Storage
  readonly #reader: ParquetReader
  readonly #file: AddFile
  readonly #snapshot: Snapshot
  #path = ''

  constructor(options: { readonly storage: Storage; readonly reader: ParquetReader
    readonly file: AddFile; readonly snapshot: Snapshot }) {
    this.#storage = options.storage
    this.#reader = options.reader
    this.#file = options.file
    this.#snapshot = options.snapshot
  }

  async run(): Promise<readonly string[]> {
    this.#path = await localFile(this.#storage, this.#file.path)
    const rows = await this.#count(null)
    const problems = await this.#rowProblems(rows)
    const partitioned = new Set(this.#snapshot.metadata.partitionColumns)
    const paths = leafPaths(this.#snapshot.schema.fields, [])
      .filter(([column]) => !partitioned.has(column.name))
    const outside = paths.map((path) => this.#outside(path))
    const told = outside.filter((each) => each !== null)
    // One read for all columns; which one it is matters only when something is wrong.
    if (told.length > 0 && await this.#count({ kind: 'or', operands: told }) > 0) {
      for (const [at, predicate] of outside.entries()) {
        const count = predicate === null ? 0 : await this.#count(predicate)
        const path = paths[at]
        if (count > 0 && path !== undefined) {
          problems.push(`${count} rows lie outside of the bounds of column ${nameOf(path)}`)
        }
      }
    }
    for (const path of paths) problems.push(...await this.#nullProblems(path, rows))
    return problems
  }

  /** DC1. */
  async #rowProblems(rows: number): Promise<string[]> {
    const problems: string[] = []
    const told = numRecordsOf(this.#file.stats)
    if (told !== null && told !== rows) problems.push(`has ${rows} rows, ${told} in the log`)
    const { deletionVector } = this.#file
    if (deletionVector === undefined) return problems
    let last = -1
    for (const row of (await readDeletionVector(this.#storage, deletionVector)).positions()) {
      last = row
    }
    if (last >= rows) problems.push(`its deletion vector deletes row ${last} of ${rows}`)
    return problems
  }

  /** DC2. null: no statistic bounds the column. */
  #outside(path: FieldPath): BoundPredicate | null {
    const { low, high } = columnBounds({ count: 1, stats: () => this.#file.stats,
      partitionValues: () => this.#file.partitionValues, add: () => this.#file }, path, false)
    const field = path.at(-1) ?? path[0]
    const below = valueOf(field, low[0] ?? null)
    const above = valueOf(field, high[0] ?? null)
    const operands: BoundPredicate[] = []
    if (below !== null) operands.push({ kind: 'compare', path, op: '<', value: below })
    if (above !== null) operands.push({ kind: 'compare', path, op: '>', value: above })
    if (operands.length === 0) return null
    const outside: BoundPredicate = { kind: 'or', operands }
    if (field.type !== 'float' && field.type !== 'double') return outside
    // Bounds say nothing of NaN.
    return { kind: 'and', operands: [outside, { kind: 'not', operand: { kind: 'compare', path,
      op: '=', value: { kind: 'float', value: NaN } } }] }
  }

  /** DC3. Writers differ on whether a field of a NULL struct counts. */
  async #nullProblems(path: FieldPath, rows: number): Promise<readonly string[]> {
    const stats = new StatsReader(path.map(physicalName))
    stats.read(this.#file.stats)
    if (stats.nullCount === null || path.length > 1) return []
    const told = Number(stats.nullCount)
    const isTight = tightBounds(this.#file.stats)
    if (!isTight && told !== 0 && told !== rows) return []
    const found = await this.#count({ kind: 'is-null', path })
    return found === told ? []
      : [`column ${nameOf(path)} is NULL in ${found} rows, in ${told} says the log`]
  }

  async #count(predicate: BoundPredicate | null): Promise<number> {
    const file: ReadFile = { path: this.#path, constants: new Map(), rows: { kind: 'all' } }
    let count = 0
    for await (const batch of this.#reader.read({ columns: [], predicate, files: [file],
      mapping: mappingMode(this.#snapshot.metadata) })) count += batch.numRows
    return count
  }
}

/** Columns and fields of structs that hold scalars. */
function leafPaths(fields: readonly StructField[], above: readonly StructField[]): FieldPath[] {
  return fields.flatMap((field): FieldPath[] => {
    const path = [...above, field] as unknown as FieldPath
    if (typeof field.type === 'string') return [path]
    return field.type.type === 'struct' ? leafPaths(field.type.fields, path) : []
  })
}

function nameOf(path: FieldPath): string {
  return path.map(({ name }) => name).join('.')
}

function tightBounds(stats: string | undefined): boolean {
  const document = stats === undefined ? null : parseJson(stats)
  return isJsonObject(document) && document.tightBounds !== false
}

/** null for types that are not ordered here. */
function valueOf({ type }: StructField, key: Key | null): Value | null {
  if (key === null || typeof type !== 'string') return null
  switch (type) {
    case 'byte': case 'short': case 'integer': case 'long':
      return { kind: 'integer', value: BigInt(key) }
    case 'float': case 'double': return { kind: 'float', value: Number(key) }
    case 'string': return { kind: 'string', value: String(key) }
    case 'date': return { kind: 'date', days: Number(key) }
    case 'timestamp': case 'timestamp_ntz': return { kind: 'timestamp', micros: BigInt(key) }
    default: {
      const decimal = decimalOf(type)
      return decimal === null ? null
        : { kind: 'decimal', unscaled: BigInt(key), scale: decimal.scale }
    }
  }
}
