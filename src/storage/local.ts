/**
 * LocalStorage: the storage port over a local directory.
 *
 * O1 rests on link(2), which refuses an existing name where rename(2) would replace it; O2 on
 * fsync of the file before it is named and of its directory after.
 *
 * F1  Leftovers of a crash are files in `_staging/`, which no Delta reader and no VACUUM looks
 *     at; `sweepStaging` removes those that are older than a day.
 * F2  Whatever the system refuses in a write (disk full, rights) is `lake-write-failed`, in a
 *     read `delta-corrupt`.
 * F3  A symbolic link that leads out of the root and of the allowed folders is not followed: a
 *     table from elsewhere must not make us read, or write, what its author cannot.
 *
 * A small write is mostly the way to the thread pool and back. So what may wait for a disk goes
 * there; what only touches memory (a close after fsync, a time, a known folder's entry) does not.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, constants, existsSync, fsync, futimesSync, open as openCallback, openSync,
  write } from 'node:fs'
import { link, lstat, mkdir, open, readdir, realpath, rename, rm, stat, unlink, type FileHandle }
  from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { promisify } from 'node:util'
import { SlipwayError } from '../base/errors.ts'
import { checkedPath, type PutOptions, type PutResult, type Storage, type StoredObject }
  from './storage.ts'

const STAGING = '_staging'
const STAGED_AGE_MAX_MS = 24 * 3600 * 1000
const OBJECT_BYTES_MAX = 2 ** 31
const SHOWN_MAX = 200

export class LocalStorage implements Storage {
  readonly root: string
  readonly stagingDirectory: string
  /** Directories whose names are known to be durable while they exist. */
  readonly #durable = new Set<string>()
  readonly #allowedFolders: readonly string[]
  /** Folders that F3 holds for; a link put there later is not looked for again. */
  readonly #inside = new Set<string>()

  /** `root`: absolute; made with the first write. `allowedFolders`: absolute, for F3. */
  constructor(options: { readonly root: string; readonly allowedFolders?: readonly string[] }) {
    this.root = options.root
    this.stagingDirectory = join(options.root, STAGING)
    this.#allowedFolders = options.allowedFolders ?? []
  }

  async get(path: string): Promise<Buffer | null> {
    return absentAsNull(path, async () => {
      await using file = await this.#openInside(path)
      return await readFully(file.handle, { start: 0, end: Infinity })
    })
  }

  async getRange(path: string, range: { readonly start: number; readonly end: number })
    : Promise<Buffer | null> {
    return absentAsNull(path, async () => {
      await using file = await this.#openInside(path)
      return await readFully(file.handle, range)
    })
  }

  async list(prefix: string, startAfter: string | null): Promise<readonly StoredObject[]> {
    const folderEnd = prefix.lastIndexOf('/') + 1
    const folder = prefix.slice(0, folderEnd)
    const names = await absentAsNull(folder, async () => {
      await this.#requireInside(folder)
      return await readdir(join(this.root, folder), { withFileTypes: true })
    }) ?? []
    const wanted = names.filter((name) => !name.isDirectory()).map((name) => folder + name.name)
      .filter((path) => path.startsWith(prefix) && (startAfter === null || path > startAfter))
      .sort(byCodeUnit)
    return (await mapBounded(wanted, (path) => this.stat(path))).filter((found) => found !== null)
  }

  async listTree(folder: string): Promise<readonly StoredObject[]> {
    const pending = [folder]
    const files: string[] = []
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const inside = at
      const names = await absentAsNull(inside, () => readdir(join(this.root, inside),
        { withFileTypes: true })) ?? []
      for (const name of names) {
        const path = inside === '' ? name.name : `${inside}/${name.name}`
        if (name.isDirectory()) pending.push(path)
        else files.push(path)
      }
    }
    const found = await mapBounded(files.sort(byCodeUnit), (path) => this.stat(path))
    return found.filter((file) => file !== null)
  }

  async stat(path: string): Promise<StoredObject | null> {
    const found = await absentAsNull(path, async () => {
      const absolute = this.#absolute(path)
      await this.#requireInside(dirname(path))
      const first = await lstat(absolute)
      return first.isSymbolicLink() ? await stat(await this.#followed(path)) : first
    })
    if (found === null || !found.isFile()) return null
    return { path, size: found.size, mtimeMs: Math.floor(found.mtimeMs) }
  }

  async putIfAbsent(path: string, body: Uint8Array, options: PutOptions = {})
    : Promise<PutResult> {
    return await this.#write(path, async (target) => {
      const staged = await this.#stage(body, options)
      const isNew = await nameOnce(staged, target, options.durable !== false)
      return isNew ? 'created' : 'exists'
    })
  }

  async put(path: string, body: Uint8Array): Promise<void> {
    await this.#write(path, async (target) => {
      const staged = await this.#stage(body)
      try {
        await rename(staged, target)
      } catch (error) {
        await rm(staged, { force: true })
        throw error
      }
      await syncDirectory(dirname(target))
    })
  }

  async adopt(file: string, path: string): Promise<PutResult> {
    return await this.#write(path, async (target) => {
      await syncFile(file)
      if (!await linkNew(file, target)) return 'exists'
      await Promise.all([removeFile(file), syncDirectory(dirname(target))])
      return 'created'
    })
  }

  async sync(path: string): Promise<void> {
    await this.#write(path, async (target) => {
      await syncFile(target)
      await syncDirectory(dirname(target))
    })
  }

  async delete(path: string): Promise<void> {
    const absolute = this.#absolute(path)
    await absentAsNull(path, () => this.#requireInside(dirname(path)))
    await rm(absolute, { force: true })
  }

  localPath(path: string): string {
    return this.#absolute(path)
  }

  elsewhere(path: string): { readonly storage: Storage; readonly path: string } | null {
    const root = this.#allowedFolders.find((folder) => isInside(path, folder))
    return root === undefined ? null : {
      storage: new LocalStorage({ root, allowedFolders: this.#allowedFolders }),
      path: path.slice(root.length).replace(/^\/+/, '') }
  }

  /** F1. */
  async sweepStaging(nowMs: number): Promise<void> {
    for (const file of await this.listTree(STAGING)) {
      if (nowMs - file.mtimeMs > STAGED_AGE_MAX_MS) await this.delete(file.path)
    }
  }

  /** F2. */
  async #write<T>(path: string, work: (target: string) => Promise<T>): Promise<T> {
    const target = this.#absolute(path)
    try {
      await this.#ensureDirectory(dirname(target))
      await this.#requireInside(dirname(path))
      return await work(target)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === undefined || error instanceof SlipwayError) throw error
      throw new SlipwayError('lake-write-failed',
        `${path} could not be written in ${this.root} (${code})`, { cause: error })
    }
  }

  /** F3. Links are rare: opening refuses them, and only then is it asked where they lead. */
  async #openInside(path: string) {
    const absolute = this.#absolute(path)
    await this.#requireInside(dirname(path))
    try {
      return await openFile(absolute, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOOP') throw error
      return await openFile(await this.#followed(path), constants.O_RDONLY)
    }
  }

  /** F3 for a folder, relative to the root; `.` is the root itself. */
  async #requireInside(folder: string): Promise<void> {
    if (folder === '.' || folder === '' || this.#inside.has(folder)) return
    await this.#followed(folder)
    this.#inside.add(folder)
  }

  /** Where a path really is. Throws `delta-unsupported` by F3. */
  async #followed(path: string): Promise<string> {
    const real = await realpath(join(this.root, path))
    for (const folder of [this.root, ...this.#allowedFolders]) {
      if (isInside(real, await realpath(folder))) return real
    }
    throw new SlipwayError('delta-unsupported', `${path} is a link that leads out of ${this.root}`,
      { hint: 'Allow the folder that it leads to, if you trust the table.' })
  }

  #absolute(path: string): string {
    return join(this.root, checkedPath(path))
  }

  /** A file of its own name, which nobody else knows yet. */
  async #stage(body: Uint8Array, options: PutOptions = {}): Promise<string> {
    await this.#ensureDirectory(this.stagingDirectory)
    const staged = join(this.stagingDirectory, `${randomUUID()}.tmp`)
    try {
      const descriptor = await openNew(staged, 'wx')
      try {
        await writeFully(descriptor, body)
        if (options.mtimeMs !== undefined) {
          // libuv cuts seconds-as-double to microseconds; half of one more keeps the cut exact.
          const seconds = (options.mtimeMs + 0.0005) / 1000
          futimesSync(descriptor, seconds, seconds)
        }
        if (options.durable !== false) await syncToDisk(descriptor)
      } finally {
        closeSync(descriptor)
      }
    } catch (error) {
      await rm(staged, { force: true })
      throw error
    }
    return staged
  }

  /** Makes missing directories; each one's name is durable: a lost name loses what is inside. */
  async #ensureDirectory(path: string): Promise<void> {
    if (this.#durable.has(path) && existsSync(path)) return
    const first = await mkdir(path, { recursive: true })
    // What another hand has made may not be durable yet: up to the root's own name, once.
    const top = first !== undefined && first.length < this.root.length ? first : this.root
    for (let made = path; made.length >= top.length; made = dirname(made)) {
      await syncDirectory(dirname(made))
    }
    this.#durable.add(path)
  }
}

const PARALLEL_STATS_MAX = 32

/** Results in the order of `items`, at most PARALLEL_STATS_MAX calls at once. */
async function mapBounded<T, R>(items: readonly T[], call: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += PARALLEL_STATS_MAX) {
    results.push(...await Promise.all(items.slice(at, at + PARALLEL_STATS_MAX).map(call)))
  }
  return results
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

async function openFile(path: string, flags: 'r' | 'wx' | number) {
  const handle = await open(path, flags)
  return { handle, [Symbol.asyncDispose]: () => handle.close() }
}

/** Bytes [start, end), cut at the file's end. */
async function readFully(handle: FileHandle,
  range: { readonly start: number; readonly end: number }): Promise<Buffer> {
  const length = Math.max(0, Math.min(range.end, (await handle.stat()).size) - range.start)
  if (length > OBJECT_BYTES_MAX) {
    throw new SlipwayError('delta-unsupported',
      `a file of ${length} bytes is too large: at most ${OBJECT_BYTES_MAX} are read at once`)
  }
  const body = Buffer.allocUnsafeSlow(length)
  let at = 0
  while (at < length) {
    const { bytesRead } = await handle.read(body, at, length - at, range.start + at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return body.subarray(0, at)
}

function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

/** The file under its name, which is durable with `isDurable`; false: there was one already. */
async function nameOnce(staged: string, target: string, isDurable: boolean): Promise<boolean> {
  let isNew = false
  try {
    isNew = await linkNew(staged, target)
  } finally {
    await Promise.all([removeFile(staged),
      isNew && isDurable ? syncDirectory(dirname(target)) : undefined])
  }
  return isNew
}

async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function syncFile(path: string): Promise<void> {
  await using file = await openFile(path, 'r')
  await file.handle.sync()
}

async function syncDirectory(path: string): Promise<void> {
  const descriptor = openSync(path, 'r')
  try {
    await syncToDisk(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

const openNew = promisify<string, 'wx', number>(openCallback)
const writeOnce = promisify(write)
const syncToDisk = promisify(fsync)

async function writeFully(descriptor: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await writeOnce(descriptor, bytes, at, bytes.length - at, null)).bytesWritten
  }
}

/** One call, where `rm` looks before. */
async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** What the system refuses in a read (rights, links in a circle) is an error that names `path`. */
async function absentAsNull<T>(path: string, read: () => Promise<T>): Promise<T | null> {
  try {
    return await read()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined || error instanceof SlipwayError) throw error
    // No file has a name that is too long for the system.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return null
    throw new SlipwayError('delta-corrupt', `${path.slice(0, SHOWN_MAX)} cannot be read (${code})`,
      { cause: error })
  }
}
