/**
 * Version: a table's state number, gapless from 0; and the names of the files in `_delta_log`.
 *
 * V1  A Version is made only here, and only from 0 … 2^53-1.
 * V2  Names carry 20 digits, so their text order is the order of versions.
 */
import { SlipwayError } from '../base/errors.ts'

declare const versionTag: unique symbol
export type Version = number & { readonly [versionTag]: true }

export const LOG_DIRECTORY = '_delta_log'
export const LAST_CHECKPOINT = `${LOG_DIRECTORY}/_last_checkpoint`
export const SIDECAR_DIRECTORY = `${LOG_DIRECTORY}/_sidecars`

export function version(value: number): Version {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new SlipwayError('usage', 'a version is a whole number from 0')
  }
  return value as Version
}

export function nextVersion(of: Version): Version {
  return version(of + 1)
}

function padded(value: number, digits = 20): string {
  return String(value).padStart(digits, '0')
}

export function commitPath(of: Version): string {
  return `${LOG_DIRECTORY}/${padded(of)}.json`
}

export function checkpointPath(of: Version): string {
  return `${LOG_DIRECTORY}/${padded(of)}.checkpoint.parquet`
}

export function crcPath(of: Version): string {
  return `${LOG_DIRECTORY}/${padded(of)}.crc`
}

/** Sorts before every log file of version `of`, and after all of the versions before it. */
export function logPathFloor(of: Version): string {
  return `${LOG_DIRECTORY}/${padded(of)}`
}

/** What a file of the log directory is, from its name alone. */
export type LogFileName =
  | { readonly kind: 'commit'; readonly version: Version }
  | { readonly kind: 'classic-checkpoint'; readonly version: Version }
  | { readonly kind: 'multipart-checkpoint'; readonly version: Version
      readonly part: number; readonly parts: number }
  | { readonly kind: 'v2-checkpoint'; readonly version: Version
      readonly format: 'json' | 'parquet' }
  /** Commits `version` … `last` folded into one file. */
  | { readonly kind: 'compacted'; readonly version: Version; readonly last: Version }
  | { readonly kind: 'crc'; readonly version: Version }
  | { readonly kind: 'other' }

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const LOG_FILE = new RegExp('^(\\d{20})\\.(?:(json)|(crc)|(checkpoint\\.parquet)'
  + '|checkpoint\\.(\\d{10})\\.(\\d{10})\\.parquet'
  + `|checkpoint\\.${UUID}\\.(json|parquet)`
  + '|(\\d{20})\\.compacted\\.json)$')

/** `name`: the last part of the path. Numbers beyond 2^53-1 make it `other`. */
export function parseLogFileName(name: string): LogFileName {
  const match = LOG_FILE.exec(name)
  if (match === null) return { kind: 'other' }
  const at = Number(match[1])
  if (!Number.isSafeInteger(at)) return { kind: 'other' }
  const of = at as Version
  if (match[2] !== undefined) return { kind: 'commit', version: of }
  if (match[3] !== undefined) return { kind: 'crc', version: of }
  if (match[4] !== undefined) return { kind: 'classic-checkpoint', version: of }
  if (match[5] !== undefined) {
    const part = Number(match[5])
    const parts = Number(match[6])
    if (part < 1 || part > parts) return { kind: 'other' }
    return { kind: 'multipart-checkpoint', version: of, part, parts }
  }
  if (match[7] !== undefined) {
    return { kind: 'v2-checkpoint', version: of, format: match[7] as 'json' | 'parquet' }
  }
  const last = Number(match[8])
  if (!Number.isSafeInteger(last) || last < at) return { kind: 'other' }
  return { kind: 'compacted', version: of, last: last as Version }
}
