/**
 * LakeLoader: the mirror's tables as the lake holds them, at the start.
 *
 * LL1  A table comes back as of its txn LSN; nobody reads it before the stream has passed the
 *      highest of them (the caller's part).
 * LL2  Files that the key index does not know are read into it; a lost index costs time only.
 * LL3  A table that the lake says is not to be relied on is suspended again, or copied anew.
 */
import type { Logger } from '../base/logger.ts'
import { maxLsn, LSN_ZERO, type Lsn } from '../base/lsn.ts'
import { rm } from 'node:fs/promises'
import { basename } from 'node:path'
import type { RowBitmap } from '../delta/row-bitmap.ts'
import { rowPosition } from '../mirror/epoch.ts'
import type { TableDescription } from '../mirror/replication.ts'
import type { Batch } from './batch.ts'
import { indexFile } from './file-indexer.ts'
import type { KeyIndex, TableIndex } from './key-index.ts'
import type { LakeFolders } from './lake-folders.ts'
import type { LakeRecord } from './lake-schema.ts'
import type { LakeTable } from './lake-table.ts'
import type { ParquetFilesPort } from './live-store-port.ts'
import { MirroredTable } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'
import { schemaOf } from './table-description.ts'
import type { TableKeeper } from './table-keeper.ts'

export interface LakeLoaderOptions {
  readonly tables: MirrorTables
  readonly batch: Batch
  readonly keeper: TableKeeper
  readonly folders: LakeFolders
  readonly index: KeyIndex
  readonly files: ParquetFilesPort
  readonly logger: Logger
}

const DEAD_STEP = 100_000

export class LakeLoader {
  readonly #options: LakeLoaderOptions

  constructor(options: LakeLoaderOptions) {
    this.#options = options
  }

  /**
   * `described`: PostgreSQL's tables now. `trusted`: false when the slot is not the one that
   * the lake was written from. Returns the highest LSN that a table of the lake is at.
   */
  async load(described: readonly TableDescription[], trusted: boolean): Promise<Lsn> {
    const { tables, keeper, folders, index } = this.#options
    const wanted = new Map(described.filter((table) => table.refusal === null)
      .map((table) => [table.relid, table]))
    const owners = new Set<string>()
    let highest = LSN_ZERO
    for (const folder of await folders.list()) {
      const lake = await folders.open(folder)
      const { record, lsn } = lake
      if (lake.snapshot === null) { await rm(folder, { recursive: true, force: true }); continue }
      if (record === null || lsn === null || tables.get(record.table.relid) !== null) continue
      const description = wanted.get(record.table.relid)
      if (!trusted || record.suspended?.recopy === true) {
        // Said in the log before anything is confirmed: a crash must not make it look whole.
        await lake.suspend({ reason: 'it is being copied anew', cure: 'Wait.', recopy: true })
        if (description !== undefined) keeper.create(schemaOf(description))
        else if (!trusted) folders.remove(folder)
      } else if (record.suspended !== null) {
        this.#suspended(record)
      } else {
        await this.#loadTable(lake, record, lsn)
        owners.add(record.incarnation)
        highest = maxLsn(highest, lsn)
      }
    }
    for (const [relid, description] of wanted) {
      if (tables.get(schemaOf(description).relid) === null) keeper.create(schemaOf(description))
      wanted.delete(relid)
    }
    await index.retain(owners)
    return highest
  }

  #suspended(record: LakeRecord): void {
    const table = new MirroredTable(record.table)
    table.move({ kind: 'failed', reason: record.suspended?.reason ?? '',
      cure: record.suspended?.cure ?? '' })
    this.#options.tables.set(table)
  }

  async #loadTable(lake: LakeTable, record: LakeRecord, lsn: Lsn): Promise<void> {
    const { tables, batch } = this.#options
    const table = new MirroredTable(record.table)
    const index = this.#options.index.openTable(record.incarnation)
    const dead = await lake.deadRows()
    const numbers = await this.#indexFiles(lake, record, index, dead)
    const liveName = tables.liveName(table.relid)
    const deadName = tables.deadName(table.relid)
    await batch.run(async () => {
      const store = await batch.opened()
      await store.createLive(liveName, record.table.columns)
      await store.createDead(deadName)
      for (const [name, rows] of dead) {
        const fileNo = numbers.get(name) ?? 0
        for (const positions of steps(rows.positions(), (row) => rowPosition(fileNo, row))) {
          await store.addDead(deadName, positions)
          table.deadRows += positions.length
        }
      }
      table.move({ kind: 'copy-started' })
      table.settle({ record, lake, index, liveName, deadName, uncommitted: [],
        files: lake.files(record.table, record.names, (name) => numbers.get(name) ?? 0) })
      table.move({ kind: 'copy-done' })
      table.lakeLsn = lsn
      tables.set(table)
      await batch.commit(lsn)
    })
  }

  /** LL2. The number of each file of the table. */
  async #indexFiles(lake: LakeTable, record: LakeRecord, index: TableIndex,
    dead: ReadonlyMap<string, RowBitmap>): Promise<ReadonlyMap<string, number>> {
    const numbers = new Map(index.files.map((file) => [file.name, file.fileNo]))
    const present = new Set<string>()
    const added: { readonly fileNo: number; readonly name: string }[] = []
    for (const file of lake.files(record.table, record.names, () => 0)) {
      const name = basename(file.path)
      present.add(name)
      if (numbers.has(name)) continue
      const fileNo = await index.takeFileNo()
      numbers.set(name, fileNo)
      added.push({ fileNo, name })
      await indexFile({ files: this.#options.files, index, schema: record.table,
        path: file.path, fileNo, dead: dead.get(name) ?? null })
    }
    if (added.length > 0) {
      this.#options.logger.info({ relid: record.table.relid, files: added.length },
        'files were read into the key index')
    }
    await index.register(added)
    await index.forget(index.files.filter((file) => !present.has(file.name))
      .map((file) => file.fileNo))
    return numbers
  }
}

function* steps(rows: Iterable<number>, position: (row: number) => number): Iterable<number[]> {
  let step: number[] = []
  for (const row of rows) {
    step.push(position(row))
    if (step.length < DEAD_STEP) continue
    yield step
    step = []
  }
  if (step.length > 0) yield step
}
