/**
 * CheckpointWriter: a snapshot's actions as one Parquet file, and the next one for the price of
 * what has changed.
 *
 * CW1  Row groups whose files all live are copied, byte for byte, from the checkpoint that this
 *      writer wrote before; the rest is encoded. Either way the file holds the same actions.
 * CW2  Row groups of like size are joined when there are several, so that their number grows
 *      with the logarithm of the table, and a file is encoded a few times in all.
 * CW3  The event loop is never held for more than a batch of actions; compressing is done in
 *      Node's thread pool.
 * CW4  What it remembers only saves work: lost, or of a file that is gone, all is encoded.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import type { Storage } from '../storage/storage.ts'
import type { AddFile } from './actions.ts'
import type { ActionKind } from './checkpoint-schema.ts'
import type { FileBlock } from './file-block.ts'
import { PARQUET_MAGIC, RowGroupWriter, checkpointFooter, type RowGroup }
  from './row-group-writer.ts'
import type { Snapshot } from './snapshot.ts'

/** A row group of the last checkpoint, and which actions it holds. */
interface Segment {
  readonly group: RowGroup
  readonly offset: number
}

interface Memory {
  /** The checkpoint that the segments lie in. */
  readonly path: string
  readonly segments: ReadonlySet<Segment>
  readonly ofFile: WeakMap<AddFile, Segment>
  readonly ofBlock: WeakMap<FileBlock, readonly Segment[]>
}

const SEGMENT_ROWS_MAX = 16_384
/** CW2: sizes that differ by less than this factor are alike, and so many are joined. */
const FAN = 4
const BATCH_ACTIONS = 250

export class CheckpointWriter {
  readonly #memories = new WeakMap<Storage, Memory>()

  /**
   * Writes a new local file; `path`: where in the storage it will lie. What is remembered of
   * it counts from `keep` on. Returns the number of actions.
   */
  async write(options: { readonly storage: Storage; readonly snapshot: Snapshot
    readonly file: string; readonly path: string })
    : Promise<{ readonly actions: number; readonly keep: () => void }> {
    const { storage } = options
    const handle = await open(options.file, 'wx')
    try {
      const memory = await this.#usable(storage)
      const job = new Job(handle, storage, memory)
      const made = await job.run(options.snapshot, options.path)
      return { actions: made.actions, keep: () => { this.#memories.set(storage, made.memory) } }
    } catch (error) {
      this.#memories.delete(storage)
      throw error
    } finally {
      await handle.close()
    }
  }

  /** CW4. */
  async #usable(storage: Storage): Promise<Memory | null> {
    const memory = this.#memories.get(storage)
    if (memory === undefined || await storage.stat(memory.path) === null) return null
    return memory
  }
}

class Job {
  readonly #file: FileHandle
  readonly #storage: Storage
  readonly #old: Memory | null
  readonly #written: Segment[] = []
  readonly #ofFile = new WeakMap<AddFile, Segment>()
  readonly #ofBlock = new WeakMap<FileBlock, readonly Segment[]>()
  #offset = 0
  #group = new RowGroupWriter()
  #groupFiles: AddFile[] = []
  #sinceBreath = 0

  constructor(file: FileHandle, storage: Storage, old: Memory | null) {
    this.#file = file
    this.#storage = storage
    this.#old = old
  }

  async run(snapshot: Snapshot, path: string)
    : Promise<{ readonly actions: number; readonly memory: Memory }> {
    await this.#append([PARQUET_MAGIC])
    this.#meta(snapshot)
    await this.#endGroup()
    await this.#blocks(snapshot)
    await this.#files(snapshot)
    for (const tombstone of snapshot.tombstones()) {
      if (this.#add('remove', tombstone)) await this.#pause()
    }
    await this.#endGroup()
    await this.#append([checkpointFooter(this.#written)])
    const actions = this.#written.reduce((sum, { group }) => sum + group.rows, 0)
    return { actions, memory: { path, segments: new Set(this.#written), ofFile: this.#ofFile,
      ofBlock: this.#ofBlock } }
  }

  #meta(snapshot: Snapshot): void {
    this.#add('protocol', snapshot.protocol)
    this.#add('metaData', snapshot.metadata)
    for (const txn of snapshot.txns()) this.#add('txn', txn)
    for (const domain of snapshot.domains()) this.#add('domainMetadata', domain)
  }

  /** Files that came with the checkpoint that the snapshot was loaded from. */
  async #blocks(snapshot: Snapshot): Promise<void> {
    for (const { block, isLive } of snapshot.fileBlocks()) {
      let live = 0
      for (let at = 0; at < block.count; at++) if (isLive(at)) live++
      const known = this.#old?.ofBlock.get(block)
      if (known !== undefined && known.reduce((sum, { group }) => sum + group.rows, 0) === live) {
        const copied = []
        for (const segment of known) copied.push(await this.#copy(segment))
        this.#ofBlock.set(block, copied)
        continue
      }
      const first = this.#written.length
      for (let at = 0; at < block.count; at++) {
        if (isLive(at) && this.#add('add', block.add(at))) await this.#pause()
      }
      await this.#endGroup()
      this.#ofBlock.set(block, this.#written.slice(first))
    }
  }

  /** Files of commits since then. */
  async #files(snapshot: Snapshot): Promise<void> {
    const moved = new Map<Segment, Segment>()
    if (this.#old !== null) {
      for (const segment of await this.#kept(this.#old, snapshot)) {
        moved.set(segment, await this.#copy(segment))
      }
    }
    for (const file of snapshot.filesSinceCheckpoint()) {
      const segment = this.#old?.ofFile.get(file)
      const copy = segment === undefined ? undefined : moved.get(segment)
      if (copy !== undefined) {
        this.#ofFile.set(file, copy)
        if (this.#isBatchFull()) await this.#pause()
        continue
      }
      this.#groupFiles.push(file)
      if (this.#add('add', file)) await this.#pause()
    }
    await this.#endGroup()
  }

  async #kept(old: Memory, snapshot: Snapshot): Promise<readonly Segment[]> {
    const live = new Map<Segment, number>()
    let fresh = 0
    for (const file of snapshot.filesSinceCheckpoint()) {
      const segment = old.ofFile.get(file)
      if (segment === undefined) fresh++
      else live.set(segment, (live.get(segment) ?? 0) + 1)
      if (this.#isBatchFull()) await this.#pause()
    }
    return keptSegments(live, fresh)
  }

  /** CW3. Whether the caller has to pause: a promise a row would cost more than the row. */
  #add(kind: ActionKind, action: object): boolean {
    this.#group.add(kind, action)
    return this.#isBatchFull() || this.#group.count >= SEGMENT_ROWS_MAX
  }

  #isBatchFull(): boolean {
    return ++this.#sinceBreath >= BATCH_ACTIONS
  }

  async #pause(): Promise<void> {
    if (this.#group.count >= SEGMENT_ROWS_MAX) await this.#endGroup()
    this.#sinceBreath = 0
    await setImmediate()
  }

  async #endGroup(): Promise<void> {
    if (this.#group.count > 0) {
      const { group, parts } = await this.#group.encode()
      const segment = { group, offset: this.#offset }
      await this.#append(parts)
      this.#written.push(segment)
      for (const file of this.#groupFiles) this.#ofFile.set(file, segment)
    }
    this.#group = new RowGroupWriter()
    this.#groupFiles = []
  }

  /** CW1. Clean-up may take the old file meanwhile: then the checkpoint fails, to be made anew. */
  async #copy(segment: Segment): Promise<Segment> {
    const { group, offset } = segment
    const bytes = await this.#storage.getRange(this.#old?.path ?? '',
      { start: offset, end: offset + group.bytes })
    if (bytes?.length !== group.bytes) {
      throw new Error('the checkpoint before was deleted while it was copied')
    }
    const copied = { group, offset: this.#offset }
    await this.#append([bytes])
    this.#written.push(copied)
    return copied
  }

  async #append(parts: readonly Buffer[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0)
    const { bytesWritten } = await this.#file.writev(parts)
    if (bytesWritten !== bytes) throw new Error('the checkpoint was written in part only')
    this.#offset += bytes
  }
}

/** CW2. Whole ones; but of small ones, none of a size of which there are many. */
function keptSegments(live: ReadonlyMap<Segment, number>, fresh: number): readonly Segment[] {
  const whole = [...live].filter(([segment, rows]) => rows === segment.group.rows)
    .map(([segment]) => segment)
  const sizes = new Map<number, Segment[]>()
  for (const segment of whole) {
    const size = sizeClass(segment.group.rows)
    sizes.set(size, [...sizes.get(size) ?? [], segment])
  }
  let joined = fresh
  const dropped = new Set<Segment>()
  for (const [size, alike] of [...sizes].sort(([a], [b]) => a - b)) {
    // What is joined may be enough to be one more of this size.
    const more = sizeClass(joined) >= size ? 1 : 0
    if (alike.length + more < FAN || size >= sizeClass(SEGMENT_ROWS_MAX)) continue
    for (const segment of alike) dropped.add(segment)
    joined += alike.reduce((sum, segment) => sum + segment.group.rows, 0)
  }
  return whole.filter((segment) => !dropped.has(segment))
}

function sizeClass(rows: number): number {
  return Math.floor(Math.log(Math.max(1, rows)) / Math.log(FAN))
}
