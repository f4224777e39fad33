/**
 * Table properties: `metaData.configuration`, read and changed.
 *
 * T1  A property that the log's meaning hangs on is refused where its value cannot stand.
 *
 * Source: Delta's documentation, "Table properties": Spark's interval texts.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Metadata } from './actions.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  millisecond: 1, second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000,
  week: 7 * 86_400_000,
}

const TARGET_FILE_BYTES = 128 * 1024 * 1024
const BYTES: Readonly<Record<string, number>> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }
const FLAGS: ReadonlySet<string> = new Set(['delta.appendOnly', 'delta.enableChangeDataFeed',
  'delta.enableDeletionVectors', 'delta.enableExpiredLogCleanup',
  'delta.enableInCommitTimestamps', 'delta.enableTypeWidening'])
/** What tells of the schema or of features: it changes with them, and with their files. */
const DERIVED = ['delta.columnMapping.', 'delta.inCommitTimestampEnab', 'delta.rowTracking',
  'delta.feature.', 'delta.constraints.', 'delta.minReaderVersion', 'delta.minWriterVersion']
const WHOLE_NUMBERS: Readonly<Record<string, number>> = { 'delta.checkpointInterval': 1,
  'delta.dataSkippingNumIndexedCols': -1 }

/** How long a removed file stays for readers of older versions. */
export function deletedFileRetentionMs(metadata: Metadata): number {
  return duration(metadata, 'delta.deletedFileRetentionDuration', 7 * 86_400_000)
}

/** How long the log of old versions stays. */
export function logRetentionMs(metadata: Metadata): number {
  return duration(metadata, 'delta.logRetentionDuration', 30 * 86_400_000)
}

/** Above this size OPTIMIZE leaves a file alone, and no file that it writes is much larger. */
export function targetFileBytes(metadata: Metadata): number {
  const text = metadata.configuration['delta.targetFileSize']
  if (text === undefined) return TARGET_FILE_BYTES
  const match = /^\s*(\d+)\s*(b|k|kb|m|mb|g|gb)?\s*$/i.exec(text)
  const unit = BYTES[(match?.[2] ?? 'b').toLowerCase().charAt(0)] ?? 1
  if (match === null || Number(match[1]) === 0) {
    throw new SlipwayError('usage', 'the table property delta.targetFileSize is no size')
  }
  return Number(match[1]) * unit
}

/** T1. Throws `usage`. */
export function setProperties(metadata: Metadata, properties: Readonly<Record<string, string>>)
  : Metadata {
  const next = { ...metadata, configuration: { ...metadata.configuration, ...properties } }
  checkProperties(metadata, next)
  return next
}

/** Unknown ones are no error. T1. */
export function unsetProperties(metadata: Metadata, keys: readonly string[]): Metadata {
  const next = { ...metadata, configuration: Object.fromEntries(
    Object.entries(metadata.configuration).filter(([key]) => !keys.includes(key))) }
  checkProperties(metadata, next)
  return next
}

function checkProperties(before: Metadata, after: Metadata): void {
  const changed = (key: string): boolean => before.configuration[key] !== after.configuration[key]
  for (const key of Object.keys({ ...before.configuration, ...after.configuration })) {
    if (!changed(key)) continue
    checkProperty(key, after.configuration[key])
  }
  deletedFileRetentionMs(after)
  logRetentionMs(after)
  targetFileBytes(after)
}

/** `undefined`: it is taken away. */
function checkProperty(key: string, value: string | undefined): void {
  if (DERIVED.some((prefix) => key.startsWith(prefix))) {
    throw new SlipwayError('usage', `the table property ${key} cannot be set by itself`)
  }
  if (FLAGS.has(key) && !['true', 'false', undefined].includes(value)) {
    throw new SlipwayError('usage', `the table property ${key} is true or false`)
  }
  if (key.startsWith('delta.enable') && !FLAGS.has(key) && value === 'true') {
    throw new SlipwayError('usage', `Slipway cannot give a table what ${key} asks for`)
  }
  const least = WHOLE_NUMBERS[key]
  if (least !== undefined && value !== undefined
    && (!/^-?\d{1,9}$/.test(value) || Number(value) < least)) {
    throw new SlipwayError('usage', `the table property ${key} is a whole number from ${least} on`)
  }
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
