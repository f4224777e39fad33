/**
 * Data paths: `path` of add, remove and cdc is a URI reference, percent-encoded
 * (PROTOCOL.md "Add File and Remove File": RFC 2396, decoded to get the file's name).
 *
 * D1  decode(encode(name)) is name, for any name.
 * D2  Two spellings of one file (`file:///a`, `file:/a`, `/a`; `%41`, `A`) have one identity.
 * D3  A relative path that climbs out of the table is damage, never a file.
 * D4  A file elsewhere is read only where the storage was told to allow it.
 */
import { posix } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import { checkedPath, tableName, type Storage } from '../storage/storage.ts'

export type DataPath =
  /** Under the table's root; decoded. */
  | { readonly kind: 'relative'; readonly path: string }
  /** A local absolute path; decoded. Shallow clones have these. */
  | { readonly kind: 'absolute'; readonly path: string }
  /** Another scheme (s3, abfss …). */
  | { readonly kind: 'remote'; readonly uri: string }

/** Throws `delta-corrupt` for malformed escapes and for paths that leave the table. */
export function parseDataPath(path: string): DataPath {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(path)?.[1]
  if (scheme !== undefined) {
    if (scheme.toLowerCase() !== 'file') return { kind: 'remote', uri: path }
    const local = path.slice(scheme.length + 1).replace(/^\/\/(?:localhost)?(?=\/)/, '')
    if (!local.startsWith('/')) throw damaged('a file: URI without an absolute path')
    return { kind: 'absolute', path: decoded(local) }
  }
  if (path.startsWith('//')) return { kind: 'absolute', path: decoded(path.replace(/^\/+/, '/')) }
  if (path.startsWith('/')) return { kind: 'absolute', path: decoded(path) }
  return { kind: 'relative', path: checkedPath(decoded(path).replace(/^(?:\.\/)+/, '')) }
}

/** A file, and the storage that has it. */
export interface FilePlace {
  readonly storage: Storage
  /** Relative to the storage's root. */
  readonly path: string
}

/**
 * Where a file that the log names lies. Throws `delta-corrupt` as parseDataPath, and
 * `delta-unsupported` by D4; both name the table and the file.
 */
export function filePlace(storage: Storage, path: string): FilePlace {
  const refused = (why: string): SlipwayError => new SlipwayError('delta-unsupported',
    `${tableName(storage)}: ${shownPath(path)} ${why}`, { hint: 'Allow its folder '
      + '(allowedFolders, --allow-folder) if you trust the table: shallow clones need it.' })
  const parsed = parsedAt(storage, path)
  switch (parsed.kind) {
    case 'relative': return { storage, path: parsed.path }
    case 'remote': throw refused('lies in another store than the table, which is not read')
    case 'absolute': {
      const local = posix.normalize(parsed.path)
      const root = storage.root.endsWith('/') ? storage.root : `${storage.root}/`
      if (local.startsWith(root)) return { storage, path: checkedPath(local.slice(root.length)) }
      const place = storage.elsewhere(local)
      if (place === null) throw refused('lies outside of the table, which is not read')
      return place
    }
  }
}

function parsedAt(storage: Storage, path: string): DataPath {
  try {
    return parseDataPath(path)
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    throw new SlipwayError(error.code,
      `${tableName(storage)}: ${shownPath(path)}: ${error.message}`, { cause: error })
  }
}

const SHOWN_MAX = 200

/** For messages: a log may name anything. */
export function shownPath(path: string): string {
  const clean = path.replace(/[^\x20-\x7e]/gu, '?')
  return clean.length <= SHOWN_MAX ? clean : `${clean.slice(0, SHOWN_MAX)}…`
}

/** The form for the log of a name relative to the table's root. */
export function encodeDataPath(name: string): string {
  // encodeURIComponent keeps !'()*, which are legal in a path; `:` goes, or it reads as a scheme.
  return checkedPath(name).split('/').map(encodeURIComponent).join('/').replaceAll('%3D', '=')
}

/** D2: equal exactly when two paths of one log name one file. */
export function pathIdentity(path: string): string {
  // Plain names, which is what nearly every writer uses, are their own identity.
  if (!/[%:]|^\.?\//.test(path)) return path
  const parsed = parseDataPath(path)
  return parsed.kind === 'remote' ? parsed.uri : parsed.path
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw damaged('a path has a malformed percent escape')
  }
}

function damaged(what: string): SlipwayError {
  return new SlipwayError('delta-corrupt', `the log names a file wrongly: ${what}`)
}
