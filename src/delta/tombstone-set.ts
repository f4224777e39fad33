/**
 * TombstoneSet: the logical files (path and deletion vector) that were removed and are not live
 * again, of one version. Those of the checkpoint stay columns until somebody asks.
 *
 * T1  Immutable. A changed copy costs what the change holds, whatever the set's size.
 */
import type { AddFile, RemoveFile } from './actions.ts'
import { pathIdentity } from './data-path.ts'
import { deletionVectorId } from './deletion-vector.ts'
import type { TombstoneBlock } from './file-block.ts'
import type { FileIdentity } from './file-set.ts'
import { PersistentMap, type MapEditor } from './persistent-map.ts'

interface Parts {
  readonly blocks: readonly TombstoneBlock[]
  readonly added: PersistentMap<RemoveFile>
  /** Older ones are left out; null: none is. Milliseconds. */
  readonly sinceMs: number | null
}

export class TombstoneSet {
  readonly #parts: Parts

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  static empty(): TombstoneSet {
    return new TombstoneSet({ blocks: [], added: PersistentMap.empty<RemoveFile>(),
      sinceMs: null })
  }

  /** `liveAt`: the live file of a path's identity. */
  *values(liveAt: (path: string) => FileIdentity | undefined): Generator<RemoveFile> {
    const { blocks, added, sinceMs } = this.#parts
    const isKept = (remove: RemoveFile): boolean =>
      sinceMs === null || (remove.deletionTimestamp ?? 0) >= sinceMs
    for (const block of blocks) {
      for (let at = 0; at < block.count; at++) {
        const remove = block.remove(at)
        if (!isKept(remove) || added.has(keyOf(remove))) continue
        const live = liveAt(pathIdentity(remove.path))
        if (live !== undefined && deletionVectorId(live.deletionVector)
          === deletionVectorId(remove.deletionVector)) continue
        yield remove
      }
    }
    for (const remove of added.values()) if (isKept(remove)) yield remove
  }

  /** Without those older than `beforeMs`. */
  since(beforeMs: number): TombstoneSet {
    return new TombstoneSet({ ...this.#parts, sinceMs: beforeMs })
  }

  edit(): TombstoneSetEditor {
    return new TombstoneSetEditor(this.#parts, (parts) => new TombstoneSet(parts))
  }
}

export class TombstoneSetEditor {
  readonly #blocks: TombstoneBlock[]
  readonly #added: MapEditor<RemoveFile>
  readonly #parts: Parts
  readonly #finish: (parts: Parts) => TombstoneSet

  constructor(parts: Parts, finish: (parts: Parts) => TombstoneSet) {
    this.#parts = parts
    this.#blocks = [...parts.blocks]
    this.#added = parts.added.edit()
    this.#finish = finish
  }

  /** A checkpoint's own; only while a set is first built. */
  load(block: TombstoneBlock): void {
    this.#blocks.push(block)
  }

  set(removed: RemoveFile): void {
    this.#added.set(keyOf(removed), removed)
  }

  /** For a logical file that is live again. */
  delete(file: AddFile): void {
    this.#added.delete(keyOf(file))
  }

  /** The set so far; the editor must not be used again. */
  done(): TombstoneSet {
    return this.#finish({ ...this.#parts, blocks: this.#blocks, added: this.#added.done() })
  }
}

function keyOf(file: AddFile | RemoveFile): string {
  return `${deletionVectorId(file.deletionVector)}\0${pathIdentity(file.path)}`
}
