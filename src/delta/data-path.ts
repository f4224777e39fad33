/**
 * Data paths: `path` of add, remove and cdc is a URI reference, percent-encoded
 * (PROTOCOL.md "Add File and Remove File": RFC 2396, decoded to get the file's name).
 *
 * D1  decode(encode(name)) is name, for any name.
 * D2  Two spellings of one file (`file:///a`, `file:/a`, `/a`; `%41`, `A`) have one identity.
 * D3  A relative path that climbs out of the table is damage, never a file.
 */
import { SlipwayError } from '../base/errors.ts'
import { checkedPath } from '../storage/storage.ts'

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
