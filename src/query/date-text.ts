/**
 * Date text: date_out, timestamp_out, timestamptz_out, time_out and interval_out under
 * DateStyle ISO and IntervalStyle postgres.
 *
 * D1  Input is DuckDB's: days or microseconds since 1970-01-01, with its infinities.
 * D2  Years before 1 are printed with ` BC`, years above 9999 with all their digits.
 *     Source: utils/adt/datetime.c, EncodeDateOnly, EncodeDateTime, EncodeInterval.
 */
import type { ByteWriter } from './byte-writer.ts'

export const DATE_INFINITY = 2147483647
export const TIMESTAMP_INFINITY = 9223372036854775807n
const MICROS_PER_DAY = 86_400_000_000
const MICROS_PER_SECOND = 1_000_000

interface CivilDate {
  /** Astronomical: 0 is 1 BC. */
  readonly year: number
  readonly month: number
  readonly day: number
}

/** Days since 1970-01-01 as a date of the proleptic Gregorian calendar. */
export function civilDate(days: number): CivilDate {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor((dayOfEra - Math.floor(dayOfEra / 1460) +
    Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365)
  const dayOfYear = dayOfEra -
    (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}

/** Days since 1970-01-01 and microseconds of that day. */
export function splitMicros(micros: bigint): { readonly days: number; readonly rest: number } {
  const approximate = Number(micros)
  if (Number.isSafeInteger(approximate)) {
    const days = Math.floor(approximate / MICROS_PER_DAY)
    return { days, rest: approximate - days * MICROS_PER_DAY }
  }
  const perDay = BigInt(MICROS_PER_DAY)
  let days = micros / perDay
  if (micros < 0n && micros % perDay !== 0n) days -= 1n
  return { days: Number(days), rest: Number(micros - days * perDay) }
}

export function writeDate(days: number, out: ByteWriter): void {
  if (days === DATE_INFINITY) { out.ascii('infinity'); return }
  if (days === -DATE_INFINITY) { out.ascii('-infinity'); return }
  const year = writeDay(days, out)
  if (year <= 0) out.ascii(' BC')
}

export function writeTimestamp(micros: bigint, out: ByteWriter): void {
  if (writeInfinity(micros, out)) return
  const { days, rest } = splitMicros(micros)
  const year = writeDay(days, out)
  out.byte(0x20)
  writeTime(rest, out)
  if (year <= 0) out.ascii(' BC')
}

/** `offsetSeconds`: east of UTC is positive, at that instant. */
export function writeTimestampTz(micros: bigint, offsetSeconds: number, out: ByteWriter): void {
  if (writeInfinity(micros, out)) return
  const { days, rest } = splitMicros(micros + BigInt(offsetSeconds) * BigInt(MICROS_PER_SECOND))
  const year = writeDay(days, out)
  out.byte(0x20)
  writeTime(rest, out)
  writeOffset(offsetSeconds, out)
  if (year <= 0) out.ascii(' BC')
}

/** Microseconds of a day; 24:00:00 included. */
export function writeTime(micros: number, out: ByteWriter): void {
  const seconds = Math.floor(micros / MICROS_PER_SECOND)
  out.padded(Math.floor(seconds / 3600), 2)
  out.byte(0x3a)
  out.padded(Math.floor(seconds / 60) % 60, 2)
  out.byte(0x3a)
  out.padded(seconds % 60, 2)
  writeFraction(micros % MICROS_PER_SECOND, out)
}

/** IntervalStyle postgres: `1 year 2 mons -3 days +04:05:06.7`. */
export function intervalText(months: number, days: number, micros: bigint): string {
  const parts: string[] = []
  let afterNegative = false
  const part = (value: number, unit: string): void => {
    if (value === 0) return
    const sign = afterNegative && value > 0 ? '+' : ''
    parts.push(`${sign}${value} ${unit}${value === 1 ? '' : 's'}`)
    afterNegative = value < 0
  }
  part(Math.trunc(months / 12), 'year')
  part(months % 12, 'mon')
  part(days, 'day')
  if (parts.length === 0 || micros !== 0n) {
    const sign = micros < 0n ? '-' : afterNegative ? '+' : ''
    parts.push(sign + clockText(micros < 0n ? -micros : micros))
  }
  return parts.join(' ')
}

function clockText(micros: bigint): string {
  const seconds = micros / 1_000_000n
  const two = (value: bigint): string => value.toString().padStart(2, '0')
  const fraction = (micros % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '')
  const clock = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`
  return fraction === '' ? clock : `${clock}.${fraction}`
}

function writeInfinity(micros: bigint, out: ByteWriter): boolean {
  if (micros === TIMESTAMP_INFINITY) { out.ascii('infinity'); return true }
  if (micros === -TIMESTAMP_INFINITY) { out.ascii('-infinity'); return true }
  return false
}

/** Writes YYYY-MM-DD and answers the astronomical year. */
function writeDay(days: number, out: ByteWriter): number {
  const { year, month, day } = civilDate(days)
  out.padded(year > 0 ? year : 1 - year, 4)
  out.byte(0x2d)
  out.padded(month, 2)
  out.byte(0x2d)
  out.padded(day, 2)
  return year
}

function writeFraction(micros: number, out: ByteWriter): void {
  if (micros === 0) return
  let digits = 6
  let rest = micros
  while (rest % 10 === 0) { rest /= 10; digits-- }
  out.byte(0x2e)
  out.padded(rest, digits)
}

function writeOffset(offsetSeconds: number, out: ByteWriter): void {
  const size = Math.abs(offsetSeconds)
  out.byte(offsetSeconds < 0 ? 0x2d : 0x2b)
  out.padded(Math.floor(size / 3600), 2)
  const seconds = size % 60
  const minutes = Math.floor(size / 60) % 60
  if (minutes === 0 && seconds === 0) return
  out.byte(0x3a)
  out.padded(minutes, 2)
  if (seconds === 0) return
  out.byte(0x3a)
  out.padded(seconds, 2)
}
