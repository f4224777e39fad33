/**
 * Batch: whole transactions of PostgreSQL on their way into one transaction of the live store.
 *
 * B1  What was sent is seen with the commit, together with its LSN and epoch, or never.
 * B2  Whatever runs inside `run` runs alone: no other batch, freeze or publication.
 */
import { Mutex } from '../base/mutex.ts'
import type { Lsn } from '../base/lsn.ts'
import type { LiveStorePort } from './live-store-port.ts'
import type { MirroredTable } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'

/** Native tables that the batch's commit leaves behind. */
interface Discarded { readonly live: string | null; readonly dead: string | null }

export class Batch {
  readonly #store: LiveStorePort
  readonly #tables: MirrorTables
  readonly #mutex = new Mutex()
  readonly #touched = new Set<MirroredTable>()
  #discarded: Discarded[] = []
  #open = false
  #abandoned = false

  constructor(options: { readonly store: LiveStorePort; readonly tables: MirrorTables }) {
    this.#store = options.store
    this.#tables = options.tables
  }

  get store(): LiveStorePort { return this.#store }

  /** B2, for as long as the caller holds it. */
  async acquire(): Promise<Disposable> {
    const held = await this.#mutex.acquire()
    if (!this.#abandoned) return held
    held[Symbol.dispose]()
    throw new Error('the mirror stopped in the middle of a transaction')
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const held = await this.acquire()
    try { return await work() } finally { held[Symbol.dispose]() }
  }

  /** A part of a transaction was taken and its end will not come: nothing may follow. */
  abandon(): void {
    this.#abandoned = true
  }

  touch(table: MirroredTable): void {
    this.#touched.add(table)
  }

  /** Changes waiting in the touched tables' buffers. */
  get pendingRows(): number {
    let rows = 0
    for (const table of this.#touched) rows += table.buffer.size
    return rows
  }

  /** The store's transaction, begun when first needed. */
  async opened(): Promise<LiveStorePort> {
    if (!this.#open) {
      await this.#store.begin()
      this.#open = true
    }
    return this.#store
  }

  /** Dropped with the commit, after the epoch that names it was replaced. */
  discard(names: Discarded): void {
    this.#discarded.push(names)
  }

  /** Sends what waits, so that a huge transaction does not wait in memory. */
  async spill(): Promise<void> {
    const store = await this.opened()
    for (const table of this.#touched) await table.send(store)
  }

  /** B1. `lsn`: everything that ends at or below it is in. */
  async commit(lsn: Lsn): Promise<void> {
    if (this.pendingRows > 0) await this.spill()
    this.#touched.clear()
    const discarded = this.#discarded
    const epoch = this.#tables.nextEpoch()
    if (!this.#open && epoch === null && discarded.length === 0) return
    const store = await this.opened()
    for (const names of discarded) await store.drop(names)
    await store.commit(lsn, epoch)
    this.#discarded = []
    this.#open = false
  }
}
