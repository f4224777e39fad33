/** The table and version that a `slipway delta` command names. */
import { resolve } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import type { Snapshot } from '../delta/snapshot.ts'
import { DeltaTable } from '../delta/table.ts'
import { version } from '../delta/version.ts'
import { LocalStorage } from '../storage/local.ts'
import { momentOf, wholeNumberOf } from './option-values.ts'

export interface ReadOptions {
  readonly version?: string
  readonly timestamp?: string
  /** Shallow clones keep files there. */
  readonly allowFolder?: readonly string[]
  readonly json?: boolean
}

export async function openTable(path: string, options: ReadOptions = {}): Promise<DeltaTable> {
  return await DeltaTable.open({ storage: new LocalStorage({ root: resolve(path),
    allowedFolders: allowedFoldersOf(options) }) })
}

/** Absolute. */
export function allowedFoldersOf(options: ReadOptions): readonly string[] {
  return (options.allowFolder ?? []).map((folder) => resolve(folder))
}

/** The snapshot that --version or --timestamp asks for, else the newest. */
export async function openSnapshot(path: string, options: ReadOptions): Promise<Snapshot> {
  if (options.version !== undefined && options.timestamp !== undefined) {
    throw new SlipwayError('usage', '--version and --timestamp exclude each other')
  }
  const table = await openTable(path, options)
  if (options.version !== undefined) {
    return await table.at(version(wholeNumberOf('--version', options.version)))
  }
  if (options.timestamp === undefined) return table.snapshot
  return await table.atTimestamp(momentOf('--timestamp', options.timestamp))
}
