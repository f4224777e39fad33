/**
 * JsonRows: rows of Arrow batches as JSON objects, one a line.
 *
 * JR1  Nothing is rounded: 64-bit integers and decimals are texts (as over HTTP), times have
 *      six digits of a second.
 * JR2  Dates and times are ISO 8601 (`timestamp` with Z, `timestamp_ntz` without), bytes base64,
 *      NaN and the infinities texts, structs objects, arrays arrays.
 * JR3  A map is an object when its keys are texts, else an array of [key, value].
 */
import { DataType, Precision, type Data, type RecordBatch } from 'apache-arrow'

type Cell = (row: number) => string

/** One object a row, in order. */
export function * jsonRows(batch: RecordBatch): Generator<string> {
  const names = batch.schema.fields.map((field) => JSON.stringify(field.name))
  const object = objectCell(names, batch.data.children.map(cellOf))
  for (let row = 0; row < batch.numRows; row++) yield object(row)
}

function objectCell(names: readonly string[], cells: readonly Cell[]): Cell {
  return (row) => `{${names.map((name, at) => `${name}:${cells[at]?.(row) ?? 'null'}`).join(',')}}`
}

/** A cell's JSON by row. */
function cellOf(data: Data): Cell {
  const value = valueOf(data)
  if (data.nullCount === 0) return value
  const valid = data.nullBitmap
  return (row) => {
    const bit = row + data.offset
    return ((valid[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0 ? 'null' : value(row)
  }
}

function valueOf(data: Data): Cell {
  const { type } = data
  const values = data.values as { readonly [at: number]: number | bigint }
  if (DataType.isBool(type)) {
    return (row) => String(((Number(values[(row + data.offset) >> 3]) >> ((row + data.offset) & 7))
      & 1) === 1)
  }
  if (DataType.isInt(type)) {
    return type.bitWidth === 64 ? (row) => `"${values[row]}"` : (row) => String(values[row])
  }
  if (DataType.isFloat(type)) {
    const single = type.precision === Precision.SINGLE
    return (row) => floatText(Number(values[row]), single)
  }
  if (DataType.isDate(type)) return (row) => `"${dateText(Number(values[row]))}"`
  if (DataType.isTimestamp(type)) {
    const zone = type.timezone === null || type.timezone === undefined ? '' : 'Z'
    return (row) => `"${momentText(BigInt(values[row] ?? 0))}${zone}"`
  }
  if (DataType.isDecimal(type)) return (row) => `"${decimalText(data, row, type.scale)}"`
  return variableOf(data)
}

function variableOf(data: Data): Cell {
  const { type, children } = data
  const offsets = data.valueOffsets as Int32Array
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const { buffer, byteOffset, byteLength } = data.values as Uint8Array
    const bytes = Buffer.from(buffer, byteOffset, byteLength)
    return DataType.isUtf8(type)
      ? (row) => JSON.stringify(bytes.toString('utf8', offsets[row], offsets[row + 1]))
      : (row) => `"${bytes.toString('base64', offsets[row], offsets[row + 1])}"`
  }
  const inside: readonly Data[] = children
  if (DataType.isStruct(type)) {
    const names = type.children.map((field) => JSON.stringify(field.name))
    return objectCell(names, inside.map(cellOf))
  }
  const [items] = inside
  if (items === undefined) throw new TypeError('no JSON for an Arrow type')
  const range = (row: number): readonly number[] => {
    const start = offsets[row] ?? 0
    return Array.from({ length: (offsets[row + 1] ?? 0) - start }, (_, at) => start + at)
  }
  if (DataType.isMap(type)) return mapCell(items, range)
  const item = cellOf(items)
  return (row) => `[${range(row).map(item).join(',')}]`
}

/** JR3. */
function mapCell(entries: Data, range: (row: number) => readonly number[]): Cell {
  const [keys, values] = entries.children as readonly Data[]
  if (keys === undefined || values === undefined) throw new TypeError('a map without its entries')
  const [key, value] = [cellOf(keys), cellOf(values)]
  return DataType.isUtf8(keys.type)
    ? (row) => `{${range(row).map((at) => `${key(at)}:${value(at)}`).join(',')}}`
    : (row) => `[${range(row).map((at) => `[${key(at)},${value(at)}]`).join(',')}]`
}

function floatText(value: number, single: boolean): string {
  if (!Number.isFinite(value)) return JSON.stringify(String(value))
  if (Object.is(value, -0)) return '-0.0'
  return single ? shortest(value) : String(value)
}

/** The fewest digits that give the same 32-bit float. */
function shortest(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits)
    if (Math.fround(Number(text)) === value) return String(Number(text))
  }
  return String(Number(value.toPrecision(9)))
}

function dateText(days: number): string {
  return isoDay(new Date(days * 86_400_000))
}

/** Years beyond 0000–9999 have a sign and six digits, as ISO 8601 has them. */
function isoDay(date: Date): string {
  return date.toISOString().replace(/T.*$/, '')
}

const DAY_MICROS = 86_400_000_000n

function momentText(micros: bigint): string {
  const days = micros / DAY_MICROS - (micros % DAY_MICROS < 0n ? 1n : 0n)
  const rest = Number(micros - days * DAY_MICROS)
  const seconds = Math.floor(rest / 1_000_000)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${dateText(Number(days))}T${two(Math.floor(seconds / 3600))}:`
    + `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.`
    + String(rest % 1_000_000).padStart(6, '0')
}

function decimalText(data: Data, row: number, scale: number): string {
  const words = data.values as Uint32Array
  let unsigned = 0n
  for (let word = 3; word >= 0; word--) {
    unsigned = unsigned << 32n | BigInt(words[row * 4 + word] ?? 0)
  }
  const value = BigInt.asIntN(128, unsigned)
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  return `${value < 0n ? '-' : ''}${whole}${scale === 0 ? '' : `.${digits.slice(-scale)}`}`
}
