/**
 * pgoutput: decodes what a walsender sends, encodes what it wants to hear.
 *
 * O1  Pure: bytes in, values out. A frame that is too short, too long or of an unknown kind
 *     throws PgoutputError, which says where but never repeats a byte of the frame.
 * O2  Column values are views into the given frame, not copies: whoever keeps one keeps the
 *     frame's memory, and nobody may write to the frame afterwards.
 *
 * Source: PostgreSQL documentation, "Streaming Replication Protocol" and "Logical Replication
 * Message Formats", proto_version 2 with streaming off, so no message carries an extra xid.
 */
import { lsnFromBigint, type Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import {
  UNCHANGED_TOAST, type RelationColumn, type ReplicationMessage, type TupleValue,
} from '../mirror/replication.ts'

export class PgoutputError extends Error {
  override readonly name = 'PgoutputError'
}

/** What one CopyData of a walsender holds. */
export type WalsenderFrame =
  | { readonly kind: 'wal'; readonly message: ReplicationMessage }
  /** `replyNow`: the server drops us soon unless it hears a status. */
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn; readonly replyNow: boolean }

/** PostgreSQL counts µs from 2000-01-01, everyone else from 1970-01-01. */
const EPOCH_2000_US = 946_684_800_000_000n
const XLOG_DATA_HEADER = 25
const KEEPALIVE_BYTES = 18
const OTHER: ReplicationMessage = { kind: 'other' }

/** Decodes the payload of one CopyData, `frame[start, end)`. */
export function decodeWalsenderFrame(frame: Buffer, start: number, end: number): WalsenderFrame {
  const kind = start < end ? frame[start] : undefined
  if (kind === 0x77) { // w: XLogData: start, end, clock, then the plugin's message
    if (end - start < XLOG_DATA_HEADER) throw new PgoutputError('XLogData is cut short')
    return { kind: 'wal', message: decodePgoutput(frame, start + XLOG_DATA_HEADER, end) }
  }
  if (kind === 0x6b) { // k: primary keepalive
    if (end - start !== KEEPALIVE_BYTES) throw new PgoutputError('keepalive has a wrong length')
    return {
      kind: 'keepalive', walEnd: lsnAt(frame, start + 1), replyNow: frame[start + 17] === 1,
    }
  }
  throw new PgoutputError(`unknown walsender frame ${String(kind)}`)
}

/** Decodes one pgoutput message, `frame[start, end)`. Throws PgoutputError. */
export function decodePgoutput(frame: Buffer, start: number, end: number): ReplicationMessage {
  const reader = new Reader(frame, start, end)
  const message = decodeMessage(reader)
  if (reader.at !== end) throw new PgoutputError('message is longer than its content')
  return message
}

/**
 * Standby status update. `flushed` is what PostgreSQL may forget; `replyNow` makes the
 * walsender answer with a keepalive that carries its position.
 */
export function encodeStandbyStatus(status: {
  readonly received: Lsn
  readonly flushed: Lsn
  readonly nowUs: bigint
  readonly replyNow: boolean
}): Buffer {
  const body = Buffer.allocUnsafe(34)
  body[0] = 0x72 // r
  body.writeBigUInt64BE(status.received, 1)
  body.writeBigUInt64BE(status.flushed, 9)
  body.writeBigUInt64BE(status.flushed, 17)
  body.writeBigInt64BE(status.nowUs - EPOCH_2000_US, 25)
  body[33] = status.replyNow ? 1 : 0
  return body
}

class Reader {
  readonly frame: Buffer
  readonly end: number
  at: number

  constructor(frame: Buffer, start: number, end: number) {
    if (start < 0 || start > end || end > frame.length) {
      throw new PgoutputError('message lies outside its frame')
    }
    this.frame = frame
    this.at = start
    this.end = end
  }

  /** Moves on by `bytes` and gives where they began. */
  take(bytes: number): number {
    const at = this.at
    const next = at + bytes
    if (next > this.end) throw new PgoutputError('message is cut short')
    this.at = next
    return at
  }

  byte(): number {
    return this.frame[this.take(1)] as number
  }

  int16(): number {
    const at = this.take(2)
    return ((this.frame[at] as number) << 8) | (this.frame[at + 1] as number)
  }

  uint32(): number {
    return this.frame.readUInt32BE(this.take(4))
  }

  int32(): number {
    return this.frame.readInt32BE(this.take(4))
  }

  /** PostgreSQL's Oid is any 32 bits, so no check is left to do. */
  oid(): Oid {
    return this.uint32() as Oid
  }

  lsn(): Lsn {
    return lsnAt(this.frame, this.take(8))
  }

  timeUs(): bigint {
    return this.frame.readBigInt64BE(this.take(8)) + EPOCH_2000_US
  }

  text(): string {
    const zero = this.frame.indexOf(0, this.at)
    if (zero < 0 || zero >= this.end) throw new PgoutputError('text is not terminated')
    const text = this.frame.toString('utf8', this.at, zero)
    this.at = zero + 1
    return text
  }

  bytes(length: number): Buffer {
    if (length < 0) throw new PgoutputError('length is negative')
    const at = this.take(length)
    return this.frame.subarray(at, at + length)
  }

  tuple(): TupleValue[] {
    const count = this.int16()
    // A column takes a byte at least: a count beyond that would only reserve memory.
    if (count > this.end - this.at) throw new PgoutputError('tuple is cut short')
    const values = new Array<TupleValue>(count)
    for (let i = 0; i < count; i++) values[i] = this.#value()
    return values
  }

  #value(): TupleValue {
    switch (this.byte()) {
      case 0x74: return this.bytes(this.int32()) // t
      case 0x6e: return null // n
      case 0x75: return UNCHANGED_TOAST // u
      default: throw new PgoutputError('unknown column format: only text is asked for')
    }
  }
}

function decodeMessage(reader: Reader): ReplicationMessage {
  const kind = reader.byte()
  switch (kind) {
    case 0x49: return decodeInsert(reader)
    case 0x55: return decodeUpdate(reader)
    case 0x44: return decodeDelete(reader)
    case 0x42: // B
      return {
        kind: 'begin', finalLsn: reader.lsn(), commitTimeUs: reader.timeUs(), xid: reader.uint32(),
      }
    case 0x43: // C
      reader.byte()
      return {
        kind: 'commit', commitLsn: reader.lsn(), endLsn: reader.lsn(),
        commitTimeUs: reader.timeUs(),
      }
    case 0x52: return decodeRelation(reader)
    case 0x54: return decodeTruncate(reader)
    case 0x4d: return decodeLogicalMessage(reader)
    case 0x59: // Y: type of a column that follows in a relation
      reader.oid()
      reader.text()
      reader.text()
      return OTHER
    case 0x4f: // O: origin
      reader.lsn()
      reader.text()
      return OTHER
    default: throw new PgoutputError(`unknown pgoutput message ${kind}`)
  }
}

function decodeInsert(reader: Reader): ReplicationMessage {
  const relid = reader.oid()
  expectTag(reader, 0x4e)
  return { kind: 'insert', relid, newTuple: reader.tuple() }
}

function decodeUpdate(reader: Reader): ReplicationMessage {
  const relid = reader.oid()
  const tag = reader.byte()
  if (tag === 0x4e) {
    return { kind: 'update', relid, oldTuple: null, oldIsKeyOnly: false, newTuple: reader.tuple() }
  }
  const oldIsKeyOnly = isKeyTag(tag)
  const oldTuple = reader.tuple()
  expectTag(reader, 0x4e)
  return { kind: 'update', relid, oldTuple, oldIsKeyOnly, newTuple: reader.tuple() }
}

function decodeDelete(reader: Reader): ReplicationMessage {
  const relid = reader.oid()
  const oldIsKeyOnly = isKeyTag(reader.byte())
  return { kind: 'delete', relid, oldTuple: reader.tuple(), oldIsKeyOnly }
}

function decodeRelation(reader: Reader): ReplicationMessage {
  const relid = reader.oid()
  const schema = reader.text()
  const name = reader.text()
  const replicaIdentity = String.fromCharCode(reader.byte())
  const count = reader.int16()
  const columns: RelationColumn[] = []
  for (let i = 0; i < count; i++) {
    columns.push({
      isKey: (reader.byte() & 1) === 1,
      name: reader.text(),
      typeOid: reader.oid(),
      typmod: reader.int32(),
    })
  }
  // PostgreSQL leaves the schema of its own catalog empty (logicalrep_write_namespace).
  return {
    kind: 'relation', relid, schema: schema === '' ? 'pg_catalog' : schema, name,
    replicaIdentity, columns,
  }
}

function decodeTruncate(reader: Reader): ReplicationMessage {
  const count = reader.uint32()
  reader.byte() // 1 CASCADE, 2 RESTART IDENTITY: the tables it reached are all listed
  if (count * 4 > reader.end - reader.at) throw new PgoutputError('truncate is cut short')
  const relids: Oid[] = []
  for (let i = 0; i < count; i++) relids.push(reader.oid())
  return { kind: 'truncate', relids }
}

function decodeLogicalMessage(reader: Reader): ReplicationMessage {
  const transactional = (reader.byte() & 1) === 1
  const lsn = reader.lsn()
  const prefix = reader.text()
  return { kind: 'message', transactional, lsn, prefix, content: reader.bytes(reader.int32()) }
}

function expectTag(reader: Reader, tag: number): void {
  if (reader.byte() !== tag) throw new PgoutputError('new tuple expected')
}

function isKeyTag(tag: number): boolean {
  if (tag === 0x4b) return true // K: the key's columns only
  if (tag === 0x4f) return false // O: replica identity FULL
  throw new PgoutputError('old tuple expected')
}

function lsnAt(frame: Buffer, at: number): Lsn {
  return lsnFromBigint(frame.readBigUInt64BE(at))
}
