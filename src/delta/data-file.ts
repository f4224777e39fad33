/**
 * DataFile: where a file that the log names lies on this machine.
 *
 * DF1  It lies in the table's folder or in one that the caller allows, symbolic links followed:
 *      a log from elsewhere must not make us read what its author cannot.
 */
import { realpathSync } from 'node:fs'
import { sep } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { parseDataPath } from './data-path.ts'

/**
 * Absolute. Throws `delta-unsupported` for what is elsewhere, and for tables that are not local;
 * `delta-corrupt` for a path that names nothing.
 */
export function localDataFile(storage: Storage, path: string, allowed: readonly string[])
  : string {
  const parsed = parseDataPath(path)
  if (parsed.kind === 'remote') {
    throw new SlipwayError('delta-unsupported', 'a data file lies in another storage than the '
      + 'table')
  }
  const absolute = parsed.kind === 'absolute' ? parsed.path : storage.localPath(parsed.path)
  const root = storage.localPath('_delta_log')
  if (absolute === null || root === null) {
    throw new SlipwayError('delta-unsupported', 'rows are read from local tables only')
  }
  const real = realPath(absolute, path)
  const folders = [root.slice(0, -'/_delta_log'.length), ...allowed]
  if (folders.some((folder) => real.startsWith(withSeparator(realPath(folder, folder))))) {
    return absolute
  }
  throw new SlipwayError('delta-unsupported',
    `data file ${path} lies outside of its table, which is not read`,
    { hint: 'Allow its folder if you trust the table: a shallow clone keeps its files elsewhere.' })
}

function realPath(path: string, shown: string): string {
  try {
    return realpathSync(path)
  } catch {
    throw new SlipwayError('delta-corrupt', `data file ${shown} is missing`)
  }
}

function withSeparator(folder: string): string {
  return folder.endsWith(sep) ? folder : folder + sep
}
