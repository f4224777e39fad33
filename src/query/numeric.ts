/**
 * Numeric: PostgreSQL's exact decimal arithmetic over (unscaled, scale) pairs.
 *
 * N1  quotient, variance and standard deviation have PostgreSQL's digits and display scale
 *     (utils/adt/numeric.c: select_div_scale, div_var, numeric_stddev_internal).
 * N2  Text and binary forms are those of numeric_out and numeric_send.
 */
export interface Numeric {
  readonly unscaled: bigint
  /** Decimals shown, 0 or more. */
  readonly scale: number
}

const DISPLAY_SCALE_MAX = 1000
const SIGNIFICANT_DIGITS_MIN = 16
const DIGITS_PER_GROUP = 4

const POWERS: bigint[] = [1n]

export function powerOfTen(exponent: number): bigint {
  for (let i = POWERS.length; i <= exponent; i++) POWERS.push(POWERS[i - 1]! * 10n)
  return POWERS[exponent]!
}

/** The quotient; the caller has made sure that `divisor` is not zero. */
export function divide(dividend: Numeric, divisor: Numeric): Numeric {
  const scale = divisionScale(dividend, divisor)
  return { unscaled: divideTo(dividend, divisor, scale), scale }
}

/**
 * var_pop, var_samp, stddev_pop, stddev_samp of values given as unscaled integers.
 * null where PostgreSQL answers NULL: no value, or one for a sample.
 */
export function variance(input: {
  readonly count: bigint
  readonly sum: bigint
  readonly sumOfSquares: bigint
  readonly scale: number
  readonly sample: boolean
  readonly root: boolean
}): Numeric | null {
  const { count, sum, sumOfSquares, sample } = input
  if (count === 0n || (sample && count === 1n)) return null
  const dividend = { unscaled: count * sumOfSquares - sum * sum, scale: 2 * input.scale }
  if (dividend.unscaled <= 0n) return { unscaled: 0n, scale: 0 }
  const divisor = { unscaled: sample ? count * (count - 1n) : count * count, scale: 0 }
  const result = divide(dividend, divisor)
  return input.root ? squareRoot(result) : result
}

/** `value` with `scale` decimals, or null when that would drop a digit that is not 0. */
export function rescale(value: Numeric, scale: number): Numeric | null {
  if (value.scale === scale) return value
  if (value.scale < scale) {
    return { unscaled: value.unscaled * powerOfTen(scale - value.scale), scale }
  }
  const drop = powerOfTen(value.scale - scale)
  if (value.unscaled % drop !== 0n) return null
  return { unscaled: value.unscaled / drop, scale }
}

export function numericText(value: Numeric): string {
  const negative = value.unscaled < 0n
  const digits = (negative ? -value.unscaled : value.unscaled).toString()
  const sign = negative ? '-' : ''
  if (value.scale === 0) return sign + digits
  const padded = digits.padStart(value.scale + 1, '0')
  const point = padded.length - value.scale
  return `${sign}${padded.slice(0, point)}.${padded.slice(point)}`
}

const NUMERIC_TEXT = /^(-?)(\d+)(?:\.(\d+))?$/

/** Reads numeric_out's plain form; null for NaN, infinities and anything else. */
export function parseNumeric(text: string): Numeric | null {
  const match = NUMERIC_TEXT.exec(text)
  if (match === null) return null
  const fraction = match[3] ?? ''
  const magnitude = BigInt(match[2]! + fraction)
  return { unscaled: match[1] === '-' ? -magnitude : magnitude, scale: fraction.length }
}

/** numeric_send: base-10000 digits without leading or trailing zero groups. */
export function numericBinary(value: Numeric): Buffer {
  const negative = value.unscaled < 0n
  const fractionGroups = Math.ceil(value.scale / DIGITS_PER_GROUP)
  const fill = fractionGroups * DIGITS_PER_GROUP - value.scale
  const magnitude = (negative ? -value.unscaled : value.unscaled) * powerOfTen(fill)
  const digits = magnitude === 0n ? '' : magnitude.toString()
  const groupCount = Math.ceil(digits.length / DIGITS_PER_GROUP)
  const padded = digits.padStart(groupCount * DIGITS_PER_GROUP, '0')
  const groups: number[] = []
  for (let i = 0; i < padded.length; i += DIGITS_PER_GROUP) {
    groups.push(Number(padded.slice(i, i + DIGITS_PER_GROUP)))
  }
  const weight = groups.length === 0 ? 0 : groupCount - fractionGroups - 1
  while (groups.length > 0 && groups[groups.length - 1] === 0) groups.pop()
  const bytes = Buffer.allocUnsafe(8 + 2 * groups.length)
  bytes.writeUInt16BE(groups.length, 0)
  bytes.writeInt16BE(weight, 2)
  bytes.writeUInt16BE(negative ? 0x4000 : 0, 4)
  bytes.writeUInt16BE(value.scale, 6)
  groups.forEach((group, index) => bytes.writeUInt16BE(group, 8 + 2 * index))
  return bytes
}

/** select_div_scale(): at least 16 significant digits, estimated from the first groups. */
function divisionScale(dividend: Numeric, divisor: Numeric): number {
  const first = leadingGroup(dividend)
  const second = leadingGroup(divisor)
  let weight = first.weight - second.weight
  if (first.digit <= second.digit) weight--
  const wanted = SIGNIFICANT_DIGITS_MIN - DIGITS_PER_GROUP * weight
  return Math.min(DISPLAY_SCALE_MAX, Math.max(wanted, dividend.scale, divisor.scale, 0))
}

/** Weight and value of the first base-10000 digit. */
function leadingGroup(value: Numeric): { readonly weight: number; readonly digit: number } {
  if (value.unscaled === 0n) return { weight: 0, digit: 0 }
  const text = magnitude(value.unscaled).toString()
  const exponent = text.length - 1 - value.scale
  const weight = Math.floor(exponent / DIGITS_PER_GROUP)
  const width = exponent - DIGITS_PER_GROUP * weight + 1
  return { weight, digit: Number(text.slice(0, width).padEnd(width, '0')) }
}

/** Rounds half away from zero. */
function divideTo(dividend: Numeric, divisor: Numeric, scale: number): bigint {
  const negative = (dividend.unscaled < 0n) !== (divisor.unscaled < 0n)
  const numerator = magnitude(dividend.unscaled) *
    powerOfTen(scale + divisor.scale - dividend.scale)
  const denominator = magnitude(divisor.unscaled)
  const quotient = (numerator * 2n + denominator) / (denominator * 2n)
  return negative ? -quotient : quotient
}

/** sqrt_var at the variance's own scale, rounded half up. */
function squareRoot(value: Numeric): Numeric {
  const square = value.unscaled * powerOfTen(value.scale)
  const root = integerSquareRoot(square)
  const roundUp = square - root * root > root
  return { unscaled: roundUp ? root + 1n : root, scale: value.scale }
}

function integerSquareRoot(value: bigint): bigint {
  if (value < 2n) return value
  let guess = 1n << BigInt((value.toString(2).length + 1) >> 1)
  for (;;) {
    const next = (guess + value / guess) >> 1n
    if (next >= guess) return guess
    guess = next
  }
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}
