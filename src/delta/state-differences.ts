/**
 * State differences: what one snapshot says otherwise than another of the same version.
 *
 * S1  Empty exactly when both have the same live files with the same deletion vectors, protocol,
 *     metadata, transactions and domains.
 */
import { deletionVectorId } from './deletion-vector.ts'
import { pathIdentity } from './data-path.ts'
import { stringifyJson, type JsonObject, type JsonValue } from './exact-json.ts'
import type { Snapshot } from './snapshot.ts'

/** For people; `stored` comes from a checkpoint or the like, `replayed` from the commits. */
export function stateDifferences(stored: Snapshot, replayed: Snapshot): readonly string[] {
  const problems: string[] = []
  const wanted = liveFiles(replayed)
  const found = liveFiles(stored)
  const lost = [...wanted].filter((file) => !found.has(file)).length
  const extra = [...found].filter((file) => !wanted.has(file)).length
  if (lost + extra > 0) {
    problems.push(`differs from the commits: ${lost} files missing, ${extra} that are not live`)
  }
  for (const [name, said, meant] of [
    ['metaData', stored.metadata, replayed.metadata],
    ['protocol', stored.protocol, replayed.protocol],
    ['txn', txnsOf(stored), txnsOf(replayed)],
    ['domainMetadata', domainsOf(stored), domainsOf(replayed)],
  ] as const) {
    if (canonicalText(said) !== canonicalText(meant)) {
      problems.push(`has another ${name} than the commits`)
    }
  }
  return problems
}

function liveFiles(snapshot: Snapshot): ReadonlySet<string> {
  return new Set([...snapshot.files()].map((file) =>
    `${pathIdentity(file.path)}\0${deletionVectorId(file.deletionVector)}\0${file.size}`))
}

/** Application to newest version. */
export function txnsOf(snapshot: Snapshot): Readonly<Record<string, bigint>> {
  return Object.fromEntries([...snapshot.txns()].map((txn) => [txn.appId, txn.version]))
}

/** Domain to configuration. */
export function domainsOf(snapshot: Snapshot): Readonly<Record<string, string>> {
  return Object.fromEntries([...snapshot.domains()].map((one) => [one.domain, one.configuration]))
}

/** One text for equal values, whatever the order of members; features are a set. */
export function canonicalText(value: unknown): string {
  return stringifyJson(ordered(value as JsonValue, null))
}

function ordered(value: JsonValue | undefined, name: string | null): JsonValue {
  if (typeof value !== 'object' || value === null) return value ?? null
  if (Array.isArray(value)) {
    const items = (value as readonly JsonValue[]).map((item) => ordered(item, null))
    return name?.endsWith('Features') === true ? items.sort() : items
  }
  return Object.fromEntries(Object.entries(value as JsonObject).sort(([a], [b]) => a < b ? -1 : 1)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => [key, ordered(member, key)]))
}
