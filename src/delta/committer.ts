/**
 * Committer: makes a list of actions visible as exactly one new table version.
 *
 * C1  A version is written once: of N writers racing for version V, one wins.
 * C2  A reader sees a whole commit or none of it.
 * C3  After `committed` is returned, the commit survives a power cut.
 * C4  The file's modification time is the commit's own time, from its first moment: readers
 *     without in-commit timestamps (delta-rs) travel by it.
 *
 * If commit() throws, the outcome is unknown: read the log (our `txn` action names the LSN)
 * before trying again.
 */
import { assert } from '../base/assert.ts'
import type { Storage } from '../storage/storage.ts'
import { encodeActions } from './action-codec.ts'
import type { Action } from './actions.ts'
import { commitPath, type Version } from './version.ts'

/** Losing the race is an answer, not an error: the caller rebases and retries. */
export type CommitResult =
  | { readonly kind: 'committed'; readonly version: Version; readonly sizeBytes: number }
  | { readonly kind: 'conflict'; readonly version: Version }

export class Committer {
  readonly #storage: Storage

  constructor(options: { readonly storage: Storage }) {
    this.#storage = options.storage
  }

  async commit(version: Version, actions: readonly Action[],
    options: { readonly timestampMs: number }): Promise<CommitResult> {
    assert(actions.length > 0, 'a commit carries at least one action')
    const body = Buffer.from(encodeActions(actions))
    const result = await this.#storage.putIfAbsent(commitPath(version), body,
      { mtimeMs: options.timestampMs })
    return result === 'exists' ? { kind: 'conflict', version }
      : { kind: 'committed', version, sizeBytes: body.length }
  }
}
