/**
 * Flusher: makes what is applied durable in the lake, and tells the slot.
 *
 * F1  One round writes all changed tables as of one LSN, between two batches; each gets one
 *     Delta commit that carries the LSN.
 * F2  Order: Parquet, Delta commit, key index, publication to readers, consistent point,
 *     confirmation. A crash between any two loses nothing and doubles nothing.
 * F3  The LSN is confirmed only when every table's part succeeded. A part that failed belongs
 *     to the next round; queries go on over the live table meanwhile.
 * F4  A failure between a table's commit and the end of its publication leaves the lake ahead
 *     of memory: `broken` is set, and the mirror must begin again from the lake.
 */
import { relative } from 'node:path'
import { failpoint } from '../base/failpoint.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Lsn } from '../base/lsn.ts'
import type { Mutex } from '../base/mutex.ts'
import { rowPosition } from '../mirror/epoch.ts'
import type { CheckpointWriter } from '../delta/checkpoint-writer.ts'
import type { Batch } from './batch.ts'
import { rankOf } from './change-layer.ts'
import { writeConsistentPoint } from './consistent-point.ts'
import { FlushPart } from './flush-part.ts'
import type { LakeFolders } from './lake-folders.ts'
import type { LivePinPort } from './live-store-port.ts'
import type { MirroredTable } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'
import type { Progress } from './progress.ts'
import type { TableKeeper } from './table-keeper.ts'

export interface FlusherOptions {
  readonly tables: MirrorTables
  readonly batch: Batch
  readonly keeper: TableKeeper
  readonly folders: LakeFolders
  readonly progress: Progress
  readonly checkpoints: CheckpointWriter
  /** Held while the lake's folders are written. */
  readonly writing: Mutex
  readonly clock: Clock
  readonly logger: Logger
  readonly confirm: (lsn: Lsn) => void
  /** `lsn`, or less while somebody's flush waits for a table's copy. Between two batches. */
  readonly confirmable: (lsn: Lsn) => Lsn
  /** Called before an LSN is confirmed: who waits for it sees slipway.tables up to date. */
  readonly beforeConfirm: () => Promise<void>
}

/** What a round writes, as of one LSN. */
interface Frozen {
  readonly lsn: Lsn
  /** What may be confirmed when all of it is written. */
  readonly confirm: Lsn
  readonly pin: LivePinPort | null
  readonly parts: readonly FlushPart[]
}

export class Flusher {
  readonly #options: FlusherOptions
  #confirmed: Lsn
  #broken = false

  constructor(options: FlusherOptions, confirmed: Lsn) {
    this.#options = options
    this.#confirmed = confirmed
  }

  /** Everything that ends at or below it is durable in the lake. */
  get confirmed(): Lsn { return this.#confirmed }

  /** F4. */
  get broken(): boolean { return this.#broken }

  /** One round. Throws what the first failed part threw, after all others are done (F3). */
  async flush(): Promise<Lsn> {
    return await this.#options.writing.run(() => this.#round())
  }

  async #round(): Promise<Lsn> {
    const { batch } = this.#options
    const frozen = await batch.run(() => this.#freeze())
    try {
      await this.#suspendInLake()
      for (const part of frozen.parts) await this.#write(part, frozen.pin, frozen.lsn)
    } finally {
      await frozen.pin?.[Symbol.asyncDispose]()
      if (frozen.parts.length > 0) await this.#publishAll(frozen.parts, frozen.lsn)
    }
    failpoint('flush.after-publish')
    const failed = frozen.parts.find((part) => part.failure !== null)
    if (failed !== undefined) throw failed.failure
    await this.#confirm(frozen.confirm)
    await this.#maintain(frozen.parts)
    return frozen.lsn
  }

  /** F1. Between two batches. */
  async #freeze(): Promise<Frozen> {
    const { tables, batch, progress } = this.#options
    const lsn = progress.applied
    // A table that was loaded is ahead of the stream, or level with it, until it is ready:
    // what is applied to it meanwhile is not durable, and nothing may be confirmed.
    if ([...tables.all()].some(isLoading)) {
      return { lsn, confirm: this.#confirmed, pin: null, parts: [] }
    }
    const changed = [...tables.all()].filter(needsFlush)
    const confirm = this.#options.confirmable(lsn)
    if (changed.length === 0) return { lsn, confirm, pin: null, parts: [] }
    const pin = await batch.store.pin()
    return { lsn, confirm, pin, parts: changed.map((table) => new FlushPart(table)) }
  }

  async #write(part: FlushPart, pin: LivePinPort | null, lsn: Lsn): Promise<void> {
    if (pin === null || this.#options.tables.get(part.table.relid) !== part.table) return
    try {
      await part.write(pin, lsn)
    } catch (error) {
      part.failure = error
      this.#options.logger.error({ relid: part.table.relid, err: error },
        'a table could not be flushed')
    }
  }

  async #suspendInLake(): Promise<void> {
    const { keeper } = this.#options
    for (const [folder, { lake, suspension }] of [...keeper.suspensions]) {
      await lake.suspend(suspension)
      if (keeper.suspensions.get(folder)?.suspension === suspension) {
        keeper.suspensions.delete(folder)
      }
    }
  }

  /** F4. */
  async #publishAll(parts: readonly FlushPart[], lsn: Lsn): Promise<void> {
    this.#broken = parts.some((part) => part.written)
    if (parts.some((part) => part.written && part.failure !== null)) return
    await this.#options.batch.run(() => this.#publish(parts, lsn))
    this.#broken = false
  }

  /** Readers see the files in the place of the rows that went into them. */
  async #publish(parts: readonly FlushPart[], lsn: Lsn): Promise<void> {
    const { batch, tables, progress } = this.#options
    for (const part of parts) {
      const { table } = part
      if (part.failure !== null || !part.written) {
        table.thaw()
        continue
      }
      table.melt(lsn)
      if (tables.get(table.relid) === table && !table.abandoned) await this.#swap(part)
    }
    await batch.commit(progress.applied)
  }

  async #swap(part: FlushPart): Promise<void> {
    const { batch, tables } = this.#options
    const { table } = part
    const { body } = table
    if (body === null) return
    const store = await batch.opened()
    if (!table.layer.truncated) {
      for (const file of part.files) table.files.set(file.fileNo, file)
      // Rows that died on their way into a file are dead there.
      const dead = table.layer.deadFrozen.map((seq) => positionOf(part, seq))
      for (const position of dead) table.markDead(position.fileNo)
      if (dead.length > 0) {
        await store.addDead(body.deadName, dead.map(({ fileNo, row }) => rowPosition(fileNo, row)))
      }
      table.deadRows += dead.length
    }
    table.layer.deadFrozen.length = 0
    table.epochChanged = true
    if (part.seqs.length === 0) return
    const liveName = tables.liveName(table.relid)
    await store.moveTail({ from: body.liveName, fromColumns: table.columns, to: liveName,
      columns: table.columns, afterSeq: part.lastSeq })
    batch.discard({ live: body.liveName, dead: null })
    table.replaceBody({ liveName })
    table.tailRows = tailRowsOf(table)
  }

  async #confirm(lsn: Lsn): Promise<void> {
    const { folders, tables, confirm, beforeConfirm } = this.#options
    if (lsn > this.#confirmed) {
      const versions = new Map<string, number>()
      for (const table of tables.all()) {
        const lake = table.body?.lake
        const version = lake?.version ?? null
        if (lake === undefined || version === null) continue
        versions.set(relative(folders.root, lake.folder), version)
      }
      await writeConsistentPoint(folders.root, { lsn, versions })
      failpoint('flush.before-confirm')
      this.#confirmed = lsn
    }
    await beforeConfirm()
    confirm(lsn)
  }

  async #maintain(parts: readonly FlushPart[]): Promise<void> {
    const { checkpoints, clock, logger } = this.#options
    for (const { table } of parts) {
      try {
        await table.body?.lake.maintain(checkpoints, clock.now())
      } catch (error) {
        // The log is right without it; the next multiple tries again.
        logger.warn({ relid: table.relid, err: error }, 'a checkpoint could not be written')
      }
    }
  }
}

function isLoading(table: MirroredTable): boolean {
  return table.state.kind === 'catching-up' && table.spool === null
}

/** Ready, and with something that its Delta table does not say yet. */
function needsFlush(table: MirroredTable): boolean {
  if (table.state.kind !== 'ready' || table.body === null || table.abandoned) return false
  return !table.layer.isEmpty || table.uncommitted.length > 0
    || table.body.lake.record?.incarnation !== table.body.record.incarnation
}

function positionOf(part: FlushPart, seq: number): { readonly fileNo: number
  readonly row: number } {
  const rank = rankOf(part.seqs, seq)
  for (const { fileNo, firstRank, rows } of part.newFiles) {
    if (rank >= firstRank && rank < firstRank + rows) return { fileNo, row: rank - firstRank }
  }
  throw new Error('invariant broken: a frozen row is in one of its flush\'s files')
}

/** Every row of the tail has an entry in the layer (MT2). */
function tailRowsOf(table: MirroredTable): number {
  let rows = 0
  for (const at of table.layer.keys.values()) if (at >= 0) rows++
  return rows
}
