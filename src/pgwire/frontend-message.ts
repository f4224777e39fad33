/**
 * Frontend messages: those of the client that we build, and those that we look into.
 *
 * F1  Parsers take a whole message and throw ProtocolViolation when it is not well formed;
 *     who passes messages on then passes this one on too, and PostgreSQL says what is wrong.
 *
 * Source: PostgreSQL documentation, "Message Formats".
 */
import type { Oid } from '../base/oid.ts'
import { FRONTEND, HEADER_BYTES } from './message-code.ts'
import { MessageReader, ProtocolViolation } from './message-reader.ts'
import type { MessageWriter } from './message-writer.ts'

export interface ParseMessage {
  /** Names are kept as latin1 text: bytes, whatever the client's encoding. */
  readonly name: string
  readonly sql: Buffer
  /** 0 where the client leaves the type to PostgreSQL. */
  readonly parameterTypes: readonly Oid[]
}

export interface BindMessage {
  readonly portal: string
  readonly statement: string
  readonly parameterFormats: readonly number[]
  readonly values: readonly (Buffer | null)[]
  readonly resultFormats: readonly number[]
}

export function writeParse(out: MessageWriter, message: {
  readonly name: string
  readonly sql: string | Uint8Array
  readonly parameterTypes: readonly number[]
}): void {
  out.begin(FRONTEND.parse).cstring(Buffer.from(message.name, 'latin1')).cstring(message.sql)
  out.int16(message.parameterTypes.length)
  for (const type of message.parameterTypes) out.uint32(type)
  out.finish()
}

/** Binds the unnamed portal to a statement and fetches all of it; no `resultFormats`: as text. */
export function writeUnnamedPortal(out: MessageWriter, message: {
  readonly statement: string
  readonly parameterFormats: readonly number[]
  readonly values: readonly (Buffer | null)[]
  readonly resultFormats?: readonly number[]
}): void {
  const { resultFormats = [] } = message
  out.begin(FRONTEND.bind).byte(0).cstring(Buffer.from(message.statement, 'latin1'))
  out.int16(message.parameterFormats.length)
  for (const format of message.parameterFormats) out.int16(format)
  out.int16(message.values.length)
  for (const value of message.values) {
    if (value === null) out.int32(-1)
    else out.int32(value.length).bytes(value)
  }
  out.int16(resultFormats.length)
  for (const format of resultFormats) out.int16(format)
  out.finish()
  out.begin(FRONTEND.execute).byte(0).int32(0).finish()
}

export function writeDescribeStatement(out: MessageWriter, name: string): void {
  out.begin(FRONTEND.describe).byte(0x53).cstring(Buffer.from(name, 'latin1')).finish()
}

/** Closing a statement that does not exist is no error. */
export function writeCloseStatement(out: MessageWriter, name: string): void {
  out.begin(FRONTEND.close).byte(0x53).cstring(Buffer.from(name, 'latin1')).finish()
}

export function writeCloseUnnamedPortal(out: MessageWriter): void {
  out.begin(FRONTEND.close).byte(0x50).byte(0).finish()
}

export function writeSync(out: MessageWriter): void {
  out.begin(FRONTEND.sync).finish()
}

export function writeQuery(out: MessageWriter, sql: string): void {
  out.begin(FRONTEND.query).cstring(sql).finish()
}

export function writeTerminate(out: MessageWriter): void {
  out.begin(FRONTEND.terminate).finish()
}

/** The text of a Query message: a view. */
export function queryText(message: Buffer): Buffer {
  const reader = new MessageReader(message, HEADER_BYTES)
  const text = reader.cstringBytes()
  reader.end()
  return text
}

/** `sql` is a view. */
export function parseParse(message: Buffer): ParseMessage {
  const reader = new MessageReader(message, HEADER_BYTES)
  const name = reader.cstringBytes().toString('latin1')
  const sql = reader.cstringBytes()
  const parameterTypes = list(reader, () => reader.uint32() as Oid)
  reader.end()
  return { name, sql, parameterTypes }
}

/** Values are views. */
export function parseBind(message: Buffer): BindMessage {
  const reader = new MessageReader(message, HEADER_BYTES)
  const portal = reader.cstringBytes().toString('latin1')
  const statement = reader.cstringBytes().toString('latin1')
  const parameterFormats = list(reader, () => reader.int16())
  const values = list(reader, () => {
    const length = reader.int32()
    return length === -1 ? null : reader.bytes(length)
  })
  const resultFormats = list(reader, () => reader.int16())
  reader.end()
  return { portal, statement, parameterFormats, values, resultFormats }
}

/** Describe and Close: 'S'tatement or 'P'ortal, and its name. */
export function parseTargeted(message: Buffer): {
  readonly target: 'statement' | 'portal'
  readonly name: string
} {
  const reader = new MessageReader(message, HEADER_BYTES)
  const letter = reader.byte()
  const name = reader.cstringBytes().toString('latin1')
  reader.end()
  if (letter !== 0x53 && letter !== 0x50) {
    throw new ProtocolViolation('neither statement nor portal')
  }
  return { target: letter === 0x53 ? 'statement' : 'portal', name }
}

export function parseExecute(message: Buffer): {
  readonly portal: string
  /** 0: all. */
  readonly rowsMax: number
} {
  const reader = new MessageReader(message, HEADER_BYTES)
  const portal = reader.cstringBytes().toString('latin1')
  const rowsMax = reader.int32()
  reader.end()
  return { portal, rowsMax }
}

/** Of Bind's two names only the second, without reading the rest. */
export function boundStatement(message: Buffer, start: number, end: number): string | null {
  const portalEnd = message.indexOf(0, start)
  if (portalEnd < 0 || portalEnd >= end) return null
  const nameEnd = message.indexOf(0, portalEnd + 1)
  if (nameEnd < 0 || nameEnd >= end) return null
  return message.toString('latin1', portalEnd + 1, nameEnd)
}

function list<T>(reader: MessageReader, read: () => T): readonly T[] {
  const count = reader.int16() & 0xffff
  // Each entry has two bytes at least, so a lying count cannot make us allocate.
  if (count * 2 > reader.remaining) throw new ProtocolViolation('a list is cut short')
  return Array.from({ length: count }, read)
}
