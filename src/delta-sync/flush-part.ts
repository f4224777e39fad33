/**
 * FlushPart: one table's part of a flush: from the frozen layer to its Delta commit and index.
 *
 * FP1  A row's place in its file is its rank among the frozen rows, by `_seq`: the files are
 *      written in that order and their row counts must agree.
 * FP2  The index is written after the commit: it never names a file that the log does not.
 * FP3  A failed part leaves files that no commit names, and nothing else.
 */
import { assert } from '../base/assert.ts'
import { failpoint } from '../base/failpoint.ts'
import type { Lsn } from '../base/lsn.ts'
import { rowPosition, type LakeFile } from '../mirror/epoch.ts'
import { aliveRows, DEAD, type ChangeLayer } from './change-layer.ts'
import { fileColumns } from './file-columns.ts'
import { LakeTable } from './lake-table.ts'
import type { LivePinPort, WrittenParquet } from './live-store-port.ts'
import type { MirroredTable, TableBody, UncommittedFile } from './mirrored-table.ts'
import type { RowKey } from './row-key.ts'

/** Rows of one file; more make several. */
const FILE_ROWS_MAX = 2_000_000
/** Index entries written in one go, between two turns of the event loop. */
const INDEX_STEP = 20_000

interface NewFile extends UncommittedFile {
  /** Rank of its first row among the frozen rows. */
  readonly firstRank: number
  readonly rows: number
}

export class FlushPart {
  readonly table: MirroredTable
  readonly #layer: ChangeLayer
  readonly #body: TableBody
  readonly #uncommitted: readonly UncommittedFile[]
  readonly #names: ReadonlyMap<number, string>
  readonly #keys: readonly RowKey[]
  /** `_seq` of the frozen rows, rising. */
  readonly seqs: readonly number[]
  readonly lastSeq: number
  newFiles: readonly NewFile[] = []
  /** The new files as readers shall see them. */
  files: readonly LakeFile[] = []
  written = false
  failure: unknown = null

  /** Freezes the table. */
  constructor(table: MirroredTable) {
    assert(table.body !== null, 'a table that is flushed has been copied')
    this.table = table
    this.#body = table.body
    const { layer, uncommitted } = table.freeze()
    this.#layer = layer
    this.#uncommitted = uncommitted
    this.#names = new Map([...table.files.values()].map((file) =>
      [file.fileNo, fileName(file.path)]))
    const { keys, seqs } = aliveRows(layer)
    this.#keys = keys
    this.seqs = seqs
    this.lastSeq = layer.lastSeq
  }

  /** FP1, FP2. `pin`: a view at the LSN of the freeze. */
  async write(pin: LivePinPort, lsn: Lsn): Promise<void> {
    const { lake, record } = this.#body
    const newFiles = await this.#writeFiles(pin)
    failpoint('flush.after-parquet')
    // Files of a failed commit stay: whether the log names them may be unknown. Vacuum knows.
    await this.#commit(pin, lsn, newFiles)
    failpoint('flush.after-commit')
    this.newFiles = newFiles
    this.files = newFiles.map((file) => ({ fileNo: file.fileNo, path: lake.path(file.name),
      rows: file.rows, sizeBytes: file.written.sizeBytes, hasDead: false,
      ...fileColumns(LakeTable.statsOf(file.written, record, true), record.table,
        record.names) }))
    this.written = true
    await this.#index()
    failpoint('flush.after-index')
  }

  async #writeFiles(pin: LivePinPort): Promise<readonly NewFile[]> {
    const { lake, index, record, liveName } = this.#body
    const files: NewFile[] = []
    for (let rank = 0; rank < this.seqs.length; rank += FILE_ROWS_MAX) {
      const count = Math.min(FILE_ROWS_MAX, this.seqs.length - rank)
      const staged = await lake.stage('.parquet')
      const written: WrittenParquet = await pin.writeTail({ liveName, path: staged,
        columns: LakeTable.parquetColumns(record), fromSeq: this.seqs[rank] ?? 0,
        toSeq: this.seqs[rank + count - 1] ?? 0 })
      assert(written.rows === count, 'FP1: the file has the rows that the layer knows')
      files.push({ fileNo: await index.takeFileNo(), name: await lake.adopt(staged), written,
        firstRank: rank, rows: count })
    }
    return files
  }

  async #commit(pin: LivePinPort, lsn: Lsn, newFiles: readonly NewFile[]): Promise<void> {
    const { lake, record, deadName } = this.#body
    const dead = new Map<number, readonly number[]>()
    for (const fileNo of this.#layer.dirtyFiles) {
      dead.set(fileNo, await pin.deadRows(deadName, fileNo))
    }
    const uncommitted = new Set(this.#uncommitted.map((file) => file.fileNo))
    await lake.commit({
      lsn, newestCommitUs: this.#layer.newestCommitUs, record,
      truncated: this.#layer.truncated || lake.record?.incarnation !== record.incarnation,
      added: [...this.#layer.truncated ? [] : this.#uncommitted, ...newFiles].map((file) =>
        ({ name: file.name, written: file.written, deadRows: dead.get(file.fileNo) ?? [] })),
      deadRows: new Map([...dead].filter(([fileNo]) => !uncommitted.has(fileNo))
        .map(([fileNo, rows]) => [this.#names.get(fileNo) ?? '', rows])),
    })
  }

  async #index(): Promise<void> {
    const { index } = this.#body
    let file = 0
    for (let at = 0; at < this.#keys.length; at += INDEX_STEP) {
      const entries: (readonly [RowKey, number])[] = []
      for (let rank = at; rank < Math.min(at + INDEX_STEP, this.#keys.length); rank++) {
        let inside = this.newFiles[file]
        if (inside !== undefined && rank >= inside.firstRank + inside.rows) {
          inside = this.newFiles[++file]
        }
        if (inside === undefined) break
        entries.push([this.#keys[rank] ?? '',
          rowPosition(inside.fileNo, rank - inside.firstRank)])
      }
      await index.put(entries)
    }
    await this.#forgetDead()
    await index.register(this.newFiles)
  }

  async #forgetDead(): Promise<void> {
    let dead: RowKey[] = []
    for (const [key, at] of this.#layer.keys) {
      if (at !== DEAD) continue
      dead.push(key)
      if (dead.length < INDEX_STEP) continue
      await this.#body.index.remove(dead)
      dead = []
    }
    await this.#body.index.remove(dead)
  }
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
