/**
 * TieCheck: proves that ORDER BY left PostgreSQL no choice.
 *
 * C1  `settled` only if every two neighbouring rows differ in their sort keys, or are the
 *     same in every output byte, and no tie stands across the limit.
 * C2  Keys are equal exactly when PostgreSQL's sort operators find them equal: -0 = 0,
 *     NaN = NaN, 1 mon = 30 days.
 */
import { DuckDBTypeId, type DuckDBDataChunk, type DuckDBType } from '@duckdb/node-api'
import { ByteWriter } from './byte-writer.ts'
import { EncodingRefusal } from './session-format.ts'
import { bytesAt, int128At, isNull, readVector, type Vector } from '../olap/vector-data.ts'
import type { TieCheck } from '../router/plan.ts'
import type { EncodedBatch, WireEncoder } from './wire-encoder.ts'

export type TieResult =
  | { readonly kind: 'settled'; readonly batch: EncodedBatch }
  | { readonly kind: 'ambiguous' }
  | { readonly kind: 'too-large' }

const MICROS_PER_DAY = 86_400_000_000n

/** Reads the whole result, up to `bytesMax` of rows. */
export async function checkTies(options: {
  readonly check: TieCheck
  readonly columnTypes: readonly DuckDBType[]
  readonly chunks: AsyncIterable<DuckDBDataChunk>
  readonly encoder: WireEncoder
  readonly bytesMax: number
}): Promise<TieResult> {
  const { check, encoder, bytesMax } = options
  const reader = new KeyReader(check.keysAt, options.columnTypes)
  const out = new ByteWriter()
  let rows = 0
  let previous: { readonly key: string; readonly start: number } | null = null
  for await (const chunk of options.chunks) {
    const count = chunk.rowCount
    if (count === 0) continue
    encoder.bind(chunk)
    reader.bind(chunk)
    for (let row = 0; row < count; row++) {
      const key = reader.key(row)
      const beyond = check.limit !== null && rows >= check.limit
      const tied = previous !== null && previous.key === key
      if (beyond) return tied ? { kind: 'ambiguous' } : settled(rows, out)
      const start = out.length
      encoder.writeRow(row, out)
      if (tied && !sameRow(out, previous!.start, start)) return { kind: 'ambiguous' }
      previous = { key, start }
      rows++
      if (out.length > bytesMax) return { kind: 'too-large' }
    }
  }
  return settled(rows, out)
}

function settled(rows: number, out: ByteWriter): TieResult {
  return { kind: 'settled', batch: { rows, bytes: out.take() } }
}

/** Whether the last row, from `start` on, has the bytes of the one before it. */
function sameRow(out: ByteWriter, previous: number, start: number): boolean {
  return out.view(previous, start).equals(out.view(start, out.length))
}

class KeyReader {
  readonly #keysAt: readonly number[]
  readonly #types: readonly DuckDBType[]
  #vectors: readonly Vector[] = []

  constructor(keysAt: readonly number[], columnTypes: readonly DuckDBType[]) {
    this.#keysAt = keysAt
    this.#types = keysAt.map((at) => {
      const type = columnTypes[at]
      if (type === undefined) throw new EncodingRefusal('a sort key is not in the result')
      return type
    })
  }

  bind(chunk: DuckDBDataChunk): void {
    this.#vectors = this.#keysAt.map((at, index) => readVector(chunk, at, this.#types[index]!))
  }

  key(row: number): string {
    let key = ''
    for (const [index, vector] of this.#vectors.entries()) {
      const part = isNull(vector, row) ? 'n' : keyPart(vector, row, this.#types[index]!)
      key += `${part.length}:${part}`
    }
    return key
  }
}

function keyPart(vector: Vector, row: number, type: DuckDBType): string {
  const { data } = vector
  switch (data.kind) {
    case 'bool': case 'int': case 'int64': return `v${data.items[row]!}`
    // Adding 0 turns -0 into 0; every NaN prints alike.
    case 'float': return `v${data.items[row]! + 0}`
    case 'int128': return `v${int128At(data.view, row)}`
    case 'bytes': return `v${Buffer.from(bytesAt(data, row)).toString('latin1')}`
    case 'interval': return `v${intervalSpan(data.view, row * 16)}`
    case 'list': case 'struct': {
      const name = DuckDBTypeId[type.typeId]
      throw new EncodingRefusal(`DuckDB type ${name} as a sort key`)
    }
  }
}

/** interval_cmp_value: a month counts 30 days. */
function intervalSpan(view: DataView, at: number): bigint {
  const days = BigInt(view.getInt32(at, true)) * 30n + BigInt(view.getInt32(at + 4, true))
  return days * MICROS_PER_DAY + view.getBigInt64(at + 8, true)
}
