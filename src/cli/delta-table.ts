/** The table and version that a `slipway delta` command names. */
import { resolve } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import type { Snapshot } from '../delta/snapshot.ts'
import { DeltaTable } from '../delta/table.ts'
import { version, type Version } from '../delta/version.ts'
import { LocalStorage } from '../storage/local.ts'
import { momentOf, wholeNumberOf } from './option-values.ts'

export interface ReadOptions {
  readonly version?: string
  readonly timestamp?: string
  /** Shallow clones keep files there. */
  readonly allowFolder?: readonly string[]
  readonly json?: boolean
}

/** `at`: the version to begin with, absent the newest. */
export async function openTable(path: string, options: ReadOptions = {}, at?: Version)
  : Promise<DeltaTable> {
  return await DeltaTable.open({ storage: storageOf(path, options),
    ...at === undefined ? {} : { version: at } })
}

export function storageOf(path: string, options: ReadOptions): LocalStorage {
  return new LocalStorage({ root: resolve(path), allowedFolders: allowedFoldersOf(options) })
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
  if (options.version !== undefined) {
    const at = version(wholeNumberOf('--version', options.version))
    return (await openTable(path, options, at)).snapshot
  }
  const table = await openTable(path, options)
  if (options.timestamp === undefined) return table.snapshot
  return await table.atTimestamp(momentOf('--timestamp', options.timestamp))
}
