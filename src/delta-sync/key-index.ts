/**
 * KeyIndex: primary key -> position (file, row) of the rows that lie in the lake (lmdb).
 *
 * K1  A file that is registered for a table has an entry for each row that was alive then,
 *     unless a later file's row took the key.
 * K2  Entries of dead rows may linger: whoever looks up a key knows that its row is alive.
 * K3  Losing the index loses nothing: files that are not registered are read again.
 * K4  A fileNo, once given in a table, is never given to another file.
 * K5  An index of another format than FORMAT is emptied when it is opened (K3).
 */
import { createHash } from 'node:crypto'
import { open, type RootDatabase } from 'lmdb'
import { assert } from '../base/assert.ts'
import { FILE_NO_MAX } from '../mirror/epoch.ts'
import type { RowKey } from './row-key.ts'

/** lmdb's own limit on a key is 1,978 bytes; longer texts are kept as their hash. */
const KEY_BYTES_MAX = 1_900

interface TableEntry { readonly indexId: number; readonly nextFileNo: number }

export interface IndexedFile {
  readonly fileNo: number
  /** Base name of the file in the table's folder. */
  readonly name: string
}

export class KeyIndex implements AsyncDisposable {
  readonly #root: RootDatabase<Buffer, Buffer>

  private constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root
  }

  static open(directory: string): KeyIndex {
    const root = open<Buffer, Buffer>({ path: directory, encoding: 'binary',
      keyEncoding: 'binary', compression: false, maxDbs: 1 })
    if (root.get(FORMAT_KEY)?.equals(FORMAT) !== true) {
      root.clearSync()
      root.putSync(FORMAT_KEY, FORMAT)
    }
    return new KeyIndex(root)
  }

  /** The files that a table's index knows; `owner` names the table for good (its Delta id). */
  openTable(owner: string): TableIndex {
    const stored = this.#root.get(ownerKey(owner))
    const entry: TableEntry = stored === undefined ? this.#newTable(owner) : decodeEntry(stored)
    const files: IndexedFile[] = []
    const from = fileKey(entry.indexId, 0)
    for (const { key, value } of this.#root.getRange({ start: from,
      end: fileKey(entry.indexId, FILE_NO_MAX) })) {
      files.push({ fileNo: key.readUInt32BE(5), name: value.toString('utf8') })
    }
    return new TableIndex(this.#root, owner, entry, files)
  }

  /** Forgets tables that are not in `owners`. */
  async retain(owners: ReadonlySet<string>): Promise<void> {
    const start = Buffer.from([OWNER])
    for (const { key, value } of this.#root.getRange({ start, end: Buffer.from([OWNER + 1]) })) {
      if (owners.has(key.subarray(1).toString('utf8'))) continue
      await removeTable(this.#root, key, decodeEntry(value).indexId)
    }
  }

  #newTable(owner: string): TableEntry {
    const counter = Buffer.from([COUNTER])
    const last = this.#root.get(counter)?.readUInt32BE(0) ?? 0
    const entry = { indexId: last + 1, nextFileNo: 1 }
    this.#root.transactionSync(() => {
      const value = Buffer.alloc(4)
      value.writeUInt32BE(entry.indexId)
      void this.#root.put(counter, value)
      void this.#root.put(ownerKey(owner), encodeEntry(entry))
    })
    return entry
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root.close()
  }
}

/** One table's part of the index. */
export class TableIndex {
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #owner: string
  readonly #indexId: number
  #nextFileNo: number
  /** What was registered when the index was opened. */
  readonly files: readonly IndexedFile[]
  /** Reused for look-ups: lmdb copies it. */
  readonly #key = Buffer.alloc(5 + KEY_BYTES_MAX + 1)

  constructor(root: RootDatabase<Buffer, Buffer>, owner: string, entry: TableEntry,
    files: readonly IndexedFile[]) {
    this.#root = root
    this.#owner = owner
    this.#indexId = entry.indexId
    this.#nextFileNo = entry.nextFileNo
    this.files = files
  }

  /** The row's position, or null. */
  find(key: RowKey): number | null {
    const value = this.#root.getBinaryFast(this.#encode(key))
    return value === undefined ? null : value.readDoubleBE(0)
  }

  /** K4: durable before any entry that names it can be. */
  async takeFileNo(): Promise<number> {
    const fileNo = this.#nextFileNo++
    assert(fileNo < FILE_NO_MAX, 'a table has fewer files than FILE_NO_MAX')
    await this.#root.put(ownerKey(this.#owner),
      encodeEntry({ indexId: this.#indexId, nextFileNo: this.#nextFileNo }))
    return fileNo
  }

  /** Entries of a chunk; nothing holds until the file is registered (K1, K3). */
  async put(entries: Iterable<readonly [RowKey, number]>): Promise<void> {
    let last: Promise<boolean> | null = null
    for (const [key, position] of entries) {
      const value = Buffer.alloc(8)
      value.writeDoubleBE(position)
      last = this.#root.put(Buffer.from(this.#encode(key)), value)
    }
    await last
  }

  async remove(keys: Iterable<RowKey>): Promise<void> {
    let last: Promise<boolean> | null = null
    for (const key of keys) last = this.#root.remove(Buffer.from(this.#encode(key)))
    await last
  }

  /** K1: call when all of the files' entries are put. */
  async register(added: readonly IndexedFile[]): Promise<void> {
    if (added.length === 0) return
    await this.#root.transaction(() => {
      for (const file of added) {
        void this.#root.put(fileKey(this.#indexId, file.fileNo), Buffer.from(file.name))
      }
    })
  }

  /** Files that are in the table no more; their numbers are not given again. */
  async forget(fileNos: readonly number[]): Promise<void> {
    if (fileNos.length === 0) return
    await this.#root.transaction(() => {
      for (const fileNo of fileNos) void this.#root.remove(fileKey(this.#indexId, fileNo))
    })
  }

  async drop(): Promise<void> {
    await removeTable(this.#root, ownerKey(this.#owner), this.#indexId)
  }

  #encode(key: RowKey): Buffer {
    const buffer = this.#key
    buffer[0] = ENTRY
    buffer.writeUInt32BE(this.#indexId, 1)
    if (typeof key === 'number') {
      buffer[5] = 0
      buffer.writeDoubleBE(key, 6)
      return buffer.subarray(0, 14)
    }
    buffer[5] = 1
    if (key.length * 3 <= KEY_BYTES_MAX - 16) {
      return buffer.subarray(0, 6 + buffer.write(key, 6, 'utf8'))
    }
    buffer[5] = 2
    createHash('sha256').update(key, 'utf8').digest().copy(buffer, 6)
    return buffer.subarray(0, 38)
  }
}

/** K5. 2: positions with ROW_BITS bits for the row. */
const FORMAT = Buffer.from([2])

// First byte of every key: what it is.
const COUNTER = 1
const OWNER = 2
const FILE = 3
const ENTRY = 4
const FORMAT_KEY = Buffer.from([5])

const REMOVE_STEP = 10_000

async function removeTable(root: RootDatabase<Buffer, Buffer>, owner: Buffer, indexId: number)
  : Promise<void> {
  await root.remove(owner)
  for (const kind of [FILE, ENTRY]) {
    const start = prefix(kind, indexId)
    const end = prefix(kind, indexId + 1)
    for (;;) {
      const keys = [...root.getKeys({ start, end, limit: REMOVE_STEP })]
      if (keys.length === 0) break
      let last: Promise<boolean> | null = null
      for (const key of keys) last = root.remove(key)
      await last
    }
  }
}

function prefix(kind: number, indexId: number): Buffer {
  const buffer = Buffer.alloc(5)
  buffer[0] = kind
  buffer.writeUInt32BE(indexId, 1)
  return buffer
}

function fileKey(indexId: number, fileNo: number): Buffer {
  const buffer = Buffer.alloc(9)
  prefix(FILE, indexId).copy(buffer)
  buffer.writeUInt32BE(fileNo, 5)
  return buffer
}

function ownerKey(owner: string): Buffer {
  return Buffer.concat([Buffer.from([OWNER]), Buffer.from(owner, 'utf8')])
}

function encodeEntry(entry: TableEntry): Buffer {
  const buffer = Buffer.alloc(8)
  buffer.writeUInt32BE(entry.indexId, 0)
  buffer.writeUInt32BE(entry.nextFileNo, 4)
  return buffer
}

function decodeEntry(value: Buffer): TableEntry {
  return { indexId: value.readUInt32BE(0), nextFileNo: value.readUInt32BE(4) }
}
