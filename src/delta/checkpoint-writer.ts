/**
 * CheckpointWriter: a snapshot's actions as one Parquet file, and the next one for the price of
 * what has changed.
 *
 * CW1  Row groups whose files all live are copied, byte for byte, from the checkpoint that this
 *      writer wrote before; the rest is encoded. Either way the file holds the same actions.
 * CW2  Row groups of like size are joined when there are several, so that their number grows
 *      with the logarithm of the table, and a file is encoded a few times in all.
 * CW3  The event loop is never held for more than a batch of actions; one row group is
 *      compressed, in Node's thread pool, while the next is filled.
 * CW4  What it remembers only saves work: lost, or of a file that is gone, all is encoded.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import type { Storage } from '../storage/storage.ts'
import type { ActionKind } from './checkpoint-schema.ts'
import type { FileBlock } from './file-block.ts'
import type { AddedFile } from './file-set.ts'
import { PARQUET_MAGIC, RowGroupWriter, checkpointFooter, type RowGroup }
  from './row-group-writer.ts'
import type { Snapshot } from './snapshot.ts'

/** A row group of a checkpoint, noted by the files in it. */
class Segment {
  /** null until it is written. */
  place: { readonly group: RowGroup; readonly offset: number } | null = null

  get written(): { readonly group: RowGroup; readonly offset: number } {
    if (this.place === null) throw new Error('invariant broken: a row group is not written yet')
    return this.place
  }

  get rows(): number { return this.written.group.rows }
}

interface Memory {
  /** The checkpoint that the segments lie in. */
  readonly path: string
  readonly segments: ReadonlySet<Segment>
  readonly ofBlock: WeakMap<FileBlock, readonly Segment[]>
}

const SEGMENT_ROWS_MAX = 8_192
/** CW2: sizes that differ by less than this factor are alike, and so many are joined. */
const FAN = 4
const BATCH_ACTIONS = 250
/** Files so near in memory that the processor's cache holds them together. */
const NEAR_FILES = 2_048

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
  readonly #segments: Segment[] = []
  readonly #ofBlock = new WeakMap<FileBlock, readonly Segment[]>()
  #offset = 0
  #group = new RowGroupWriter()
  #spare = new RowGroupWriter()
  #groupFiles: AddedFile[] = []
  /** The row group before, until it is written. */
  #finishing: Promise<void> = Promise.resolve()
  #sinceBreath = 0

  constructor(file: FileHandle, storage: Storage, old: Memory | null) {
    this.#file = file
    this.#storage = storage
    this.#old = old
  }

  async run(snapshot: Snapshot, path: string)
    : Promise<{ readonly actions: number; readonly memory: Memory }> {
    try {
      await this.#append([PARQUET_MAGIC])
      this.#meta(snapshot)
      await this.#endGroup()
      await this.#blocks(snapshot)
      await this.#files(snapshot)
      for (const tombstone of snapshot.tombstones()) {
        if (this.#add('remove', tombstone)) await this.#pause()
      }
      await this.#endGroup()
    } finally {
      // Also after a failure: nothing may write to a file that is closed.
      await this.#finishing
    }
    await this.#append([checkpointFooter(this.#segments.map(({ written }) => written))])
    const actions = this.#segments.reduce((sum, { rows }) => sum + rows, 0)
    return { actions,
      memory: { path, segments: new Set(this.#segments), ofBlock: this.#ofBlock } }
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
      if (known !== undefined && known.reduce((sum, { rows }) => sum + rows, 0) === live) {
        const copied = []
        for (const segment of known) copied.push(await this.#copy(segment))
        this.#ofBlock.set(block, copied)
        continue
      }
      const first = this.#segments.length
      for (let at = 0; at < block.count; at++) {
        if (isLive(at) && this.#add('add', block.add(at))) await this.#pause()
      }
      await this.#endGroup()
      this.#ofBlock.set(block, this.#segments.slice(first))
    }
  }

  /** Files of commits since then. */
  async #files(snapshot: Snapshot): Promise<void> {
    const { batches, live, fresh } = await this.#inBatches(snapshot)
    const moved = new Map<object, Segment>()
    for (const segment of keptSegments(live, fresh)) moved.set(segment, await this.#copy(segment))
    const inOrder = new Array<AddedFile | undefined>(NEAR_FILES)
    for (const batch of batches) {
      inOrder.fill(undefined)
      for (const added of batch) inOrder[added.serial % NEAR_FILES] = added
      for (const added of inOrder) {
        if (added === undefined) continue
        const copy = added.note === null ? undefined : moved.get(added.note)
        if (copy !== undefined) {
          added.note = copy
          if (this.#isBatchFull()) await this.#pause()
          continue
        }
        this.#groupFiles.push(added)
        if (this.#add('add', added.file)) await this.#pause()
      }
    }
    await this.#endGroup()
  }

  /**
   * In the order in which the files came, batch by batch: the set's own order is that of hashes,
   * by which each file is a walk through memory that takes as long as encoding it.
   * `live`: files of the old checkpoint's segments; `fresh`: of none.
   */
  async #inBatches(snapshot: Snapshot): Promise<{ readonly batches: readonly AddedFile[][]
    readonly live: ReadonlyMap<Segment, number>; readonly fresh: number }> {
    const batches = new Map<number, AddedFile[]>()
    const live = new Map<Segment, number>()
    let fresh = 0
    for (const added of snapshot.filesSinceCheckpoint()) {
      const { note } = added
      if (note instanceof Segment && this.#old?.segments.has(note) === true) {
        live.set(note, (live.get(note) ?? 0) + 1)
      } else {
        fresh++
      }
      const number = Math.floor(added.serial / NEAR_FILES)
      const batch = batches.get(number)
      if (batch === undefined) batches.set(number, [added])
      else batch.push(added)
      if (this.#isBatchFull()) await this.#pause()
    }
    const sorted = [...batches].sort(([a], [b]) => a - b)
    return { batches: sorted.map(([, batch]) => batch), live, fresh }
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

  /** CW3. Waits for the row group before, not for this one. */
  async #endGroup(): Promise<void> {
    if (this.#group.count === 0) return
    await this.#finishing
    const segment = new Segment()
    this.#segments.push(segment)
    for (const added of this.#groupFiles) added.note = segment
    this.#groupFiles = []
    const full = this.#group
    this.#group = this.#spare
    this.#spare = full
    this.#finishing = this.#finish(full, segment)
    // Whoever waits for it next is told; until then it is nobody's.
    this.#finishing.catch(() => {})
  }

  async #finish(full: RowGroupWriter, segment: Segment): Promise<void> {
    const { group, parts } = await full.encode()
    segment.place = { group, offset: this.#offset }
    await this.#append(parts)
    full.clear()
  }

  /** CW1. Clean-up may take the old file meanwhile: then the checkpoint fails, to be made anew. */
  async #copy(segment: Segment): Promise<Segment> {
    await this.#finishing
    const { group, offset } = segment.written
    const bytes = await this.#storage.getRange(this.#old?.path ?? '',
      { start: offset, end: offset + group.bytes })
    if (bytes?.length !== group.bytes) {
      throw new Error('the checkpoint before was deleted while it was copied')
    }
    const copied = new Segment()
    copied.place = { group, offset: this.#offset }
    await this.#append([bytes])
    this.#segments.push(copied)
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
  const whole = [...live].filter(([segment, rows]) => rows === segment.rows)
    .map(([segment]) => segment)
  const sizes = new Map<number, Segment[]>()
  for (const segment of whole) {
    const size = sizeClass(segment.rows)
    sizes.set(size, [...sizes.get(size) ?? [], segment])
  }
  let joined = fresh
  const dropped = new Set<Segment>()
  for (const [size, alike] of [...sizes].sort(([a], [b]) => a - b)) {
    // What is joined may be enough to be one more of this size.
    const more = sizeClass(joined) >= size ? 1 : 0
    if (alike.length + more < FAN || size >= sizeClass(SEGMENT_ROWS_MAX)) continue
    for (const segment of alike) dropped.add(segment)
    joined += alike.reduce((sum, segment) => sum + segment.rows, 0)
  }
  return whole.filter((segment) => !dropped.has(segment))
}

function sizeClass(rows: number): number {
  return Math.floor(Math.log(Math.max(1, rows)) / Math.log(FAN))
}
