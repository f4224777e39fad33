/**
 * ChangeSpool: one table's changes while it is being copied, in order, on disk beyond a bound.
 *
 * SP1  What was added comes back once, in order.
 * SP2  At most MEMORY_BYTES_MAX of values are held in memory while adding.
 */
import { appendFileSync, closeSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import { UNCHANGED_TOAST, type ReplicationMessage, type Tuple } from '../mirror/replication.ts'

/** A message of one table, with the transaction that made it. */
export interface SpooledChange {
  readonly xid: number
  readonly commitTimeUs: bigint
  readonly message: ReplicationMessage
}

const MEMORY_BYTES_MAX = 16 * 1024 * 1024
const ROW_BYTES = 64

export class ChangeSpool implements Disposable {
  readonly #path: string
  /** Tail of the spool, after what is in the file. */
  #recent: SpooledChange[] = []
  #recentBytes = 0
  #file: number | null = null
  #readAt = 0
  #written = 0

  /** `path`: a file of its own, made when needed. */
  constructor(path: string) {
    this.#path = path
  }

  get isEmpty(): boolean {
    return this.#recent.length === 0 && this.#readAt === this.#written
  }

  add(change: SpooledChange): void {
    this.#recent.push(change)
    this.#recentBytes += sizeOf(change.message)
    if (this.#recentBytes > MEMORY_BYTES_MAX) this.#writeOut()
  }

  /** The oldest changes, removed from the spool; several, or none when it is empty. */
  take(): readonly SpooledChange[] {
    if (this.#file !== null && this.#readAt < this.#written) return this.#readBack(this.#file)
    const taken = this.#recent
    this.#recent = []
    this.#recentBytes = 0
    return taken
  }

  [Symbol.dispose](): void {
    this.#recent = []
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
    rmSync(this.#path, { force: true })
  }

  #writeOut(): void {
    if (this.#file === null) {
      mkdirSync(dirname(this.#path), { recursive: true })
      this.#file = openSync(this.#path, 'w+')
    }
    const body = serialize(this.#recent.map(packed))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length)
    appendFileSync(this.#file, Buffer.concat([length, body]))
    this.#written += 4 + body.length
    this.#recent = []
    this.#recentBytes = 0
  }

  #readBack(file: number): readonly SpooledChange[] {
    const length = Buffer.alloc(4)
    readSync(file, length, 0, 4, this.#readAt)
    const body = Buffer.alloc(length.readUInt32BE(0))
    readSync(file, body, 0, body.length, this.#readAt + 4)
    this.#readAt += 4 + body.length
    return (deserialize(body) as SpooledChange[]).map(unpacked)
  }
}

function sizeOf(message: ReplicationMessage): number {
  let bytes = ROW_BYTES
  for (const tuple of tuplesOf(message)) {
    for (const value of tuple) bytes += Buffer.isBuffer(value) ? value.length + 16 : 8
  }
  return bytes
}

function tuplesOf(message: ReplicationMessage): Tuple[] {
  switch (message.kind) {
    case 'insert': return [message.newTuple]
    case 'update': return message.oldTuple === null ? [message.newTuple]
      : [message.oldTuple, message.newTuple]
    case 'delete': return [message.oldTuple]
    default: return []
  }
}

/** A symbol does not survive serialisation; `false` stands for it. */
function packed(change: SpooledChange): unknown {
  return mapTuples(change, (value) => value === UNCHANGED_TOAST ? false : value)
}

function unpacked(change: SpooledChange): SpooledChange {
  return mapTuples(change, (value) => {
    if (value === false) return UNCHANGED_TOAST
    return value instanceof Uint8Array ? Buffer.from(value) : value
  }) as SpooledChange
}

function mapTuples(change: SpooledChange, map: (value: unknown) => unknown): unknown {
  const { message } = change
  switch (message.kind) {
    case 'insert':
      return { ...change, message: { ...message, newTuple: message.newTuple.map(map) } }
    case 'update':
      return { ...change, message: { ...message, newTuple: message.newTuple.map(map),
        oldTuple: message.oldTuple?.map(map) ?? null } }
    case 'delete':
      return { ...change, message: { ...message, oldTuple: message.oldTuple.map(map) } }
    default: return change
  }
}
