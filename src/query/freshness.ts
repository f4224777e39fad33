/**
 * Freshness: what slipway.freshness asks for.
 */
export type Freshness =
  /** Every pgCommit that ended before the statement began. */
  | { readonly kind: 'latest' }
  /** An answer may be this old, so that nothing is waited for. */
  | { readonly kind: 'within'; readonly ms: number }

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['us', 0.001], ['microsecond', 0.001], ['ms', 1], ['msec', 1], ['millisecond', 1],
  ['s', 1000], ['sec', 1000], ['second', 1000], ['m', 60_000], ['min', 60_000],
  ['minute', 60_000], ['h', 3_600_000], ['hr', 3_600_000], ['hour', 3_600_000],
  ['d', 86_400_000], ['day', 86_400_000], ['w', 604_800_000], ['week', 604_800_000],
])
const PART = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*/i
const CLOCK = /^(\d{1,4}):(\d{2})(?::(\d{2}(?:\.\d+)?))?$/
const ISO = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i

/**
 * Reads `latest`, the empty string, or an interval in days and smaller units: `5s`,
 * `1 minute 30 seconds`, `00:01:30`, `PT90S`; a bare number counts seconds, as in
 * PostgreSQL. null for anything else.
 */
export function parseFreshness(text: string): Freshness | null {
  const wanted = text.trim()
  if (wanted === '' || wanted.toLowerCase() === 'latest') return { kind: 'latest' }
  const ms = clockMs(wanted) ?? isoMs(wanted) ?? unitsMs(wanted)
  return ms === null ? null : { kind: 'within', ms }
}

function clockMs(text: string): number | null {
  const match = CLOCK.exec(text)
  if (match === null) return null
  return Number(match[1]) * 3_600_000 + Number(match[2]) * 60_000 + Number(match[3] ?? 0) * 1000
}

function isoMs(text: string): number | null {
  const match = ISO.exec(text)
  if (match === null || !/\d/.test(text)) return null
  const [weeks, days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0))
  return (((weeks! * 7 + days!) * 24 + hours!) * 60 + minutes!) * 60_000 + seconds! * 1000
}

function unitsMs(text: string): number | null {
  let total = 0
  for (let rest = text; rest !== '';) {
    const match = PART.exec(rest)
    if (match === null) return null
    const unit = unitMs(match[2])
    if (unit === null) return null
    total += Number(match[1]) * unit
    rest = rest.slice(match[0].length)
  }
  return total
}

function unitMs(name: string | undefined): number | null {
  if (name === undefined) return 1000
  const lower = name.toLowerCase()
  return UNIT_MS.get(lower) ?? UNIT_MS.get(lower.replace(/s$/, '')) ?? null
}
