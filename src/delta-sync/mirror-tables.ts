/**
 * MirrorTables: every table that the mirror knows, and the epochs they make.
 *
 * MB1  An epoch holds the tables that are ready, each as it is at the next commit.
 */
import type { Oid } from '../base/oid.ts'
import type { Epoch, EpochTable } from '../mirror/epoch.ts'
import type { MirroredTable } from './mirrored-table.ts'

export class MirrorTables {
  readonly #tables = new Map<Oid, MirroredTable>()
  #current = new Map<Oid, EpochTable>()
  #nextEpoch = 1
  #nextName = 1
  #changed = false

  get(relid: Oid): MirroredTable | null {
    return this.#tables.get(relid) ?? null
  }

  all(): Iterable<MirroredTable> {
    return this.#tables.values()
  }

  /** Puts the table in, in the place of one of the same relid. */
  set(table: MirroredTable): void {
    this.#tables.set(table.relid, table)
    table.epochChanged = true
  }

  delete(relid: Oid): void {
    if (this.#tables.delete(relid)) this.#changed = true
  }

  /** Names for a table's next native tables, never used before in this process. */
  liveName(relid: Oid): string {
    return `t${relid}_${this.#nextName++}`
  }

  deadName(relid: Oid): string {
    return `d${relid}_${this.#nextName++}`
  }

  /** MB1. null when nothing that an epoch shows has changed. */
  nextEpoch(): Epoch | null {
    const changed = [...this.#tables.values()].filter((table) => table.epochChanged)
    if (!this.#changed && changed.length === 0) return null
    const next = new Map(this.#current)
    for (const relid of next.keys()) if (!this.#tables.has(relid)) next.delete(relid)
    for (const table of changed) {
      const shown = table.epochTable()
      if (shown === null) next.delete(table.relid)
      else next.set(table.relid, shown)
      table.epochChanged = false
    }
    this.#changed = false
    this.#current = next
    return { id: this.#nextEpoch++, tables: next }
  }
}
