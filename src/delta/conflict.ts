/**
 * Conflict: whether what a transaction is about to do still stands after another commit.
 *
 * X1  Pure: a function of the transaction's footprint and the other commit's actions.
 * X2  Two commits that both end the same logical file never both stand, nor two that add it.
 *
 * Source: PROTOCOL.md leaves it to writers; the cases are delta-spark's ConflictChecker under
 * WriteSerializable.
 */
import type { Action } from './actions.ts'
import { pathIdentity } from './data-path.ts'

export type ConflictReason =
  | 'metadata-changed' | 'protocol-changed' | 'file-removed' | 'txn-advanced' | 'data-added'
  | 'domain-changed' | 'file-added'

/** What a transaction relies on. */
export interface Footprint {
  /** Identities (data-path.ts) of the files that it removes or gives another vector. */
  readonly removes: ReadonlySet<string>
  /** Identities of the files that it adds: a restored one may be added by two at once. */
  readonly adds: ReadonlySet<string>
  readonly appIds: ReadonlySet<string>
  readonly domains: ReadonlySet<string>
  /** It decided by all of the table's rows: a row added meanwhile would change it. */
  readonly readsWholeTable: boolean
}

/** null: no conflict. */
export function conflictWith(footprint: Footprint, winner: readonly Action[])
  : ConflictReason | null {
  for (const action of winner) {
    const reason = reasonOf(footprint, action)
    if (reason !== null) return reason
  }
  return null
}

function reasonOf(footprint: Footprint, action: Action): ConflictReason | null {
  if ('metaData' in action) return 'metadata-changed'
  if ('protocol' in action) return 'protocol-changed'
  if ('txn' in action) return footprint.appIds.has(action.txn.appId) ? 'txn-advanced' : null
  if ('domainMetadata' in action) {
    return footprint.domains.has(action.domainMetadata.domain) ? 'domain-changed' : null
  }
  if ('remove' in action) {
    const path = pathIdentity(action.remove.path)
    const ends = footprint.removes.has(path) || footprint.adds.has(path)
      || (footprint.readsWholeTable && action.remove.dataChange)
    return ends ? 'file-removed' : null
  }
  if (!('add' in action)) return null
  if (footprint.adds.has(pathIdentity(action.add.path))) return 'file-added'
  return footprint.readsWholeTable && action.add.dataChange ? 'data-added' : null
}
