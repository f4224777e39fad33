/**
 * ParquetLeaf: one leaf column of one row group, decoded without building rows.
 *
 * Checkpoints need hundreds of thousands of rows of a few leaves each; hyparquet's own row
 * assembly costs ten times the decoding. Its page decoders are used as they are.
 *
 * P1  A leaf has one value a row (null as undefined), or, below one repeated group, one list a
 *     row. Deeper repetition does not occur in Delta's checkpoints and is not read.
 * P2  Counts in headers are held against each other before anything is allocated by them.
 */
import type { ColumnMetaData, SchemaTree } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { decompressPage, readDataPage, readDataPageV2 } from 'hyparquet/src/datapage.js'
import { readPlain } from 'hyparquet/src/plain.js'
import { compressors } from 'hyparquet-compressors'

/** Values as Parquet stores them: numbers, bigints, booleans, bytes. */
export type RawValue = number | bigint | boolean | Uint8Array | undefined

export type LeafRows =
  | { readonly kind: 'flat'; readonly rows: ArrayLike<RawValue> }
  | { readonly kind: 'list'; readonly rows: readonly (readonly RawValue[] | undefined)[] }

/** Levels of nesting, from the schema alone. */
export interface LeafShape {
  /** Root to leaf. */
  readonly path: readonly SchemaTree[]
  /** Definition level of a value that is not null. */
  readonly defined: number
  /** Definition level from which on the list has an element; null for a flat leaf. */
  readonly element: number | null
}

/** null for a leaf below two repeated groups (P1). */
export function leafShape(path: readonly SchemaTree[]): LeafShape | null {
  let defined = 0
  let element: number | null = null
  for (const { element: { repetition_type: repetition } } of path.slice(1)) {
    if (repetition !== 'REQUIRED') defined++
    if (repetition !== 'REPEATED') continue
    if (element !== null) return null
    element = defined
  }
  return { path, defined, element }
}

/** `bytes`: the whole file. `rows`: of the row group. Throws whatever hyparquet throws. */
export function readLeaf(bytes: ArrayBuffer, chunk: ColumnMetaData, shape: LeafShape, rows: number)
  : LeafRows {
  const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset)
  const view = new DataView(bytes, start, Number(chunk.total_compressed_size))
  const out = shape.element === null ? new FlatRows(rows, shape.defined)
    : new ListRows(rows, shape.defined, shape.element)
  const element = shape.path.at(-1)?.element ?? { name: '' }
  const decoder = { pathInSchema: [...chunk.path_in_schema], type: chunk.type, element,
    schemaPath: [...shape.path], codec: chunk.codec, parsers: {} as never, compressors }
  const reader = { view, offset: 0 }
  let dictionary: ArrayLike<unknown> | null = null
  while (reader.offset < view.byteLength - 1 && !out.full) {
    const header = parquetHeader(reader)
    const size = header.compressed_page_size
    if (!(size >= 0) || size > view.byteLength - reader.offset) throw new Error('page size')
    const body = new Uint8Array(bytes, start + reader.offset, size)
    reader.offset += size
    if (header.dictionary_page_header !== undefined) {
      const page = decompressPage(body, header.uncompressed_page_size, chunk.codec, compressors)
      dictionary = readPlain({ view: viewOf(page), offset: 0 }, chunk.type,
        bounded(header.dictionary_page_header.num_values, page.length * 8), element.type_length)
      continue
    }
    const v1 = header.data_page_header
    const about = v1 ?? header.data_page_header_v2
    if (about === undefined) continue
    // P2. A page of nulls takes no bytes, so only the chunk's own count bounds it.
    bounded(about.num_values, Number(chunk.num_values))
    const page = v1 === undefined ? readDataPageV2(body, header, decoder)
      : readDataPage(decompressPage(body, header.uncompressed_page_size, chunk.codec,
        compressors), v1, decoder)
    const values = page.dataPage as ArrayLike<unknown>
    const entries = dictionary !== null && about.encoding.endsWith('_DICTIONARY')
      ? dereferenced(values, dictionary) : values
    out.append(entries as ArrayLike<RawValue>, about.num_values, page.definitionLevels ?? [],
      page.repetitionLevels)
  }
  return out.result()
}

function bounded(count: number, max: number): number {
  if (!(count >= 0) || count > max) throw new Error('a page counts more values than can be')
  return count
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function dereferenced(indexes: ArrayLike<unknown>, dictionary: ArrayLike<unknown>): unknown[] {
  const values: unknown[] = new Array<unknown>(indexes.length)
  for (let at = 0; at < indexes.length; at++) {
    const value = dictionary[indexes[at] as number]
    if (value === undefined) throw new Error('an index passes the dictionary')
    values[at] = value
  }
  return values
}

class FlatRows {
  readonly #rows: RawValue[]
  readonly #count: number
  readonly #defined: number
  #at = 0

  constructor(count: number, defined: number) {
    this.#rows = new Array<RawValue>(count)
    this.#count = count
    this.#defined = defined
  }

  get full(): boolean { return this.#at >= this.#count }

  append(values: ArrayLike<RawValue>, count: number, definitions: readonly number[]): void {
    if (this.#at + count > this.#count) throw new Error('a column has too many values')
    // No levels: every value is there.
    if (definitions.length === 0) {
      if (values.length < count) throw new Error('a page has too few values')
      for (let at = 0; at < count; at++) this.#rows[this.#at++] = values[at]
      return
    }
    let next = 0
    for (let at = 0; at < count; at++) {
      this.#rows[this.#at++] = definitions[at] === this.#defined ? values[next++] : undefined
    }
  }

  result(): LeafRows {
    if (!this.full) throw new Error('a column has too few values')
    return { kind: 'flat', rows: this.#rows }
  }
}

class ListRows {
  readonly #rows: (RawValue[] | undefined)[]
  readonly #count: number
  readonly #defined: number
  readonly #element: number
  #at = -1
  /** The last row may go on in the next page: only the chunk's end ends it. */
  readonly full = false

  constructor(count: number, defined: number, element: number) {
    this.#rows = new Array<RawValue[] | undefined>(count)
    this.#count = count
    this.#defined = defined
    this.#element = element
  }

  append(values: ArrayLike<RawValue>, count: number, definitions: readonly number[],
    repetitions: readonly number[]): void {
    let next = 0
    for (let at = 0; at < count; at++) {
      const definition = definitions.length === 0 ? this.#defined : definitions[at] ?? 0
      if ((repetitions[at] ?? 0) === 0) this.#at++
      if (this.#at >= this.#count) throw new Error('a column has too many rows')
      if (definition < this.#element - 1) continue
      const row = this.#rows[this.#at] ??= []
      if (definition < this.#element) continue
      row.push(definition === this.#defined ? values[next++] : undefined)
    }
  }

  result(): LeafRows {
    if (this.#at !== this.#count - 1) throw new Error('a column has too few rows')
    return { kind: 'list', rows: this.#rows }
  }
}
