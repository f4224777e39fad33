/**
 * TupleDecoder: pgoutput's tuples as rows of a mirrored table.
 *
 * TD1  Columns are matched by name, at the Relation message: its order is the tuple's.
 * TD2  A table column that the tuples do not carry is an error, never NULL.
 */
import { SlipwayError } from '../base/errors.ts'
import type { MirrorValue } from '../mirror/mirror-value.ts'
import { UNCHANGED_TOAST, type RelationColumn, type Tuple, type TupleValue }
  from '../mirror/replication.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import { rowKey, type RowKey } from './row-key.ts'
import { UnfetchedCell, type BufferedRow } from './row-buffer.ts'
import { decoderOf, UnmirrorableValue, type Decode } from './value-decoder.ts'

interface TupleColumn { readonly at: number; readonly name: string; readonly attnum: number
  readonly decode: Decode }

export class TupleDecoder {
  /** By table column; `at` is the place in the tuple. */
  readonly #columns: readonly TupleColumn[]
  /** Indexes of the key columns in the table's columns. */
  readonly #keyAt: readonly number[]

  constructor(table: TableSchema, relation: readonly RelationColumn[]) {
    this.#columns = table.columns.map((column) => {
      const at = relation.findIndex((sent) => sent.name === column.name)
      if (at < 0) {
        throw new SlipwayError('internal', `column ${column.name} is not in the replication stream`)
      }
      return { at, name: column.name, attnum: column.attnum, decode: decoderOf(column.mirror) }
    })
    this.#keyAt = keyIndexes(table)
  }

  key(row: BufferedRow): RowKey {
    return rowKey(row as MirrorValue[], this.#keyAt)
  }

  /** The key alone, of a tuple that carries at least the key columns. */
  keyOf(tuple: Tuple): RowKey {
    const row: MirrorValue[] = []
    for (const index of this.#keyAt) {
      const column = this.#columns[index]
      if (column !== undefined) row[index] = decodeValue(column, tuple[column.at])
    }
    return rowKey(row, this.#keyAt)
  }

  /**
   * A whole row and its size as sent. `place`: of its old form, for values that were not sent;
   * null: it has none.
   */
  row(tuple: Tuple, place: number | null, oldKey: Tuple | null)
    : { readonly row: BufferedRow; readonly unfetched: boolean; readonly bytes: number } {
    let unfetched = false
    let bytes = 8
    const row = this.#columns.map((column, index) => {
      let sent = tuple[column.at]
      // A key value stored out of line is sent with the old key, not with the new row.
      if (sent === UNCHANGED_TOAST && oldKey !== null && this.#keyAt.includes(index)) {
        sent = oldKey[column.at]
      }
      bytes += sent instanceof Buffer ? sent.length + 4 : 8
      if (sent !== UNCHANGED_TOAST) return decodeValue(column, sent)
      if (place === null) throw new SlipwayError('internal', 'a new row lacks a value')
      unfetched = true
      return new UnfetchedCell(place, column.attnum)
    })
    return { row, unfetched, bytes }
  }
}

export function keyIndexes(table: TableSchema): readonly number[] {
  return table.primaryKey.map((attnum) =>
    table.columns.findIndex((column) => column.attnum === attnum))
}

function decodeValue(column: TupleColumn, sent: TupleValue | undefined): MirrorValue {
  if (sent === null || sent === undefined || sent === UNCHANGED_TOAST) return null
  try {
    return column.decode(sent)
  } catch (error) {
    if (!(error instanceof UnmirrorableValue)) throw error
    throw new SlipwayError('value-unmirrorable', `column ${column.name} holds ${error.why}`)
  }
}
