/** The table and version that a `slipway delta` command names. */
import { resolve } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import type { Snapshot } from '../delta/snapshot.ts'
import { DeltaTable } from '../delta/table.ts'
import { version } from '../delta/version.ts'
import { LocalStorage } from '../storage/local.ts'

export interface ReadOptions {
  readonly version?: string
  readonly timestamp?: string
  readonly json?: boolean
}

export async function openTable(path: string): Promise<DeltaTable> {
  return await DeltaTable.open({ storage: new LocalStorage({ root: resolve(path) }) })
}

/** The snapshot that --version or --timestamp asks for, else the newest. */
export async function openSnapshot(path: string, options: ReadOptions): Promise<Snapshot> {
  if (options.version !== undefined && options.timestamp !== undefined) {
    throw new SlipwayError('usage', '--version and --timestamp exclude each other')
  }
  const table = await openTable(path)
  if (options.version !== undefined) {
    return await table.at(version(wholeNumber('--version', options.version)))
  }
  if (options.timestamp === undefined) return table.snapshot
  return await table.atTimestamp(parseMoment('--timestamp', options.timestamp))
}

/** Milliseconds. */
export function parseMoment(option: string, text: string): number {
  const moment = Date.parse(text)
  if (!Number.isNaN(moment)) return moment
  throw new SlipwayError('usage', `${option} is a moment such as 2026-11-23T22:00:00Z`)
}

export function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new SlipwayError('usage', `${option} is a whole number`)
  return Number(text)
}
