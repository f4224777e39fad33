/**
 * FileSet: the live files of one version: those of the checkpoint that it began with, kept as
 * columns and shared by every version since, less what has gone, and what has come.
 *
 * F1  Immutable. A changed copy costs what the change holds, whatever the set's size.
 * F2  At most one file a path. A checkpoint that names one path with two deletion vectors is
 *     damage: which rows live cannot be known.
 */
import { SlipwayError } from '../base/errors.ts'
import type { AddFile } from './actions.ts'
import { pathIdentity } from './data-path.ts'
import { deletionVectorId } from './deletion-vector.ts'
import type { FileBlock } from './file-block.ts'
import { PersistentMap, type MapEditor } from './persistent-map.ts'

/** A block of the checkpoint, of which some files have gone. */
export interface LiveBlock {
  readonly block: FileBlock
  /** `at`: from 0 to block.count - 1. */
  readonly isLive: (at: number) => boolean
}

/** A file that came after the checkpoint, and what whoever writes the next one needs of it. */
export class AddedFile {
  static #count = 0
  /** Grows with each file: those of like numbers lie near one another in memory. */
  readonly serial = AddedFile.#count++
  readonly file: AddFile
  /** A CheckpointWriter's, about where it put the file; no part of the state. */
  note: object | null = null

  constructor(file: AddFile) { this.file = file }
}

/** What replay asks of a live file. */
export type FileIdentity = Pick<AddFile, 'size' | 'deletionVector'>

interface Parts {
  readonly base: BaseFiles
  /** Identity of a path to its ordinal in the base. */
  readonly gone: PersistentMap<number>
  readonly added: PersistentMap<AddedFile>
}

export class FileSet {
  readonly size: number
  readonly #parts: Parts

  private constructor(parts: Parts) {
    this.#parts = parts
    this.size = parts.base.liveCount - parts.gone.size + parts.added.size
  }

  static empty(): FileSet {
    return new FileSet({ base: new BaseFiles(), gone: PersistentMap.empty<number>(),
      added: PersistentMap.empty<AddedFile>() })
  }

  /** `key`: pathIdentity of the path. */
  get(key: string): AddFile | undefined {
    const { base, gone, added } = this.#parts
    const newer = added.get(key)
    if (newer !== undefined) return newer.file
    const ordinal = base.find(key)
    return ordinal === null || gone.has(key) ? undefined : base.add(ordinal)
  }

  /** As `get`, without decoding the file's statistics. */
  identity(key: string): FileIdentity | undefined {
    return identityIn(this.#parts, key)
  }

  *values(): Generator<AddFile> {
    for (const { block, isLive } of this.blocks()) {
      for (let at = 0; at < block.count; at++) if (isLive(at)) yield block.add(at)
    }
    for (const { file } of this.added()) yield file
  }

  /** What is left of the checkpoint; with `added` it makes the whole. */
  *blocks(): Generator<LiveBlock> {
    const { base, gone } = this.#parts
    const dead = new Set(base.repeated)
    for (const ordinal of gone.values()) dead.add(ordinal)
    let first = 0
    for (const block of base.blocks) {
      const start = first
      yield { block, isLive: dead.size === 0 ? () => true : (at) => !dead.has(start + at) }
      first += block.count
    }
  }

  /** Files that came after the checkpoint. */
  added(): Generator<AddedFile> {
    return this.#parts.added.values()
  }

  edit(): FileSetEditor {
    return new FileSetEditor(this.#parts, (parts) => new FileSet(parts))
  }
}

export class FileSetEditor {
  readonly #base: BaseFiles
  readonly #gone: MapEditor<number>
  readonly #added: MapEditor<AddedFile>
  readonly #finish: (parts: Parts) => FileSet

  constructor(parts: Parts, finish: (parts: Parts) => FileSet) {
    this.#base = parts.base
    this.#gone = parts.gone.edit()
    this.#added = parts.added.edit()
    this.#finish = finish
  }

  /** Takes a checkpoint's files in; only while a set is first built. Returns their bytes. */
  load(block: FileBlock): number {
    return this.#base.load(block)
  }

  identity(key: string): FileIdentity | undefined {
    return identityIn({ base: this.#base, gone: this.#gone, added: this.#added }, key)
  }

  set(key: string, file: AddFile): void {
    this.#hide(key)
    this.#added.set(key, new AddedFile(file))
  }

  delete(key: string): void {
    this.#hide(key)
    this.#added.delete(key)
  }

  /** The set so far; the editor must not be used again. */
  done(): FileSet {
    return this.#finish({ base: this.#base, gone: this.#gone.done(), added: this.#added.done() })
  }

  #hide(key: string): void {
    const ordinal = this.#base.find(key)
    if (ordinal !== null) this.#gone.set(key, ordinal)
  }
}

interface Lookup<T> { get(key: string): T | undefined }

function identityIn(parts: { readonly base: BaseFiles; readonly gone: Lookup<number>
  readonly added: Lookup<AddedFile> }, key: string): FileIdentity | undefined {
  const newer = parts.added.get(key)
  if (newer !== undefined) return newer.file
  const ordinal = parts.base.find(key)
  return ordinal === null || parts.gone.get(key) !== undefined ? undefined
    : parts.base.identity(ordinal)
}

/** Grows while a checkpoint is read, and never changes after. */
class BaseFiles {
  readonly blocks: FileBlock[] = []
  /** Ordinals of files that the checkpoint names again. */
  readonly repeated: number[] = []
  /** Ordinal of each block's first file. */
  readonly #firsts: number[] = []
  readonly #ordinals = new Map<string, number>()
  #count = 0

  get liveCount(): number { return this.#ordinals.size }

  load(block: FileBlock): number {
    this.blocks.push(block)
    this.#firsts.push(this.#count)
    let bytes = 0
    for (let at = 0; at < block.count; at++) {
      const key = pathIdentity(block.path(at))
      const earlier = this.#ordinals.get(key)
      if (earlier === undefined) bytes += block.size(at)
      else this.#repeat(earlier, block, at)
      this.#ordinals.set(key, this.#count++)
    }
    return bytes
  }

  find(key: string): number | null {
    return this.#ordinals.get(key) ?? null
  }

  add(ordinal: number): AddFile {
    const { block, at } = this.#placeOf(ordinal)
    return block.add(at)
  }

  identity(ordinal: number): FileIdentity {
    const { block, at } = this.#placeOf(ordinal)
    const deletionVector = block.deletionVector(at)
    return { size: block.size(at), ...deletionVector === undefined ? {} : { deletionVector } }
  }

  #placeOf(ordinal: number): { readonly block: FileBlock; readonly at: number } {
    let low = 0
    for (let high = this.#firsts.length - 1; low < high;) {
      const middle = (low + high + 1) >> 1
      if ((this.#firsts[middle] ?? 0) <= ordinal) low = middle
      else high = middle - 1
    }
    const block = this.blocks[low]
    if (block === undefined) throw new Error('invariant broken: an ordinal has its block')
    return { block, at: ordinal - (this.#firsts[low] ?? 0) }
  }

  /** F2. */
  #repeat(earlier: number, block: FileBlock, at: number): void {
    const other = this.identity(earlier)
    if (deletionVectorId(other.deletionVector) !== deletionVectorId(block.deletionVector(at))
      || other.size !== block.size(at)) {
      throw new SlipwayError('delta-corrupt', 'the checkpoint names one file twice')
    }
    this.repeated.push(earlier)
  }
}
