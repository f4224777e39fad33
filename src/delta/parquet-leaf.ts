/**
 * ParquetLeaf: one leaf column of one row group, decoded without building rows.
 *
 * Checkpoints need hundreds of thousands of rows of a few leaves each: a row is looked up in its
 * page when it is asked for.
 *
 * P1  A leaf has one value a row, or, below one repeated group, one list a row. Deeper repetition
 *     does not occur in Delta's checkpoints and is not read.
 * P2  Counts in headers are held against each other before anything is allocated by them.
 */
import type { ColumnMetaData, SchemaTree } from 'hyparquet'
import { findPages, openPage, type ChunkPlace, type DecodeBudget, type Page }
  from './parquet-page.ts'
import { decodeHybrid, pageValues, type PageValues, type RawValue } from './parquet-values.ts'

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

export interface LeafSource {
  /** The whole file. */
  readonly file: Uint8Array
  readonly chunk: ColumnMetaData
  readonly shape: LeafShape
  /** Of the row group. */
  readonly rows: number
  readonly budget: DecodeBudget
}

/** Headers and checksums of a column that nobody has asked for yet. Throws as readLeaf. */
export function checkLeaf(source: LeafSource): void {
  findPages(placeOf(source))
}

/** Throws an Error that says what is damaged. */
export function readLeaf(source: LeafSource): FlatLeaf | ListLeaf {
  const place = placeOf(source)
  const { element } = source.shape
  const out = element === null ? new FlatRows(source) : new ListRows(source, element)
  let dictionary: PageValues | null = null
  for (const compressed of findPages(place)) {
    if (out.full) break
    const page = openPage(place, compressed)
    if (page?.kind === 'data') out.append(page, dictionary)
    else if (page !== null) dictionary = valuesOf(source, page, page.count, null)
  }
  return out.result()
}

function placeOf({ file, chunk, shape, budget }: LeafSource): ChunkPlace {
  return { file, chunk, budget,
    levels: { repetition: shape.element !== null, definition: shape.defined > 0 } }
}

function valuesOf({ chunk, shape }: LeafSource, page: Page, count: number,
  dictionary: PageValues | null): PageValues {
  // A dictionary says PLAIN_DICTIONARY in old files, and is plain all the same.
  const encoding = page.kind === 'dictionary' ? 'PLAIN' : page.encoding
  return pageValues({ encoding, type: chunk.type, body: page.body, count, dictionary,
    typeLength: shape.path.at(-1)?.element.type_length })
}

/** One value a row; a row that is null has none. */
export class FlatLeaf {
  readonly kind = 'flat'
  readonly rows: number
  readonly #pages: readonly PageValues[]
  /** Number of values before each page. */
  readonly #firsts: readonly number[]
  /** Each row's value, -1 for null; null when each row has its own. */
  readonly #slots: Int32Array | null
  #page = 0

  constructor(rows: number, pages: readonly PageValues[], slots: Int32Array | null) {
    this.rows = rows
    this.#pages = pages
    this.#slots = slots
    let first = 0
    this.#firsts = pages.map((page) => (first += page.count) - page.count)
  }

  isNull(row: number): boolean {
    return this.#slots !== null && (this.#slots[row] ?? -1) < 0
  }

  raw(row: number): RawValue | undefined {
    const slot = this.#slot(row)
    if (slot < 0) return undefined
    const page = this.#pageOf(slot)
    return page.raw(slot - (this.#firsts[this.#page] ?? 0))
  }

  /** Throws when the column holds no texts. */
  text(row: number): string | undefined {
    const slot = this.#slot(row)
    if (slot < 0) return undefined
    const { text } = this.#pageOf(slot)
    if (text === null) throw new Error('a column does not hold texts')
    return text(slot - (this.#firsts[this.#page] ?? 0))
  }

  /** Throws when the column holds no numbers. */
  number(row: number): number | bigint | undefined {
    const slot = this.#slot(row)
    if (slot < 0) return undefined
    const { number } = this.#pageOf(slot)
    if (number === null) throw new Error('a column does not hold numbers')
    return number(slot - (this.#firsts[this.#page] ?? 0))
  }

  #slot(row: number): number {
    if (!(row >= 0 && row < this.rows)) throw new RangeError('a row that the column does not have')
    return this.#slots === null ? row : this.#slots[row] ?? -1
  }

  /** Rows are mostly asked for in order, so the page is mostly the one of before. */
  #pageOf(slot: number): PageValues {
    let at = this.#page
    if (slot < (this.#firsts[at] ?? 0)) at = 0
    let page = this.#pages[at]
    while (page !== undefined && slot >= (this.#firsts[at] ?? 0) + page.count) {
      page = this.#pages[++at]
    }
    if (page === undefined) throw new Error('a column has too few values')
    this.#page = at
    return page
  }
}

/** A list a row, over one leaf of all elements. */
export class ListLeaf {
  readonly kind = 'list'
  readonly rows: number
  readonly items: FlatLeaf
  readonly #starts: Int32Array
  readonly #nulls: Uint8Array

  constructor(items: FlatLeaf, starts: Int32Array, nulls: Uint8Array) {
    this.rows = nulls.length
    this.items = items
    this.#starts = starts
    this.#nulls = nulls
  }

  isNull(row: number): boolean {
    return this.#nulls[row] !== 0
  }

  /** Elements [start, end) of `items`. */
  start(row: number): number { return this.#starts[row] ?? 0 }
  end(row: number): number { return this.#starts[row + 1] ?? 0 }
}

class FlatRows {
  readonly #source: LeafSource
  readonly #pages: PageValues[] = []
  #slots: Int32Array | null = null
  #at = 0
  #values = 0

  constructor(source: LeafSource) {
    this.#source = source
  }

  get full(): boolean { return this.#at >= this.#source.rows }

  append(page: Page, dictionary: PageValues | null): void {
    const { rows, shape } = this.#source
    const end = this.#at + page.count
    if (end > rows) throw new Error('a column has too many values')
    const present = this.#place(page, end, shape.defined)
    this.#pages.push(valuesOf(this.#source, page, present, dictionary))
    this.#values += present
    this.#at = end
  }

  /** Gives each row of the page its slot; how many have one. */
  #place(page: Page, end: number, defined: number): number {
    const levels = levelsOf(page.definitions, page.count, defined, this.#source.budget)
    const present = levels === null ? page.count : countOf(levels, defined)
    if (present === page.count && this.#slots === null) return present
    const slots = this.#slots ??= this.#allSlots()
    let next = this.#values
    for (let row = this.#at; row < end; row++) {
      slots[row] = levels === null || levels[row - this.#at] === defined ? next++ : -1
    }
    return present
  }

  #allSlots(): Int32Array {
    this.#source.budget.take(this.#source.rows * 4)
    const slots = new Int32Array(this.#source.rows)
    for (let row = 0; row < this.#at; row++) slots[row] = row
    return slots
  }

  result(): FlatLeaf {
    if (!this.full) throw new Error('a column has too few values')
    return new FlatLeaf(this.#source.rows, this.#pages, this.#slots)
  }
}

class ListRows {
  readonly #source: LeafSource
  readonly #element: number
  readonly #pages: PageValues[] = []
  readonly #starts: Int32Array
  readonly #nulls: Uint8Array
  readonly #slots: Int32Array
  #row = -1
  #items = 0
  #values = 0
  /** The last row may go on in the next page: only the chunk's end ends it. */
  readonly full = false

  constructor(source: LeafSource, element: number) {
    this.#source = source
    this.#element = element
    const entries = Number(source.chunk.num_values)
    source.budget.take((source.rows + entries) * 5)
    this.#starts = new Int32Array(source.rows + 1)
    this.#nulls = new Uint8Array(source.rows)
    this.#slots = new Int32Array(entries)
  }

  append(page: Page, dictionary: PageValues | null): void {
    const { shape, budget, rows } = this.#source
    const { count } = page
    const definitions = levelsOf(page.definitions, count, shape.defined, budget)
    const repetitions = levelsOf(page.repetitions, count, 1, budget)
    let next = this.#values
    for (let at = 0; at < count; at++) {
      if (repetitions === null || repetitions[at] === 0) this.#begin(rows)
      const definition = definitions === null ? shape.defined : definitions[at] ?? 0
      if (this.#row < 0) throw new Error('a column begins within a row')
      if (definition < this.#element - 1) this.#nulls[this.#row] = 1
      if (definition >= this.#element) {
        if (this.#items >= this.#slots.length) throw new Error('a column has too many values')
        this.#slots[this.#items++] = definition === shape.defined ? next++ : -1
      }
    }
    this.#pages.push(valuesOf(this.#source, page, next - this.#values, dictionary))
    this.#values = next
  }

  #begin(rows: number): void {
    if (++this.#row >= rows) throw new Error('a column has too many rows')
    this.#starts[this.#row] = this.#items
  }

  result(): ListLeaf {
    const { rows } = this.#source
    if (this.#row !== rows - 1) throw new Error('a column has too few rows')
    this.#starts[rows] = this.#items
    return new ListLeaf(new FlatLeaf(this.#items, this.#pages, this.#slots), this.#starts,
      this.#nulls)
  }
}

/** null when the column has none: every value is there. */
function levelsOf(bytes: Uint8Array | null, count: number, max: number, budget: DecodeBudget)
  : Int32Array | null {
  if (bytes === null) return null
  budget.take(count * 4)
  const levels = new Int32Array(count)
  decodeHybrid(bytes, 32 - Math.clz32(max), levels)
  return levels
}

function countOf(levels: Int32Array, wanted: number): number {
  let count = 0
  for (const level of levels) if (level === wanted) count++
  return count
}
