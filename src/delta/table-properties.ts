/**
 * Table properties: durations of `metaData.configuration`, in milliseconds.
 *
 * Source: Delta's documentation, "Table properties": Spark's interval texts.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Metadata } from './actions.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  millisecond: 1, second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000,
  week: 7 * 86_400_000,
}

/** How long a removed file stays for readers of older versions. */
export function deletedFileRetentionMs(metadata: Metadata): number {
  return duration(metadata, 'delta.deletedFileRetentionDuration', 7 * 86_400_000)
}

/** How long the log of old versions stays. */
export function logRetentionMs(metadata: Metadata): number {
  return duration(metadata, 'delta.logRetentionDuration', 30 * 86_400_000)
}

/** `interval 1 week`, `7 days 12 hours`. Throws `usage` for anything else. */
function duration(metadata: Metadata, key: string, absentMs: number): number {
  const text = metadata.configuration[key]
  if (text === undefined) return absentMs
  const parts = text.toLowerCase().replace(/^\s*interval\s+/, '').trim().split(/\s+/)
  let totalMs = 0
  for (let at = 0; at < parts.length; at += 2) {
    const amount = Number(parts[at])
    const unit = UNIT_MS[(parts[at + 1] ?? '').replace(/s$/, '')]
    if (unit === undefined || !Number.isFinite(amount) || amount < 0) {
      throw new SlipwayError('usage', `the table property ${key} is no interval`)
    }
    totalMs += amount * unit
  }
  return totalMs
}
