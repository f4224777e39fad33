/**
 * RowBuffer: what one table's part of a batch does to the live table, not yet sent there.
 *
 * RB1  A row that is made and ended in one batch never reaches the live table.
 * RB2  `send` leaves the live table as if each change had been made in order.
 * RB3  A cell that PostgreSQL did not send (unchanged TOAST) is filled from the old row before
 *      that row is deleted; it is never a default or NULL.
 */
import { assert } from '../base/assert.ts'
import { fileOfPosition, rowOfPosition, rowPosition } from '../mirror/epoch.ts'
import type { MirrorRow, MirrorValue } from '../mirror/mirror-value.ts'
import type { LiveColumn, LiveStorePort } from './live-store-port.ts'

/** RB3: a value that must be read from the row at `place` before the row is sent. */
export class UnfetchedCell {
  /** `_seq` in the live table when >= 0, else -1 - position in the lake. */
  readonly place: number
  readonly attnum: number
  constructor(place: number, attnum: number) {
    this.place = place
    this.attnum = attnum
  }
}

export type BufferedRow = (MirrorValue | UnfetchedCell)[]

export interface SendTarget {
  readonly store: LiveStorePort
  readonly liveName: string
  readonly deadName: string
  readonly columns: readonly LiveColumn[]
  /** Absolute path of a file of the lake. */
  filePath(fileNo: number): string
}

export class RowBuffer {
  #firstSeq = 0
  #rows: (BufferedRow | null)[] = []
  #alive = 0
  #deletes: number[] = []
  #dead: number[] = []
  #unfetched = false

  /** Changes waiting to be sent. */
  get size(): number {
    return this.#rows.length + this.#deletes.length + this.#dead.length
  }

  get nextSeq(): number {
    return this.#firstSeq + this.#rows.length
  }

  insert(row: BufferedRow, unfetched: boolean): number {
    const seq = this.nextSeq
    this.#rows.push(row)
    this.#alive++
    this.#unfetched ||= unfetched
    return seq
  }

  /** The row if it is still here, else null: then it is in the live table. */
  row(seq: number): BufferedRow | null {
    return seq >= this.#firstSeq ? this.#rows[seq - this.#firstSeq] ?? null : null
  }

  /** Ends a tail row; true when it had been sent. */
  remove(seq: number): boolean {
    if (seq >= this.#firstSeq) {
      assert(this.#rows[seq - this.#firstSeq] !== null, 'a row ends once')
      this.#rows[seq - this.#firstSeq] = null
      this.#alive--
      return false
    }
    this.#deletes.push(seq)
    return true
  }

  /** Ends a row of a file. */
  kill(position: number): void {
    this.#dead.push(position)
  }

  /** Forgets what was not sent: the table was truncated, or is given up. */
  clear(): void {
    this.#firstSeq = this.nextSeq
    this.#rows = []
    this.#alive = 0
    this.#deletes = []
    this.#dead = []
    this.#unfetched = false
  }

  /** RB2, within the store's open transaction. Rows added less rows deleted is returned. */
  async send(target: SendTarget): Promise<number> {
    const { store, liveName } = target
    if (this.#unfetched) await this.#fetchCells(target)
    const change = this.#alive - this.#deletes.length
    if (this.#deletes.length > 0) await store.deleteRows(liveName, this.#deletes)
    if (this.#dead.length > 0) await store.addDead(target.deadName, this.#dead)
    if (this.#alive > 0) {
      const rows: MirrorRow[] = []
      const seqs: number[] = []
      this.#rows.forEach((row, at) => {
        if (row === null) return
        rows.push(row as MirrorValue[])
        seqs.push(this.#firstSeq + at)
      })
      await store.append(liveName, target.columns, rows, seqs)
    }
    this.clear()
    return change
  }

  async #fetchCells(target: SendTarget): Promise<void> {
    const places = new Set<number>()
    const attnums = new Set<number>()
    this.#eachUnfetched((_row, _at, cell) => { places.add(cell.place); attnums.add(cell.attnum) })
    const columns = target.columns.filter((column) => attnums.has(column.attnum))
    const found = await fetchPlaces(target, columns, places)
    this.#eachUnfetched((row, at, cell) => {
      const old = found.get(cell.place)
      assert(old !== undefined, 'the old row of an unchanged TOAST value is in the mirror')
      row[at] = old[columns.findIndex((column) => column.attnum === cell.attnum)] ?? null
    })
  }

  #eachUnfetched(visit: (row: BufferedRow, at: number, cell: UnfetchedCell) => void): void {
    for (const row of this.#rows) {
      if (row === null) continue
      for (let at = 0; at < row.length; at++) {
        const value = row[at]
        if (value instanceof UnfetchedCell) visit(row, at, value)
      }
    }
  }
}

async function fetchPlaces(target: SendTarget, columns: readonly LiveColumn[],
  places: ReadonlySet<number>): Promise<ReadonlyMap<number, MirrorRow>> {
  const found = new Map<number, MirrorRow>()
  const seqs = [...places].filter((place) => place >= 0)
  if (seqs.length > 0) {
    const rows = await target.store.readRows(target.liveName, columns, seqs)
    for (const [seq, row] of rows) found.set(seq, row)
  }
  const byFile = new Map<number, number[]>()
  for (const place of places) {
    if (place >= 0) continue
    const fileNo = fileOfPosition(-1 - place)
    byFile.set(fileNo, [...byFile.get(fileNo) ?? [], rowOfPosition(-1 - place)])
  }
  for (const [fileNo, numbers] of byFile) {
    const rows = await target.store.readFileRows(target.filePath(fileNo), columns, numbers)
    for (const [row, values] of rows) found.set(-1 - rowPosition(fileNo, row), values)
  }
  return found
}
