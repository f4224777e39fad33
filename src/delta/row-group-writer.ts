/**
 * RowGroupWriter: rows of a checkpoint as one row group's bytes, and the footer over several.
 *
 * RG1  A row group does not know where it lies: its bytes can be moved into another file.
 */
import { CHECKPOINT_LEAVES, CHECKPOINT_SCHEMA, RowShredder, type ActionKind }
  from './checkpoint-schema.ts'
import { GrowingBuffer } from './growing-buffer.ts'
import type { EncodedChunk, LeafType } from './parquet-column.ts'
import { binary, i32, i64, list, struct, writeThrift, type ThriftValue } from './thrift-writer.ts'

export const PARQUET_MAGIC = Buffer.from('PAR1')

/** Of one chunk, with offsets from the start of its row group. */
interface ChunkPlace {
  readonly chunk: Omit<EncodedChunk, 'parts'>
  readonly offset: number
  readonly bytes: number
}

export interface RowGroup {
  readonly rows: number
  readonly bytes: number
  readonly chunks: readonly ChunkPlace[]
}

const TYPE_CODES: Readonly<Record<LeafType, number>> = { boolean: 0, i32: 1, i64: 2, text: 6 }

export class RowGroupWriter {
  readonly #rows = new RowShredder()
  #count = 0

  get count(): number { return this.#count }

  add(kind: ActionKind, action: object): void {
    this.#rows.add(kind, action)
    this.#count++
  }

  /** RG1. Nothing can be added until `clear`, nor may the parts be used after it. */
  async encode(): Promise<{ readonly group: RowGroup; readonly parts: readonly Buffer[] }> {
    this.#rows.end()
    const encoded = await Promise.all(this.#rows.columns.map((column) => column.encode()))
    let offset = 0
    const chunks = encoded.map(({ parts, ...chunk }): ChunkPlace => {
      const bytes = parts.reduce((sum, part) => sum + part.length, 0)
      const place = { chunk, offset, bytes }
      offset += bytes
      return place
    })
    return { group: { rows: this.#count, bytes: offset, chunks },
      parts: encoded.flatMap(({ parts }) => parts) }
  }

  /** Empty again: growing anew for each row group would cost more than filling it. */
  clear(): void {
    for (const column of this.#rows.columns) column.clear()
    this.#count = 0
  }
}

/** What comes after the row groups; `offset`: where each lies in the file. */
export function checkpointFooter(groups: readonly { readonly group: RowGroup
  readonly offset: number }[]): Buffer {
  const out = new GrowingBuffer(64 * 1024)
  const rows = groups.reduce((sum, { group }) => sum + group.rows, 0)
  writeThrift(out, [[1, i32(1)], [2, list('struct', CHECKPOINT_SCHEMA)], [3, i64(rows)],
    [4, list('struct', groups.map(({ group, offset }) => rowGroup(group, offset)))],
    [6, binary('Slipway')]])
  const length = out.length
  out.u32(length)
  out.bytes(PARQUET_MAGIC)
  return out.view
}

function rowGroup(group: RowGroup, start: number): ThriftValue {
  const chunks = group.chunks.map(({ chunk, offset, bytes }, at) => {
    const { path = [], type = 'text' } = CHECKPOINT_LEAVES[at] ?? {}
    return struct([[2, i64(start + offset)], [3, struct([
      [1, i32(TYPE_CODES[type])], [2, list('i32', [i32(0), i32(3)])],
      [3, list('binary', path.map(binary))], [4, i32(chunk.codec)], [5, i64(chunk.values)],
      [6, i64(chunk.uncompressedBytes)], [7, i64(bytes)], [9, i64(start + offset)],
      [12, struct([[3, i64(chunk.nulls)]])]])]])
  })
  const total = group.chunks.reduce((sum, { chunk }) => sum + chunk.uncompressedBytes, 0)
  return struct([[1, list('struct', chunks)], [2, i64(total)], [3, i64(group.rows)]])
}
