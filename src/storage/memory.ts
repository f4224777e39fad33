/**
 * MemoryStorage: the storage port over a map, for tests and models. O1 and O3 hold; O2 does not.
 */
import { mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkedPath, type PutOptions, type PutResult, type Storage, type StoredObject }
  from './storage.ts'

export class MemoryStorage implements Storage {
  readonly root = 'memory:'
  readonly #objects = new Map<string, { readonly body: Buffer; readonly mtimeMs: number }>()
  #staging: string | null = null

  get stagingDirectory(): string {
    this.#staging ??= mkdtempSync(join(tmpdir(), 'slipway-memory-'))
    return this.#staging
  }

  get(path: string): Promise<Buffer | null> {
    return Promise.resolve(this.#objects.get(checkedPath(path))?.body ?? null)
  }

  async getRange(path: string, range: { readonly start: number; readonly end: number })
    : Promise<Buffer | null> {
    return (await this.get(path))?.subarray(range.start, range.end) ?? null
  }

  list(prefix: string, startAfter: string | null): Promise<readonly StoredObject[]> {
    const folderEnd = prefix.lastIndexOf('/') + 1
    return Promise.resolve(this.#matching((path) => path.startsWith(prefix)
      && !path.includes('/', folderEnd) && (startAfter === null || path > startAfter)))
  }

  listTree(folder: string): Promise<readonly StoredObject[]> {
    const prefix = folder === '' ? '' : `${folder}/`
    return Promise.resolve(this.#matching((path) => path.startsWith(prefix)))
  }

  stat(path: string): Promise<StoredObject | null> {
    const found = this.#objects.get(checkedPath(path))
    return Promise.resolve(found === undefined ? null
      : { path, size: found.body.length, mtimeMs: found.mtimeMs })
  }

  putIfAbsent(path: string, body: Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    if (this.#objects.has(checkedPath(path))) return Promise.resolve('exists')
    this.#objects.set(path, { body: Buffer.from(body), mtimeMs: options.mtimeMs ?? Date.now() })
    return Promise.resolve('created')
  }

  put(path: string, body: Uint8Array): Promise<void> {
    this.#objects.set(checkedPath(path), { body: Buffer.from(body), mtimeMs: Date.now() })
    return Promise.resolve()
  }

  async adopt(file: string, path: string): Promise<PutResult> {
    const result = await this.putIfAbsent(path, await readFile(file))
    if (result === 'created') await rm(file, { force: true })
    return result
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  delete(path: string): Promise<void> {
    this.#objects.delete(checkedPath(path))
    return Promise.resolve()
  }

  localPath(): null {
    return null
  }

  elsewhere(): null {
    return null
  }

  #matching(wanted: (path: string) => boolean): readonly StoredObject[] {
    return [...this.#objects].filter(([path]) => wanted(path))
      .map(([path, { body, mtimeMs }]) => ({ path, size: body.length, mtimeMs }))
      .sort((a, b) => a.path < b.path ? -1 : 1)
  }
}
