/**
 * Backend messages: those of the server that we build, and those that we look into.
 *
 * B1  Parsers take a whole message and throw ProtocolViolation when it is not well formed.
 *
 * Source: PostgreSQL documentation, "Message Formats" and "Error and Notice Message Fields".
 */
import type { Oid } from '../base/oid.ts'
import { BACKEND, HEADER_BYTES, type TransactionStatus } from './message-code.ts'
import { MessageReader } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'

export interface FieldDescription {
  readonly name: string
  readonly tableOid: Oid
  readonly attnum: number
  readonly typeOid: Oid
  readonly typeBytes: number
  readonly typmod: number
  readonly format: number
}

/** Fields of an error or notice by their letter: C SQLSTATE, M message, D detail … */
export type ReportFields = ReadonlyMap<string, string>

export interface ErrorReport {
  readonly severity: 'ERROR' | 'FATAL'
  readonly sqlState: string
  readonly message: string
  readonly detail?: string | null
  readonly hint?: string | null
}

export function errorResponse(error: ErrorReport): Buffer {
  const fields = new Map([
    ['S', error.severity], ['V', error.severity], ['C', error.sqlState], ['M', error.message],
  ])
  if (error.detail !== undefined && error.detail !== null) fields.set('D', error.detail)
  if (error.hint !== undefined && error.hint !== null) fields.set('H', error.hint)
  return reportMessage(BACKEND.error, fields)
}

function reportMessage(code: number, fields: ReportFields): Buffer {
  const out = new MessageWriter().begin(code)
  for (const [letter, text] of fields) out.byte(letter.charCodeAt(0)).cstring(text)
  return out.byte(0).finish().take()
}

/** Fields of an ErrorResponse or NoticeResponse. */
export function parseReport(message: Buffer): ReportFields {
  const reader = new MessageReader(message, HEADER_BYTES)
  const fields = new Map<string, string>()
  for (;;) {
    const letter = reader.byte()
    if (letter === 0) break
    fields.set(String.fromCharCode(letter), reader.cstring())
  }
  reader.end()
  return fields
}

/** The same report for a text that began `shift` characters later (earlier when negative). */
export function shiftPosition(message: Buffer, shift: number): Buffer {
  const fields = new Map(parseReport(message))
  const position = Number(fields.get('P') ?? Number.NaN)
  if (Number.isNaN(position) || shift === 0) return message
  if (position + shift > 0) fields.set('P', String(position + shift))
  else fields.delete('P')
  return reportMessage(message[0] ?? BACKEND.error, fields)
}

export function readyForQuery(status: TransactionStatus): Buffer {
  return new MessageWriter(6).begin(BACKEND.readyForQuery).byte(status.charCodeAt(0)).finish()
    .take()
}

export function commandComplete(tag: string): Buffer {
  return new MessageWriter(32).begin(BACKEND.commandComplete).cstring(tag).finish().take()
}

export function emptyMessage(code: number): Buffer {
  return new MessageWriter(HEADER_BYTES).begin(code).finish().take()
}

/** One column of type text, in text format: what EXPLAIN answers with. */
export function textColumnDescription(name: string): Buffer {
  return new MessageWriter(64).begin(BACKEND.rowDescription).int16(1).cstring(name)
    .uint32(0).int16(0).uint32(25).int16(-1).int32(-1).int16(0).finish().take()
}

export function textRow(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  return new MessageWriter(bytes.length + 16).begin(BACKEND.dataRow).int16(1).int32(bytes.length)
    .bytes(bytes).finish().take()
}

export function parseRowDescription(message: Buffer): readonly FieldDescription[] {
  const reader = new MessageReader(message, HEADER_BYTES)
  const fields = Array.from({ length: reader.int16() }, () => ({
    name: reader.cstring(), tableOid: reader.uint32() as Oid, attnum: reader.int16(),
    typeOid: reader.uint32() as Oid, typeBytes: reader.int16(), typmod: reader.int32(),
    format: reader.int16(),
  }))
  reader.end()
  return fields
}

/** The same description with the result formats of a Bind: none, one for all, or one each. */
export function withFormats(message: Buffer, formats: readonly number[]): Buffer {
  const copy = Buffer.from(message)
  const columns = copy.readInt16BE(HEADER_BYTES)
  let at = HEADER_BYTES + 2
  for (let column = 0; column < columns; column++) {
    at = copy.indexOf(0, at) + 1 + 16
    copy.writeInt16BE((formats.length === 1 ? formats[0] : formats[column]) ?? 0, at)
    at += 2
  }
  return copy
}

export function parseParameterDescription(message: Buffer): readonly Oid[] {
  const reader = new MessageReader(message, HEADER_BYTES)
  const types = Array.from({ length: reader.int16() & 0xffff }, () => reader.uint32() as Oid)
  reader.end()
  return types
}

/** Text of each column of a DataRow in text format. */
export function parseTextRow(message: Buffer): readonly (string | null)[] {
  const reader = new MessageReader(message, HEADER_BYTES)
  const row = Array.from({ length: reader.int16() & 0xffff }, () => {
    const length = reader.int32()
    return length === -1 ? null : reader.bytes(length).toString('utf8')
  })
  reader.end()
  return row
}
