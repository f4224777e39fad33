/**
 * Float text: float4out and float8out.
 *
 * F1  With extra_float_digits > 0, the shortest digits that read back as the same value,
 *     the nearest of them, ties to even, and never a candidate that lies exactly on the
 *     edge of the rounding interval (common/d2s.c; JavaScript accepts the edge).
 * F2  Otherwise printf's %.*g with DIG + extra_float_digits digits.
 */
const FLOAT8_DIGITS = 15
const FLOAT4_DIGITS = 6
const EXACT_INTEGER_MAX_8 = 2 ** 53
const EXACT_INTEGER_MAX_4 = 2 ** 24
const TIE_BITS = 2 ** 22
const FLOAT4_NORMAL_MIN = 2 ** -126
/** toExponential's limit; no double needs more than 17 digits to be told apart. */
const EXPANSION_DIGITS = 100

export function float8Text(value: number, extraFloatDigits: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15 && value !== 0) {
    if (extraFloatDigits > 0) return String(value)
  }
  const special = specialText(value)
  if (special !== null) return special
  const size = Math.abs(value)
  const sign = value < 0 ? '-' : ''
  if (extraFloatDigits <= 0) return sign + general(size, FLOAT8_DIGITS + extraFloatDigits)
  // A tie of up to 17 digits needs an exact expansion of 18, so at most 22 binary places
  // here; without one JavaScript's digits are PostgreSQL's, and so is its layout.
  if (size >= 1e-4 && size < 1e15 && !Number.isInteger(size * TIE_BITS)) return sign + size
  let shortest = size.toExponential()
  const digits = shortest.indexOf('e') - (shortest.includes('.') ? 1 : 0)
  // Up to 15 digits name one double each, so that neither ties nor a nearer one exist.
  if (digits > FLOAT8_DIGITS || size >= EXACT_INTEGER_MAX_8) {
    shortest = shortestDouble(size, digits, shortest)
  }
  return sign + layout(shortest, FLOAT8_DIGITS)
}

/** `value` is a float4 widened to a double. */
export function float4Text(value: number, extraFloatDigits: number): string {
  const special = specialText(value)
  if (special !== null) return special
  const size = Math.abs(value)
  const sign = value < 0 ? '-' : ''
  if (extraFloatDigits <= 0) return sign + general(size, FLOAT4_DIGITS + extraFloatDigits)
  // Any 6 digits name one normal float4; subnormal ones have fewer.
  for (let precision = size < FLOAT4_NORMAL_MIN ? 1 : FLOAT4_DIGITS; precision < 9; precision++) {
    // A cheap look first: toPrecision differs from the exact rounding in ties only.
    if (precision < 9 && Math.fround(Number(size.toPrecision(precision))) !== size &&
      Math.fround(Number(size.toPrecision(precision + 1))) !== size) continue
    const candidate = rounded(size, precision)
    if (Math.fround(Number(candidate)) !== size) continue
    if (size >= EXACT_INTEGER_MAX_4 && onEdge(candidate, size, nextFloat)) continue
    return sign + layout(candidate, FLOAT4_DIGITS)
  }
  return sign + layout(rounded(size, 9), FLOAT4_DIGITS)
}

function specialText(value: number): string | null {
  if (Number.isNaN(value)) return 'NaN'
  if (value === Infinity) return 'Infinity'
  if (value === -Infinity) return '-Infinity'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  return null
}

function shortestDouble(size: number, digits: number, fromEngine: string): string {
  const even = rounded(size, digits)
  let candidate = Number(even) === size ? even : fromEngine
  if (size < EXACT_INTEGER_MAX_8) return candidate
  for (let precision = digits; precision < 17; ) {
    if (Number(candidate) === size && !onEdge(candidate, size, nextDouble)) break
    precision++
    candidate = rounded(size, precision)
  }
  return candidate
}

/** printf's %.{precision}g of a finite value above 0. */
function general(size: number, precision: number): string {
  const wanted = Math.max(precision, 1)
  return layout(rounded(size, wanted), wanted)
}

/** `size` to `precision` significant digits, exact ties to even: `d.ddde±x`, no end zeros. */
function rounded(size: number, precision: number): string {
  const [mantissa, exponentText] = size.toExponential(EXPANSION_DIGITS).split('e')
  const digits = mantissa!.replace('.', '')
  const head = digits.slice(0, precision)
  const tail = digits.slice(precision)
  let whole = BigInt(head)
  const half = tail[0] === '5'
  const above = half ? /[1-9]/.test(tail.slice(1)) : tail[0]! > '5'
  if (above || (half && whole % 2n === 1n)) whole += 1n
  let text = whole.toString()
  let exponent = Number(exponentText)
  if (text.length > precision) { text = text.slice(0, precision); exponent++ }
  text = text.replace(/0+$/, '')
  return `${text.length > 1 ? `${text[0]}.${text.slice(1)}` : text}e${exponent}`
}

/** Exponent notation outside 1e-4 … 10^precision, as printf's %g has it. */
function layout(exponential: string, precision: number): string {
  const [mantissa, exponentText] = exponential.split('e')
  const exponent = Number(exponentText)
  if (exponent < -4 || exponent >= precision) {
    const size = String(Math.abs(exponent)).padStart(2, '0')
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${size}`
  }
  const digits = mantissa!.replace('.', '')
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`
  if (digits.length <= exponent + 1) return digits.padEnd(exponent + 1, '0')
  return `${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
}

type Neighbour = (value: number, step: 1 | -1) => number

/** Whether the decimal lies exactly between `value` and a neighbour (integers only). */
function onEdge(candidate: string, value: number, neighbour: Neighbour): boolean {
  const exact = integerOf(candidate)
  if (exact === null) return false
  for (const step of [1, -1] as const) {
    const other = neighbour(value, step)
    if (Number.isFinite(other) && exact * 2n === BigInt(value) + BigInt(other)) return true
  }
  return false
}

function integerOf(exponential: string): bigint | null {
  const [mantissa, exponentText] = exponential.split('e')
  const [whole, fraction = ''] = mantissa!.split('.')
  const exponent = Number(exponentText) - fraction.length
  return exponent < 0 ? null : BigInt(whole! + fraction) * 10n ** BigInt(exponent)
}

const scratch = new DataView(new ArrayBuffer(8))

function nextDouble(value: number, step: 1 | -1): number {
  scratch.setFloat64(0, value)
  scratch.setBigInt64(0, scratch.getBigInt64(0) + BigInt(step))
  return scratch.getFloat64(0)
}

function nextFloat(value: number, step: 1 | -1): number {
  scratch.setFloat32(0, value)
  scratch.setInt32(0, scratch.getInt32(0) + step)
  return scratch.getFloat32(0)
}
