/** placeholder */
import type { AddFile } from './actions.ts'
import type { BoundPredicate } from './predicate.ts'
import type { Snapshot } from './snapshot.ts'
export function filesMatching(snapshot: Snapshot, _where: BoundPredicate): Iterable<AddFile> {
  return snapshot.files()
}
