/**
 * Storage: one table's objects, by path relative to the table's root.
 *
 * O1  `putIfAbsent` and `adopt` create an object once: of N callers one gets `created`, the
 *     others `exists`, and no reader ever sees a part of the body.
 * O2  What a call has created or replaced survives a power cut when the call has returned.
 * O3  `list` goes in the order of UTF-16 code units, so fixed-width names come in their order.
 * O4  A path never leaves the root: absolute paths, `..` and NUL are refused, and so are links
 *     that lead out of it, unless the storage was told to allow where they lead.
 */
import { SlipwayError } from '../base/errors.ts'

export interface StoredObject {
  /** Relative to the root, `/` between parts. */
  readonly path: string
  readonly size: number
  /** Whole milliseconds since 1970-01-01 UTC, the rest cut off as Hadoop and delta-rs do. */
  readonly mtimeMs: number
}

export type PutResult = 'created' | 'exists'

export interface PutOptions {
  readonly mtimeMs?: number
  readonly durable?: boolean
}

export interface Storage {
  /** For messages: a directory, or whatever names the place. */
  readonly root: string
  /** A local directory on the same file system, for files that `adopt` will take. */
  readonly stagingDirectory: string

  /** The whole object, or null when there is none. */
  get(path: string): Promise<Buffer | null>
  /** Bytes [start, end), cut at the object's end; null when there is no object. */
  getRange(path: string, range: { readonly start: number; readonly end: number })
    : Promise<Buffer | null>
  /**
   * Objects whose path begins with `prefix` and sorts after `startAfter` (null: from the
   * first). What follows the prefix's last `/` is matched within that one folder only.
   */
  list(prefix: string, startAfter: string | null): Promise<readonly StoredObject[]>
  /** Every object under the folder, at any depth; missing folder: none. */
  listTree(folder: string): Promise<readonly StoredObject[]>
  stat(path: string): Promise<StoredObject | null>

  /**
   * `mtimeMs`: the modification time that the object appears with, from its first moment.
   * `durable: false` gives up O2: after a power cut the object may be missing or damaged.
   */
  putIfAbsent(path: string, body: Uint8Array, options?: PutOptions): Promise<PutResult>
  /** Creates or replaces, atomically. */
  put(path: string, body: Uint8Array): Promise<void>
  /** Moves a file from `stagingDirectory` in under `path`; `exists` leaves it where it was. */
  adopt(file: string, path: string): Promise<PutResult>
  /** Makes an object durable that another hand (DuckDB) has written under the root. */
  sync(path: string): Promise<void>
  /** Deleting what is not there is no error. */
  delete(path: string): Promise<void>
  /** The object's path for readers that open files themselves; null when it is not a file. */
  localPath(path: string): string | null
  /**
   * A file outside of the root, by its absolute path, where the storage was allowed to go there
   * (shallow clones); null where it was not.
   */
  elsewhere(path: string): { readonly storage: Storage; readonly path: string } | null
}

/** How messages name the table. */
export function tableName(storage: Storage): string {
  return `Delta table ${storage.root}`
}

/** O4. Returns the path itself. Throws `delta-corrupt`: such a path came from a log. */
export function checkedPath(path: string): string {
  const parts = path.split('/')
  const legal = path !== '' && !path.includes('\0')
    && parts.every((part) => part !== '' && part !== '.' && part !== '..')
  if (!legal) {
    throw new SlipwayError('delta-corrupt', 'a path leads outside its table', {
      detail: `path of ${path.length} characters`,
    })
  }
  return path
}
