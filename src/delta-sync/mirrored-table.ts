/**
 * MirroredTable: one table of PostgreSQL as the mirror holds it, between the lake and now.
 *
 * MT1  Where a row is: the current layer knows, else the frozen one, else the key index.
 * MT2  Every row of the live table has an entry in one of the two layers.
 * MT3  Changes wait in the buffer until the batch is sent; look-ups already see them.
 * MT4  After files were rewritten as one, positions that the key index has of them are located
 *      through the Relocation, until the index has the new ones.
 */
import { assert } from '../base/assert.ts'
import { SlipwayError } from '../base/errors.ts'
import { LSN_ZERO, type Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import { fileOfPosition, ROWS_PER_FILE, type EpochTable, type LakeFile } from '../mirror/epoch.ts'
import type { RelationColumn, Tuple } from '../mirror/replication.ts'
import { nextTableState, type TableEvent, type TableState } from '../mirror/table-lifecycle.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import { ChangeLayer, DEAD, mergeLayers } from './change-layer.ts'
import type { ChangeSpool } from './change-spool.ts'
import type { TableIndex } from './key-index.ts'
import type { LakeRecord } from './lake-schema.ts'
import type { LakeTable } from './lake-table.ts'
import type { LiveColumn, LiveStorePort, WrittenParquet } from './live-store-port.ts'
import type { Relocation } from './relocation.ts'
import { RowBuffer, UnfetchedCell } from './row-buffer.ts'
import type { RowKey } from './row-key.ts'
import { TupleDecoder } from './tuple-decoder.ts'

/** The mirror has no row where PostgreSQL changes one: the table must be copied anew. */
export class MirrorGap extends Error {
  override readonly name = 'MirrorGap'
}

/** A data file that no Delta commit names yet: of the initial copy. */
export interface UncommittedFile {
  readonly fileNo: number
  readonly name: string
  readonly written: WrittenParquet
}

/** What a table has once its rows are somewhere: after its copy, or loaded from the lake. */
export interface TableBody {
  readonly record: LakeRecord
  readonly lake: LakeTable
  readonly index: TableIndex
  readonly files: readonly LakeFile[]
  readonly uncommitted: readonly UncommittedFile[]
  readonly liveName: string
  readonly deadName: string
}

export class MirroredTable {
  readonly relid: Oid
  #state: TableState = { kind: 'init' }
  #schema: TableSchema
  #body: TableBody | null = null
  readonly files = new Map<number, LakeFile>()
  #uncommitted: readonly UncommittedFile[] = []
  /** Set while the table is being copied: changes go there. */
  spool: ChangeSpool | null = null
  /** How many transactions the stream had delivered when the spool began. */
  spoolSince = 0
  /** Transactions that end at or below it are in the lake already. */
  lakeLsn: Lsn = LSN_ZERO
  readonly buffer = new RowBuffer()
  #layer = new ChangeLayer()
  #frozen: ChangeLayer | null = null
  #relation: readonly RelationColumn[] | null = null
  #decoder: TupleDecoder | null = null
  tailRows = 0
  deadRows = 0
  /** Its native tables are gone, or go with the next commit. */
  abandoned = false
  /** What the epoch shows of the table has changed. */
  epochChanged = false
  /** MT4. */
  #relocation: Relocation | null = null

  constructor(schema: TableSchema) {
    this.relid = schema.relid
    this.#schema = schema
  }

  get state(): TableState { return this.#state }
  get schema(): TableSchema { return this.#schema }
  get body(): TableBody | null { return this.#body }
  get layer(): ChangeLayer { return this.#layer }
  get frozen(): ChangeLayer | null { return this.#frozen }
  get uncommitted(): readonly UncommittedFile[] { return this.#uncommitted }
  get relocation(): Relocation | null { return this.#relocation }
  get columns(): readonly LiveColumn[] { return this.#schema.columns }

  move(event: TableEvent): void {
    const next = nextTableState(this.#state, event)
    assert(next !== null, `a table that is ${this.#state.kind} takes ${event.kind}`)
    this.#state = next
    this.epochChanged = true
  }

  /** The table's rows are here now. */
  settle(body: TableBody): void {
    this.#body = body
    this.#schema = body.record.table
    this.#decoder = null
    this.files.clear()
    for (const file of body.files) {
      assert(file.rows <= ROWS_PER_FILE, 'a file has at most ROWS_PER_FILE rows')
      this.files.set(file.fileNo, file)
    }
    this.#uncommitted = body.uncommitted
    this.#relocation = null
    this.epochChanged = true
  }

  /** Another generation of the native tables, another shape, or both. */
  replaceBody(change: Partial<Pick<TableBody, 'record' | 'liveName' | 'deadName'>>): void {
    this.#body = { ...this.#settled(), ...change }
    if (change.record !== undefined) this.#schema = change.record.table
    this.epochChanged = true
  }

  setRelation(columns: readonly RelationColumn[] | null): void {
    this.#relation = columns
    this.#decoder = null
  }

  get relation(): readonly RelationColumn[] | null { return this.#relation }

  insert(tuple: Tuple): void {
    const decoder = this.#tuples()
    const { row, unfetched, bytes } = decoder.row(tuple, null, null)
    this.#layer.bytes += bytes
    this.#layer.keys.set(decoder.key(row), this.buffer.insert(row, unfetched))
  }

  update(oldTuple: Tuple | null, newTuple: Tuple): void {
    const decoder = this.#tuples()
    const oldKey = decoder.keyOf(oldTuple ?? newTuple)
    const place = this.#find(oldKey)
    if (place === null) throw new MirrorGap('an updated row is not in the mirror')
    const { row, unfetched, bytes } = decoder.row(newTuple, place, oldTuple)
    this.#layer.bytes += bytes
    if (unfetched && place >= 0) this.#takeFromBuffer(row, place)
    this.#end(place)
    this.#layer.keys.set(oldKey, DEAD)
    this.#layer.keys.set(decoder.key(row), this.buffer.insert(row, unfetched))
  }

  delete(oldTuple: Tuple): void {
    const key = this.#tuples().keyOf(oldTuple)
    const place = this.#find(key)
    if (place === null) throw new MirrorGap('a deleted row is not in the mirror')
    this.#end(place)
    this.#layer.keys.set(key, DEAD)
  }

  /** All rows end; the caller makes the native tables anew. */
  truncate(): void {
    this.buffer.clear()
    this.#layer.truncate()
    this.files.clear()
    this.#relocation = null
    this.tailRows = 0
    this.deadRows = 0
    this.epochChanged = true
  }

  noteCommit(commitTimeUs: bigint): void {
    if (commitTimeUs > this.#layer.newestCommitUs) this.#layer.newestCommitUs = commitTimeUs
  }

  /** Sends the batch's part into the open transaction of `store`. */
  async send(store: LiveStorePort): Promise<void> {
    if (this.buffer.size === 0) return
    const body = this.#settled()
    this.tailRows += await this.buffer.send({ store, liveName: body.liveName,
      deadName: body.deadName, columns: this.columns,
      filePath: (fileNo) => this.files.get(fileNo)?.path ?? '' })
  }

  /** What a flush shall write: everything up to now. Changes go to a new layer from here. */
  freeze(): { readonly layer: ChangeLayer; readonly uncommitted: readonly UncommittedFile[] } {
    assert(this.#frozen === null && this.buffer.size === 0, 'a table is frozen between batches')
    this.#frozen = this.#layer
    this.#frozen.lastSeq = this.buffer.nextSeq - 1
    this.#layer = new ChangeLayer()
    return { layer: this.#frozen, uncommitted: this.#uncommitted }
  }

  /** The frozen part is in the lake. */
  melt(lsn: Lsn): void {
    this.#frozen = null
    this.#uncommitted = []
    this.lakeLsn = lsn
  }

  /** The frozen part could not be written: it belongs to the next flush. */
  thaw(): void {
    if (this.#frozen !== null) this.#layer = mergeLayers(this.#frozen, this.#layer)
    this.#frozen = null
  }

  epochTable(): EpochTable | null {
    if (this.#state.kind !== 'ready' || this.#body === null) return null
    return { schema: this.#schema, files: [...this.files.values()],
      liveName: this.#body.liveName, deadName: this.#body.deadName }
  }

  markDead(fileNo: number): void {
    const file = this.files.get(fileNo)
    assert(file !== undefined, 'a dead row lies in a file of the table')
    this.#layer.dirtyFiles.add(fileNo)
    if (file.hasDead) return
    this.files.set(fileNo, { ...file, hasDead: true })
    this.epochChanged = true
  }

  /**
   * MT4. `file` is there in the place of the relocation's sources; null: they had no rows left.
   * The caller has put the dead rows where they are now.
   */
  relocate(relocation: Relocation, file: LakeFile | null): void {
    let isDirty = false
    for (const fileNo of relocation.from) {
      this.files.delete(fileNo)
      if (this.#layer.dirtyFiles.delete(fileNo)) isDirty = true
    }
    if (file !== null) {
      this.files.set(file.fileNo, file)
      if (isDirty && file.hasDead) this.#layer.dirtyFiles.add(file.fileNo)
    }
    this.deadRows -= relocation.droppedRows
    this.#relocation = relocation
    this.epochChanged = true
  }

  /** The key index has the new positions. */
  relocated(relocation: Relocation): void {
    assert(this.#relocation === relocation, 'files are rewritten one time after the other')
    this.#relocation = null
  }

  #settled(): TableBody {
    assert(this.#body !== null, 'a table that takes changes has been copied')
    return this.#body
  }

  #tuples(): TupleDecoder {
    if (this.#decoder === null) {
      if (this.#relation === null) throw new SlipwayError('internal', 'no Relation came before')
      this.#decoder = new TupleDecoder(this.#schema, this.#relation)
    }
    return this.#decoder
  }

  /** MT1. `_seq` when >= 0, else -1 - position in the lake; null: there is no such row. */
  #find(key: RowKey): number | null {
    for (const layer of [this.#layer, this.#frozen]) {
      if (layer === null) continue
      const at = layer.keys.get(key)
      if (at !== undefined) return at === DEAD ? null : at
      if (layer.truncated) return null
    }
    const indexed = this.#settled().index.find(key)
    const position = indexed === null || this.#relocation === null ? indexed
      : this.#relocation.locate(indexed)
    return position === null || !this.files.has(fileOfPosition(position)) ? null : -1 - position
  }

  #end(place: number): void {
    if (place < 0) {
      const position = -1 - place
      this.buffer.kill(position)
      this.deadRows++
      this.markDead(fileOfPosition(position))
      return
    }
    const sent = this.buffer.remove(place)
    // A row of the frozen layer is on its way into a file, and dies there.
    if (sent && this.#frozen !== null && place <= this.#frozen.lastSeq) {
      this.#layer.deadFrozen.push(place)
    }
  }

  #takeFromBuffer(row: (unknown)[], place: number): void {
    const old = this.buffer.row(place)
    if (old === null) return
    for (let at = 0; at < row.length; at++) {
      if (row[at] instanceof UnfetchedCell) row[at] = old[at]
    }
  }
}
