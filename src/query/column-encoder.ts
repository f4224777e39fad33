/**
 * ColumnEncoder: one result column's values, from a chunk's vectors to PostgreSQL's bytes.
 *
 * K1  What DuckDB could not compute exactly as PostgreSQL does (quotients, variances) is
 *     finished here in exact arithmetic, with PostgreSQL's display scale.
 * K2  Encoders that cannot be made throw EncodingRefusal before a row is read.
 */
import { DuckDBTypeId, type DuckDBDataChunk, type DuckDBType } from '@duckdb/node-api'
import { arrayBinary, arrayText } from './array-writer.ts'
import { divide, numericBinary, numericText, rescale, variance,
  type Numeric } from './numeric.ts'
import { elementOf, PG } from './pg-types.ts'
import { scalarBinary } from './scalar-binary.ts'
import { readInteger, storedScale } from './scalar-read.ts'
import { scalarText, writeScaled, type ScalarType } from './scalar-text.ts'
import { EncodingRefusal, type SessionFormat } from './session-format.ts'
import { isNull, readVector, type Vector } from '../olap/vector-data.ts'
import type { OutputColumn, OutputValue } from '../router/plan.ts'
import type { ByteWriter } from './byte-writer.ts'

export interface ColumnEncoder {
  /** Takes the next chunk's vectors; the chunk has at least one row. */
  bind(chunk: DuckDBDataChunk): void
  /** Writes the value, or answers false and writes nothing: NULL. */
  write(row: number, out: ByteWriter): boolean
}

export interface ColumnEncoding {
  readonly columnTypes: readonly DuckDBType[]
  /** 0 text, 1 binary. */
  readonly resultFormat: 0 | 1
  readonly session: SessionFormat
}

export function columnEncoder(column: OutputColumn, encoding: ColumnEncoding): ColumnEncoder {
  const { value } = column
  if (value.kind === 'plain') return plainEncoder(column, value.at, encoding)
  if (column.typeOid !== PG.numeric) {
    throw new EncodingRefusal(`a ${value.kind} output of type ${column.typeOid}`)
  }
  if (value.kind === 'numeric') return scaledEncoder(value, encoding)
  return new NumericEncoder(numericSource(value, encoding), encoding.resultFormat)
}

function plainEncoder(
  column: OutputColumn, at: number, encoding: ColumnEncoding,
): ColumnEncoder {
  const type: ScalarType = {
    typeOid: column.typeOid, typmod: column.typmod, duckdb: duckdbType(encoding, at),
  }
  const element = elementOf(column.typeOid)
  const isList = element !== null && type.duckdb.typeId !== DuckDBTypeId.VARCHAR
  const text = encoding.resultFormat === 0
  const write = isList
    ? text ? arrayText(type, element, encoding.session) : arrayBinary(type, element)
    : text ? scalarText(type, encoding.session) : scalarBinary(type)
  let vector: Vector
  return {
    bind: (chunk) => { vector = readVector(chunk, at, type.duckdb) },
    write: (row, out) => {
      if (isNull(vector, row)) return false
      write(vector, row, out)
      return true
    },
  }
}


/** The common case of numerics in text: no bigint where the stored integer is small. */
function scaledEncoder(
  value: Extract<OutputValue, { readonly kind: 'numeric' }>, encoding: ColumnEncoding,
): ColumnEncoder {
  const { at, scale } = value
  const type = duckdbType(encoding, at)
  const stored = storedScale(type)
  if (encoding.resultFormat === 1 || stored !== scale) {
    return new NumericEncoder(numericSource(value, encoding), encoding.resultFormat)
  }
  const read = readInteger({ typeOid: PG.numeric, duckdb: type })
  let vector: Vector
  return {
    bind: (chunk) => { vector = readVector(chunk, at, type) },
    write: (row, out) => {
      if (isNull(vector, row)) return false
      writeScaled(read(vector, row), scale, out)
      return true
    },
  }
}

/** A numeric computed from the row's vectors. */
interface NumericSource {
  bind(chunk: DuckDBDataChunk): void
  read(row: number): Numeric | null
}

class NumericEncoder implements ColumnEncoder {
  readonly #source: NumericSource
  readonly #binary: boolean

  constructor(source: NumericSource, resultFormat: 0 | 1) {
    this.#source = source
    this.#binary = resultFormat === 1
  }

  bind(chunk: DuckDBDataChunk): void {
    this.#source.bind(chunk)
  }

  write(row: number, out: ByteWriter): boolean {
    const value = this.#source.read(row)
    if (value === null) return false
    if (this.#binary) out.bytes(numericBinary(value))
    else out.ascii(numericText(value))
    return true
  }
}

function numericSource(
  value: Exclude<OutputValue, { readonly kind: 'plain' }>, encoding: ColumnEncoding,
): NumericSource {
  switch (value.kind) {
    case 'numeric': return decimalSource(value.at, value.scale, encoding)
    case 'scaled-numeric': {
      const unscaled = integerSource(value.at, encoding)
      const scale = integerSource(value.scaleAt, encoding)
      return joined([unscaled, scale], ([u, s]) => ({ unscaled: u!, scale: Number(s!) }))
    }
    case 'quotient': {
      const dividend = decimalSource(value.dividendAt, value.dividendScale, encoding)
      const divisor = decimalSource(value.divisorAt, value.divisorScale, encoding)
      return quotientSource(dividend, divisor)
    }
    case 'variance': {
      const inputs = [value.countAt, value.sumAt, value.sumOfSquaresAt]
        .map((at) => integerSource(at, encoding))
      const { scale, sample, root } = value
      return varianceSource(inputs, { scale, sample, root })
    }
  }
}

function quotientSource(dividend: NumericSource, divisor: NumericSource): NumericSource {
  return {
    bind: (chunk) => { dividend.bind(chunk); divisor.bind(chunk) },
    read: (row) => {
      const left = dividend.read(row)
      const right = divisor.read(row)
      if (left === null || right === null) return null
      if (right.unscaled === 0n) throw new EncodingRefusal('division by zero')
      return divide(left, right)
    },
  }
}

function varianceSource(
  inputs: readonly IntegerSource[],
  shape: { readonly scale: number; readonly sample: boolean; readonly root: boolean },
): NumericSource {
  const [counts, sums, squares] = inputs as [IntegerSource, IntegerSource, IntegerSource]
  return {
    bind: (chunk) => { for (const input of inputs) input.bind(chunk) },
    read: (row) => variance({
      count: counts.read(row) ?? 0n, sum: sums.read(row) ?? 0n,
      sumOfSquares: squares.read(row) ?? 0n, ...shape,
    }),
  }
}

interface IntegerSource {
  bind(chunk: DuckDBDataChunk): void
  read(row: number): bigint | null
}

/** The stored integer as it is: for values that the plan calls unscaled. */
function integerSource(at: number, encoding: ColumnEncoding): IntegerSource {
  const type = duckdbType(encoding, at)
  const read = readInteger({ typeOid: PG.numeric, duckdb: type })
  let vector: Vector
  return {
    bind: (chunk) => { vector = readVector(chunk, at, type) },
    read: (row) => isNull(vector, row) ? null : BigInt(read(vector, row)),
  }
}

/** An integer or DECIMAL as a numeric with exactly `scale` decimals. */
function decimalSource(at: number, scale: number, encoding: ColumnEncoding): NumericSource {
  const stored = storedScale(duckdbType(encoding, at))
  if (stored === null) throw new EncodingRefusal('a numeric that is not an exact DuckDB type')
  const source = integerSource(at, encoding)
  return {
    bind: (chunk) => { source.bind(chunk) },
    read: (row) => {
      const unscaled = source.read(row)
      if (unscaled === null) return null
      const value = rescale({ unscaled, scale: stored }, scale)
      if (value === null) throw new EncodingRefusal('a numeric has more decimals than its type')
      return value
    },
  }
}

function joined(
  sources: readonly IntegerSource[],
  combine: (values: readonly bigint[]) => Numeric,
): NumericSource {
  return {
    bind: (chunk) => { for (const source of sources) source.bind(chunk) },
    read: (row) => {
      const values: bigint[] = []
      for (const source of sources) {
        const value = source.read(row)
        if (value === null) return null
        values.push(value)
      }
      return combine(values)
    },
  }
}

function duckdbType(encoding: ColumnEncoding, at: number): DuckDBType {
  const type = encoding.columnTypes[at]
  if (type === undefined) throw new EncodingRefusal('the plan names a column that is not there')
  return type
}
