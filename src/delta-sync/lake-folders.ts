/**
 * LakeFolders: where each table's Delta table lies under `<data-dir>/lake/<database>`.
 *
 * LF1  A folder is `<schema>/<table>`; characters that a path cannot hold are percent-encoded.
 * LF2  A dropped table's folder leaves its name at once and is deleted when running queries
 *      have had KEEP_MS to end.
 * LF3  A name is not taken by a new table while an older one's folder still leaves it.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import type { Mutex } from '../base/mutex.ts'
import { LakeTable } from './lake-table.ts'

const DROPPED = '_dropped'
const KEEP_MS = 60_000

export class LakeFolders implements Disposable {
  readonly root: string
  readonly #appId: string
  readonly #writing: Mutex
  readonly #open = new Map<string, LakeTable>()
  readonly #logger: Logger
  readonly #leaving = new Map<string, Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()

  /** `writing`: held by whoever writes into tables' folders. */
  constructor(options: { readonly root: string; readonly appId: string
    readonly writing: Mutex; readonly logger: Logger }) {
    this.root = options.root
    this.#appId = options.appId
    this.#writing = options.writing
    this.#logger = options.logger
  }

  folder(table: { readonly schema: string; readonly name: string }): string {
    return join(this.root, pathPart(table.schema), pathPart(table.name))
  }

  /** Every folder of the lake that may hold a Delta table. */
  async list(): Promise<readonly string[]> {
    await mkdir(this.root, { recursive: true })
    await rm(join(this.root, DROPPED), { recursive: true, force: true })
    const found: string[] = []
    for (const schema of await readdir(this.root, { withFileTypes: true })) {
      if (!schema.isDirectory() || schema.name.startsWith('_')) continue
      const inside = join(this.root, schema.name)
      for (const table of await readdir(inside, { withFileTypes: true })) {
        if (table.isDirectory()) found.push(join(inside, table.name))
      }
    }
    return found
  }

  /** LF3. The folder's Delta table, one object for all who ask. */
  async open(folder: string): Promise<LakeTable> {
    await this.#leaving.get(folder)
    let lake = this.#open.get(folder)
    if (lake === undefined) {
      lake = await LakeTable.open(folder, this.#appId)
      this.#open.set(folder, lake)
    }
    return lake
  }

  /** LF2. Does not wait. */
  remove(folder: string): void {
    this.#open.delete(folder)
    const leaving = this.#writing.run(async () => {
      const aside = join(this.root, DROPPED, randomUUID())
      await mkdir(join(this.root, DROPPED), { recursive: true })
      try {
        await rename(folder, aside)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        return
      }
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        rm(aside, { recursive: true, force: true }).catch((error: unknown) => {
          this.#logger.warn({ err: error }, 'a dropped table\'s folder could not be deleted')
        })
      }, KEEP_MS)
      timer.unref()
      this.#timers.add(timer)
    }).catch((error: unknown) => {
      this.#logger.error({ err: error, folder }, 'a dropped table\'s folder could not be moved')
    }).finally(() => {
      if (this.#leaving.get(folder) === leaving) this.#leaving.delete(folder)
    })
    this.#leaving.set(folder, leaving)
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}

/** LF1. A leading `_` or `.` would hide the folder from readers, and `_…` is ours. */
function pathPart(name: string): string {
  return name.replace(/[%/\\:*?"<>|\u0000-\u001f]|^[._]/g, (character) =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}
