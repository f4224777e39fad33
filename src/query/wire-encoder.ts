/**
 * WireEncoder: DuckDB chunks as PostgreSQL DataRow messages.
 *
 * W1  A batch holds whole messages only, ready for the client's socket.
 * W2  A batch ends with the first row that takes it over BATCH_BYTES; a row longer than
 *     ROW_BYTES_MAX is refused, so that no batch is longer than both together.
 *     Source: PostgreSQL documentation, "Message Formats", DataRow.
 */
import type { DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import { ByteWriter } from './byte-writer.ts'
import { columnEncoder, type ColumnEncoder } from './column-encoder.ts'
import { EncodingRefusal, type SessionFormat } from './session-format.ts'
import type { OutputColumn } from '../router/plan.ts'

const DATA_ROW = 0x44
const NULL_LENGTH = -1
const BATCH_BYTES = 256 * 1024
export const ROW_BYTES_MAX = 32 * 1024 * 1024

export interface EncodedBatch {
  readonly rows: number
  /** DataRow messages. */
  readonly bytes: Buffer
}

export class WireEncoder {
  readonly #columns: readonly ColumnEncoder[]
  readonly #out = new ByteWriter()

  /** Throws EncodingRefusal when a column cannot be shown as PostgreSQL would. */
  constructor(options: {
    readonly output: readonly OutputColumn[]
    readonly columnTypes: readonly DuckDBType[]
    readonly resultFormats: readonly (0 | 1)[]
    readonly session: SessionFormat
  }) {
    const { output, columnTypes, resultFormats, session } = options
    this.#columns = output.map((column, index) => columnEncoder(column, {
      columnTypes, session, resultFormat: formatOf(resultFormats, index),
    }))
  }

  /** All rows of a chunk. */
  * encode(chunk: DuckDBDataChunk): Generator<EncodedBatch> {
    const rows = chunk.rowCount
    if (rows === 0) return
    this.bind(chunk)
    let from = 0
    for (let row = 0; row < rows; row++) {
      this.writeRow(row, this.#out)
      if (this.#out.length < BATCH_BYTES && row < rows - 1) continue
      yield { rows: row + 1 - from, bytes: this.#out.take() }
      from = row + 1
    }
  }

  bind(chunk: DuckDBDataChunk): void {
    for (const column of this.#columns) column.bind(chunk)
  }

  /** One DataRow of the bound chunk. */
  writeRow(row: number, out: ByteWriter): void {
    const columns = this.#columns
    out.byte(DATA_ROW)
    const start = out.length
    out.int32(0)
    out.int16(columns.length)
    for (const column of columns) {
      const at = out.length
      out.int32(NULL_LENGTH)
      if (column.write(row, out)) out.int32At(at, out.length - at - 4)
    }
    if (out.length - start > ROW_BYTES_MAX) throw new EncodingRefusal('a row is too long')
    out.int32At(start, out.length - start)
  }
}

/** Bind's rule: none = all text, one = for every column, else one a column. */
function formatOf(formats: readonly (0 | 1)[], index: number): 0 | 1 {
  return (formats.length === 1 ? formats[0] : formats[index]) ?? 0
}
