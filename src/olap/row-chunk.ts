/**
 * RowChunk: rows of MirrorValues as one DuckDB data chunk, column by column.
 *
 * RC1  A value keeps its exact meaning (MV1 of mirror-value.ts); NULL stays NULL.
 */
import {
  BIGINT, BLOB, BOOLEAN, DATE, DOUBLE, DECIMAL, DuckDBBlobValue, DuckDBDataChunk, DuckDBDateValue,
  DuckDBDecimalValue, DuckDBTimestampTZValue, DuckDBTimestampValue, FLOAT, INTEGER, LIST, SMALLINT,
  TIMESTAMP, TIMESTAMPTZ, VARCHAR, listValue, type DuckDBType, type DuckDBValue,
} from '@duckdb/node-api'
import { unreachable } from '../base/assert.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { MirrorScalarValue, MirrorValue } from '../mirror/mirror-value.ts'

/** Rows in a DuckDB vector, and so in a chunk. */
export const CHUNK_ROWS = 2048

export function duckdbValueType(type: MirrorType): DuckDBType {
  switch (type.kind) {
    case 'int2': return SMALLINT
    case 'int4': return INTEGER
    case 'int8': return BIGINT
    case 'float4': return FLOAT
    case 'float8': return DOUBLE
    case 'bool': return BOOLEAN
    case 'decimal': return DECIMAL(type.precision, type.scale)
    case 'date': return DATE
    case 'timestamp': return TIMESTAMP
    case 'timestamptz': return TIMESTAMPTZ
    case 'bytea': return BLOB
    case 'text': case 'bpchar': case 'uuid': case 'opaque': return VARCHAR
    case 'array': return LIST(duckdbValueType(type.element))
    default: return unreachable(type)
  }
}

type ToDuckDb = (value: MirrorScalarValue) => DuckDBValue

/** What a MirrorValue of the type becomes for node-api; null stays null. */
function scalarConverter(type: MirrorType): ToDuckDb | null {
  switch (type.kind) {
    case 'decimal': {
      const { precision, scale } = type
      return (value) => value === null ? null
        : new DuckDBDecimalValue(value as bigint, precision, scale)
    }
    case 'date': return (value) => value === null ? null : new DuckDBDateValue(value as number)
    case 'timestamp':
      return (value) => value === null ? null : new DuckDBTimestampValue(value as bigint)
    case 'timestamptz':
      return (value) => value === null ? null : new DuckDBTimestampTZValue(value as bigint)
    case 'bytea': return (value) => value === null ? null : new DuckDBBlobValue(value as Buffer)
    default: return null
  }
}

function columnConverter(type: MirrorType): ((value: MirrorValue) => DuckDBValue) | null {
  if (type.kind !== 'array') return scalarConverter(type) as (value: MirrorValue) => DuckDBValue
  const element = scalarConverter(type.element) ?? ((value) => value as DuckDBValue)
  return (value) => value === null ? null
    : listValue((value as readonly MirrorScalarValue[]).map(element))
}

/** Builds chunks for one table: its columns in order, then `_seq`. */
export class RowChunkBuilder {
  readonly #types: readonly DuckDBType[]
  readonly #converters: readonly (((value: MirrorValue) => DuckDBValue) | null)[]

  constructor(columns: readonly MirrorType[]) {
    this.#types = [...columns.map(duckdbValueType), BIGINT]
    this.#converters = columns.map(columnConverter)
  }

  /** At most CHUNK_ROWS rows, `seqs[i]` belonging to `rows[i]`. */
  build(rows: readonly (readonly MirrorValue[])[], seqs: readonly number[]): DuckDBDataChunk {
    const chunk = DuckDBDataChunk.create(this.#types, rows.length)
    for (let column = 0; column < this.#converters.length; column++) {
      const convert = this.#converters[column] ?? null
      const values: DuckDBValue[] = new Array<DuckDBValue>(rows.length)
      for (let at = 0; at < rows.length; at++) {
        const value = rows[at]?.[column] ?? null
        values[at] = convert === null ? value as DuckDBValue : convert(value)
      }
      chunk.setColumnValues(column, values)
    }
    chunk.setColumnValues(this.#converters.length, seqs.map((seq) => BigInt(seq)))
    return chunk
  }
}

/** The way back, for rows that are read again (unchanged TOAST, keys). */
export function mirrorValueOf(type: MirrorType, value: DuckDBValue): MirrorValue {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'decimal': return (value as DuckDBDecimalValue).value
    case 'date': return (value as DuckDBDateValue).days
    case 'timestamp': return (value as DuckDBTimestampValue).micros
    case 'timestamptz': return (value as DuckDBTimestampTZValue).micros
    case 'bytea': return Buffer.from((value as DuckDBBlobValue).bytes)
    case 'array': {
      const element = type.element
      return (value as unknown as { readonly items: readonly DuckDBValue[] }).items
        .map((item) => mirrorValueOf(element, item) as MirrorScalarValue)
    }
    default: return value as MirrorValue
  }
}
