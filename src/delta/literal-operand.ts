/**
 * LiteralOperand: where a literal stands among the values of a column's type.
 *
 * LO1  Nothing is rounded: a number between two values of the type says so.
 */
import { SlipwayError } from '../base/errors.ts'
import { ExactNumber } from './exact-json.ts'
import type { Literal } from './predicate.ts'
import { decimalOf, type PrimitiveType } from './schema.ts'
import { integerRange, parseDecimal, parseMoment, parseValue, type Value } from './value.ts'

export type Operand =
  | { readonly kind: 'exact'; readonly value: Value }
  /** `below`: the greatest value of the type that is less than the literal. */
  | { readonly kind: 'between'; readonly below: Value }
  | { readonly kind: 'above-all' }
  | { readonly kind: 'below-all' }

/** LO1. Throws `usage` when the literal is no value for such a column. */
export function literalOperand(column: string, type: PrimitiveType,
  literal: Exclude<Literal, null>): Operand {
  const operand = operandOf(type, literal)
  if (operand !== null) return operand
  throw new SlipwayError('usage', `column ${column} is of type ${type}: it is not compared with `
    + nameOf(literal), { hint: formOf(type) })
}

function operandOf(type: PrimitiveType, literal: Exclude<Literal, null>): Operand | null {
  if (literal instanceof Date) return fromDate(type, literal)
  if (literal instanceof Uint8Array) {
    return type === 'binary' ? exact({ kind: 'binary', value: literal }) : null
  }
  if (typeof literal === 'boolean') {
    return type === 'boolean' ? exact({ kind: 'boolean', value: literal }) : null
  }
  if (typeof literal === 'string') return fromText(type, literal)
  return fromNumber(type, literal instanceof ExactNumber ? literal.text : String(literal))
}

function exact(value: Value): Operand {
  return { kind: 'exact', value }
}

function fromDate(type: PrimitiveType, date: Date): Operand | null {
  const ms = date.getTime()
  if (Number.isNaN(ms)) return null
  if (type === 'timestamp' || type === 'timestamp_ntz') {
    return exact({ kind: 'timestamp', micros: BigInt(ms) * 1000n })
  }
  return type === 'date' && ms % 86_400_000 === 0
    ? exact({ kind: 'date', days: ms / 86_400_000 }) : null
}

/** A text stands for a value of any type but binary, whose bytes it would not name. */
function fromText(type: PrimitiveType, text: string): Operand | null {
  if (type === 'binary') return null
  if (isNumeric(type)) {
    return /^[+-]?(?:nan|inf(?:inity)?)$/i.test(text.trim()) ? specialFloat(type, text.trim())
      : fromNumber(type, text.trim())
  }
  if (type === 'timestamp_ntz' && parseMoment(text)?.zoned === true) return null
  const value = parseValue(type, text)
  return value === null ? null : exact(value)
}

function isNumeric(type: PrimitiveType): boolean {
  return integerRange(type) !== null || decimalOf(type) !== null || isFloat(type)
}

function isFloat(type: PrimitiveType): boolean {
  return type === 'float' || type === 'double'
}

function specialFloat(type: PrimitiveType, text: string): Operand | null {
  const value = isFloat(type) ? parseValue('double', text) : null
  return value === null ? null : exact(value)
}

function fromNumber(type: PrimitiveType, text: string): Operand | null {
  if (isFloat(type)) {
    // A float column is widened, so the literal keeps a double's precision.
    const value = parseValue('double', text)
    return value === null ? null : exact(value)
  }
  const shape = decimalOf(type)
  const range = integerRange(type) ?? decimalRange(shape)
  const number = parseDecimal(text)
  if (range === null || number === null) return null
  const scale = shape?.scale ?? 0
  // floor(number * 10^scale)
  const shift = scale - number.scale
  const factor = 10n ** BigInt(Math.abs(shift))
  const below = shift >= 0 ? number.unscaled * factor : floorDivide(number.unscaled, factor)
  const isWhole = shift >= 0 || below * factor === number.unscaled
  if (below > range.max || (below === range.max && !isWhole)) return { kind: 'above-all' }
  if (below < range.min) return { kind: 'below-all' }
  const value: Value = shape === null ? { kind: 'integer', value: below }
    : { kind: 'decimal', unscaled: below, scale }
  return isWhole ? exact(value) : { kind: 'between', below: value }
}

function decimalRange(shape: { readonly precision: number } | null)
  : { min: bigint; max: bigint } | null {
  if (shape === null) return null
  const max = 10n ** BigInt(shape.precision) - 1n
  return { min: -max, max }
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a < 0n && quotient * b !== a ? quotient - 1n : quotient
}

function nameOf(literal: Exclude<Literal, null>): string {
  if (literal instanceof Date) return 'a time'
  if (literal instanceof Uint8Array) return 'bytes'
  if (typeof literal === 'boolean') return 'a boolean'
  return typeof literal === 'string' ? 'this text' : 'a number'
}

function formOf(type: PrimitiveType): string {
  switch (type) {
    case 'string': return 'Write a text in single quotes: \'abc\'.'
    case 'binary': return 'Write bytes as X\'0aff\'.'
    case 'boolean': return 'Write TRUE or FALSE.'
    case 'date': return 'Write a date as \'2026-11-23\'.'
    case 'timestamp': return 'Write a time as \'2026-11-23T22:00:00.123456Z\'.'
    case 'timestamp_ntz': return 'Write a time without a zone, as \'2026-11-23 22:00:00.123456\'.'
    default: return 'Write a number.'
  }
}
