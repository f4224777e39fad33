/** Values of options, read or refused by the option's name. */
import { SlipwayError } from '../base/errors.ts'

const DURATION_MS: Readonly<Record<string, number>> = {
  s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000,
}
const SIZE_BYTES: Readonly<Record<string, number>> = {
  '': 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3,
}

/** Milliseconds. */
export function durationOf(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)$/i.exec(text.trim())
  const unit = DURATION_MS[(match?.[2] ?? '').toLowerCase()]
  if (match !== null && unit !== undefined) return Number(match[1]) * unit
  throw new SlipwayError('usage', `${option} is a time such as 7d, 12h or 30m`)
}

/** Bytes, above zero. */
export function sizeOf(option: string, text: string): number {
  const match = /^(\d+)\s*(kb|mb|gb|)$/i.exec(text.trim())
  const bytes = Number(match?.[1]) * (SIZE_BYTES[(match?.[2] ?? '').toLowerCase()] ?? 0)
  if (match !== null && bytes > 0) return bytes
  throw new SlipwayError('usage', `${option} is a size such as 128MB`)
}

export function wholeNumberOf(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new SlipwayError('usage', `${option} is a whole number`)
}

/** Milliseconds since 1970. */
export function momentOf(option: string, text: string): number {
  const moment = Date.parse(text)
  if (!Number.isNaN(moment)) return moment
  throw new SlipwayError('usage', `${option} is a moment such as 2026-11-23T22:00:00Z`)
}
