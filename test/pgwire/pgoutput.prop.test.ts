import fc from 'fast-check'
import { expect, test } from 'vitest'
import { lsnFromBigint } from '../../src/base/lsn.ts'
import { oid } from '../../src/base/oid.ts'
import { UNCHANGED_TOAST, type ReplicationMessage } from '../../src/mirror/replication.ts'
import {
  decodePgoutput, decodeWalsenderFrame, encodeStandbyStatus, PgoutputError,
} from '../../src/pgwire/pgoutput.ts'

const EPOCH_2000_US = 946_684_800_000_000n

/** The reverse of the decoder, written from PostgreSQL's documentation. */
function encode(message: ReplicationMessage): Buffer {
  switch (message.kind) {
    case 'begin': return Buffer.concat([
      char('B'), int64(message.finalLsn), time(message.commitTimeUs), int32(message.xid)])
    case 'commit': return Buffer.concat([char('C'), Buffer.from([0]), int64(message.commitLsn),
      int64(message.endLsn), time(message.commitTimeUs)])
    case 'relation': return Buffer.concat([char('R'), int32(message.relid), text(message.schema),
      text(message.name), char(message.replicaIdentity), int16(message.columns.length),
      ...message.columns.flatMap((column) => [Buffer.from([column.isKey ? 1 : 0]),
        text(column.name), int32(column.typeOid), int32(column.typmod >>> 0)])])
    case 'insert': return Buffer.concat([
      char('I'), int32(message.relid), char('N'), tuple(message.newTuple)])
    case 'update': return Buffer.concat([char('U'), int32(message.relid),
      ...(message.oldTuple === null ? []
        : [char(message.oldIsKeyOnly ? 'K' : 'O'), tuple(message.oldTuple)]),
      char('N'), tuple(message.newTuple)])
    case 'delete': return Buffer.concat([char('D'), int32(message.relid),
      char(message.oldIsKeyOnly ? 'K' : 'O'), tuple(message.oldTuple)])
    case 'truncate': return Buffer.concat([char('T'), int32(message.relids.length),
      Buffer.from([3]), ...message.relids.map((relid) => int32(relid))])
    case 'message': return Buffer.concat([char('M'), Buffer.from([message.transactional ? 1 : 0]),
      int64(message.lsn), text(message.prefix), int32(message.content.length), message.content])
    case 'other': return Buffer.concat([char('O'), int64(1n), text('origin')])
    case 'keepalive': throw new Error('not pgoutput')
  }
}

const char = (letter: string): Buffer => Buffer.from(letter, 'latin1')
const text = (value: string): Buffer => Buffer.from(`${value}\0`)
const int16 = (value: number): Buffer => {
  const buffer = Buffer.alloc(2)
  buffer.writeUInt16BE(value)
  return buffer
}
const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}
const int64 = (value: bigint): Buffer => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64BE(value)
  return buffer
}
const time = (us: bigint): Buffer => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigInt64BE(us - EPOCH_2000_US)
  return buffer
}
function tuple(values: readonly unknown[]): Buffer {
  return Buffer.concat([int16(values.length), ...values.flatMap((value) => {
    if (value === null) return [char('n')]
    if (value === UNCHANGED_TOAST) return [char('u')]
    const bytes = value as Buffer
    return [char('t'), int32(bytes.length), bytes]
  })])
}

const relid = fc.integer({ min: 1, max: 0xffffffff }).map(oid)
const lsn = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(lsnFromBigint)
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))
const name = fc.string({ unit: 'grapheme', maxLength: 12 })
  .filter((value) => !value.includes('\0') && value !== '')
const value = fc.oneof(bytes, fc.constant(null), fc.constant(UNCHANGED_TOAST))
const values = fc.array(value, { maxLength: 8 })
const commitTimeUs = fc.bigInt({ min: -(1n << 50n), max: 1n << 60n })
const anyMessage: fc.Arbitrary<ReplicationMessage> = fc.oneof(
  fc.record({ kind: fc.constant('begin' as const), finalLsn: lsn, commitTimeUs,
    xid: fc.integer({ min: 3, max: 0xffffffff }) }),
  fc.record({ kind: fc.constant('commit' as const), commitLsn: lsn, endLsn: lsn, commitTimeUs }),
  fc.record({ kind: fc.constant('relation' as const), relid, schema: name, name,
    replicaIdentity: fc.constantFrom('d', 'f', 'n', 'i'),
    columns: fc.array(fc.record({ isKey: fc.boolean(), name, typeOid: relid,
      typmod: fc.integer({ min: -1, max: 1 << 30 }) }), { maxLength: 6 }) }),
  fc.record({ kind: fc.constant('insert' as const), relid, newTuple: values }),
  fc.record({ kind: fc.constant('update' as const), relid, oldTuple: fc.constant(null),
    oldIsKeyOnly: fc.constant(false), newTuple: values }),
  fc.record({ kind: fc.constant('update' as const), relid, oldTuple: values,
    oldIsKeyOnly: fc.boolean(), newTuple: values }),
  fc.record({ kind: fc.constant('delete' as const), relid, oldIsKeyOnly: fc.boolean(),
    oldTuple: values }),
  fc.record({ kind: fc.constant('truncate' as const), relids: fc.array(relid, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('message' as const), transactional: fc.boolean(), lsn,
    prefix: name, content: bytes }),
  fc.constant({ kind: 'other' as const }),
)

test('decodes what was encoded, wherever it lies in its buffer', () => {
  fc.assert(fc.property(anyMessage, bytes, bytes, (message, before, after) => {
    const encoded = encode(message)
    const frame = Buffer.concat([before, encoded, after])
    const decoded = decodePgoutput(frame, before.length, before.length + encoded.length)
    expect(decoded).toEqual(message)
  }), { numRuns: 500 })
})

test('a frame that is cut short or has bytes left over throws PgoutputError', () => {
  fc.assert(fc.property(anyMessage, fc.nat(), (message, cut) => {
    const encoded = encode(message)
    const shorter = encoded.subarray(0, cut % encoded.length)
    expect(() => decodePgoutput(shorter, 0, shorter.length)).toThrow(PgoutputError)
    const longer = Buffer.concat([encoded, Buffer.from([0])])
    expect(() => decodePgoutput(longer, 0, longer.length)).toThrow(PgoutputError)
  }), { numRuns: 500 })
})

test('any bytes are decoded or refused with PgoutputError, and never with anything else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(...'wkBCRIUDTMYO\0'),
    (array, kind) => {
      const frame = Buffer.concat([Buffer.from(kind, 'latin1'), array])
      for (const decode of [decodePgoutput, decodeWalsenderFrame]) {
        try {
          decode(frame, 0, frame.length)
        } catch (error) {
          expect(error).toBeInstanceOf(PgoutputError)
        }
      }
    }), { numRuns: 2_000 })
})

test('walsender frames: XLogData, keepalive, and the status that answers', () => {
  fc.assert(fc.property(anyMessage, lsn, fc.boolean(), (message, position, replyNow) => {
    const wal = Buffer.concat([
      char('w'), int64(position), int64(position), int64(0n), encode(message)])
    expect(decodeWalsenderFrame(wal, 0, wal.length)).toEqual({ kind: 'wal', message })
    const keepalive = Buffer.concat([
      char('k'), int64(position), int64(0n), Buffer.from([replyNow ? 1 : 0])])
    expect(decodeWalsenderFrame(keepalive, 0, keepalive.length))
      .toEqual({ kind: 'keepalive', walEnd: position, replyNow })
    const status = encodeStandbyStatus({
      received: position, flushed: position, nowUs: EPOCH_2000_US + 5n, replyNow,
    })
    expect(status.toString('hex')).toBe(Buffer.concat([char('r'), int64(position), int64(position),
      int64(position), int64(5n), Buffer.from([replyNow ? 1 : 0])]).toString('hex'))
  }), { numRuns: 200 })
})
