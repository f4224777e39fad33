/**
 * Checkpoint values: Parquet's stored values as JSON ones.
 *
 * V1  Whole numbers and decimals keep every digit.
 * V2  A bound that cannot be given exactly is rounded outwards, or left out.
 */
import type { SchemaTree } from 'hyparquet'
import { ExactNumber, stringifyJson, type JsonValue } from './exact-json.ts'
import type { FlatLeaf } from './parquet-leaf.ts'
import type { RawValue } from './parquet-values.ts'

/** Texts and numbers; undefined for null. */
export function plainValue(value: RawValue | undefined): JsonValue | undefined {
  if (value instanceof Uint8Array) return textOf(value)
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }
  return value
}

type Side = 'min' | 'max' | 'count'
type Build = (row: number) => JsonValue | undefined
const SIDES: Readonly<Record<string, Side>> = { minValues: 'min', maxValues: 'max' }

/** A row's `stats_parsed` as the JSON text of `stats`. */
export function statsText(node: SchemaTree, leafOf: (leaf: SchemaTree) => FlatLeaf | null)
  : (row: number) => string | undefined {
  const members = node.children.map((child): [string, Build] =>
    [child.element.name, statBuilder(child, SIDES[child.element.name] ?? 'count', leafOf)])
  return (row) => {
    const object = objectOf(members, row)
    return object === undefined ? undefined : stringifyJson(object)
  }
}

function statBuilder(node: SchemaTree, side: Side,
  leafOf: (leaf: SchemaTree) => FlatLeaf | null): Build {
  if (node.children.length === 0) {
    const leaf = leafOf(node)
    return leaf === null ? () => undefined
      : (row) => statValue(leaf.raw(row), node.element, side)
  }
  const members = node.children.map((child): [string, Build] =>
    [child.element.name, statBuilder(child, side, leafOf)])
  return (row) => objectOf(members, row)
}

function objectOf(members: readonly [string, Build][], row: number): JsonValue | undefined {
  const present: [string, JsonValue][] = []
  for (const [name, build] of members) {
    const value = build(row)
    if (value !== undefined) present.push([name, value])
  }
  return present.length === 0 ? undefined : Object.fromEntries(present)
}

type Element = SchemaTree['element']

/** V2. */
function statValue(value: RawValue | undefined, element: Element, side: Side)
  : JsonValue | undefined {
  if (value === undefined) return undefined
  const { converted_type: converted, logical_type: logical } = element
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    const scale = element.scale ?? (logical?.type === 'DECIMAL' ? logical.scale : 0)
    return new ExactNumber(decimalText(unscaled(value), scale))
  }
  if (converted === 'DATE' || logical?.type === 'DATE') {
    return new Date(Number(value) * 86_400_000).toISOString().slice(0, 10)
  }
  const unit = timestampUnit(element)
  if (unit !== null && typeof value === 'bigint') return timestampText(value, unit, side)
  // INT96 and other stored forms have no exact JSON of ours.
  if (typeof value === 'bigint' && element.type !== 'INT64') return undefined
  if (typeof value === 'number' && !Number.isFinite(value)) return undefined
  if (value instanceof Uint8Array && element.type !== 'BYTE_ARRAY') return undefined
  return plainValue(value)
}

interface TimestampUnit { readonly perMilli: bigint; readonly zoned: boolean }

function timestampUnit(element: Element): TimestampUnit | null {
  const { converted_type: converted, logical_type: logical } = element
  const zoned = logical?.type === 'TIMESTAMP' ? logical.isAdjustedToUTC : true
  const unit = logical?.type === 'TIMESTAMP' ? logical.unit
    : converted === 'TIMESTAMP_MICROS' ? 'MICROS'
      : converted === 'TIMESTAMP_MILLIS' ? 'MILLIS' : null
  switch (unit) {
    case 'MILLIS': return { perMilli: 1n, zoned }
    case 'MICROS': return { perMilli: 1000n, zoned }
    case 'NANOS': return { perMilli: 1_000_000n, zoned }
    case null: return null
  }
}

/** Three digits, min rounded down, max up, as stats.ts writes them. */
function timestampText(value: bigint, unit: TimestampUnit, side: Side): string | undefined {
  let millis = value / unit.perMilli
  const rest = value % unit.perMilli
  if (side === 'max' && rest > 0n) millis++
  if (side !== 'max' && rest < 0n) millis--
  const date = new Date(Number(millis))
  if (Number.isNaN(date.getTime())) return undefined
  const text = date.toISOString()
  // Years beyond 9999 read +010000: no reader takes that.
  if (!/^\d{4}-/.test(text)) return undefined
  return unit.zoned ? text : text.slice(0, -1)
}

function unscaled(value: RawValue): bigint {
  if (!(value instanceof Uint8Array)) return BigInt(value)
  let unsigned = 0n
  for (const byte of value) unsigned = unsigned << 8n | BigInt(byte)
  return BigInt.asIntN(value.length * 8, unsigned)
}

function decimalText(value: bigint, scale: number): string {
  if (scale <= 0) return value.toString()
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
