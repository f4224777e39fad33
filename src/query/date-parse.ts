/**
 * DateParse: reads PostgreSQL's ISO text of dates and timestamps.
 *
 * The inverse of DateText; null for infinities and anything that is not of that form.
 */
const DATE = /^(\d{4,})-(\d\d)-(\d\d)( BC)?$/
const TIMESTAMP =
  /^(\d{4,}-\d\d-\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-]\d\d(?::\d\d){0,2})?( BC)?$/
const MICROS_PER_SECOND = 1_000_000n
const SECONDS_PER_DAY = 86_400

/** Days since 1970-01-01. */
export function parseDate(text: string): number | null {
  const match = DATE.exec(text)
  if (match === null) return null
  const year = match[4] === undefined ? Number(match[1]) : 1 - Number(match[1])
  return daysOf(year, Number(match[2]), Number(match[3]))
}

/** Microseconds since 1970-01-01; of a timestamptz, in UTC. */
export function parseTimestamp(text: string): bigint | null {
  const match = TIMESTAMP.exec(text)
  if (match === null) return null
  const days = parseDate(match[1]! + (match[7] ?? ''))
  if (days === null) return null
  const clock = Number(match[2]) * 3600 + Number(match[3]) * 60 + Number(match[4])
  const seconds = BigInt(days) * BigInt(SECONDS_PER_DAY) + BigInt(clock - offsetOf(match[6]))
  return seconds * MICROS_PER_SECOND + BigInt((match[5] ?? '').padEnd(6, '0'))
}

function offsetOf(text: string | undefined): number {
  if (text === undefined) return 0
  const [hours, minutes = 0, seconds = 0] = text.slice(1).split(':').map(Number)
  const size = hours! * 3600 + minutes * 60 + seconds
  return text.startsWith('-') ? -size : size
}

/** Days from 1970-01-01 of a date in the proleptic Gregorian calendar. */
function daysOf(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) +
    dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}
