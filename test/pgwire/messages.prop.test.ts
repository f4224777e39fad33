/** Frontend and backend messages: what is built can be read, and what is cut short is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  errorResponse, parseParameterDescription, parseReport, parseRowDescription, parseTextRow,
  shiftPosition, textColumnDescription, textRow, withFormats,
} from '../../src/pgwire/backend-message.ts'
import {
  boundStatement, parseBind, parseExecute, parseParse, parseTargeted, queryText, writeParse,
  writeQuery,
} from '../../src/pgwire/frontend-message.ts'
import { BACKEND, FRONTEND } from '../../src/pgwire/message-code.ts'
import { ProtocolViolation } from '../../src/pgwire/message-reader.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import {
  cancelRequest, parseStartupPacket, startupLength, STARTUP_BYTES_MAX,
} from '../../src/pgwire/startup-packet.ts'

const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''))
const latin = fc.string().map((value) => value.replaceAll('\0', ''))
const int16 = fc.integer({ min: -32768, max: 32767 })
const oid = fc.integer({ min: 0, max: 0xffffffff })
const value = fc.option(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)))

const PARSERS = [queryText, parseParse, parseBind, parseExecute, parseTargeted, parseReport,
  parseRowDescription, parseParameterDescription, parseTextRow]

describe('messages', () => {
  it('Parse', () => {
    fc.assert(fc.property(latin, text, fc.array(oid), (name, sql, parameterTypes) => {
      const out = new MessageWriter(1)
      writeParse(out, { name, sql, parameterTypes })
      const read = parseParse(out.take())
      expect({ ...read, sql: read.sql.toString('utf8') }).toEqual({ name, sql, parameterTypes })
    }))
  })

  it('Query', () => {
    fc.assert(fc.property(text, (sql) => {
      const out = new MessageWriter(1)
      writeQuery(out, sql)
      expect(queryText(out.take()).toString('utf8')).toBe(sql)
    }))
  })

  it('Bind', () => {
    fc.assert(fc.property(latin, latin, fc.array(int16), fc.array(value), fc.array(int16),
      (portal, statement, parameterFormats, values, resultFormats) => {
        const out = new MessageWriter(1).begin(FRONTEND.bind)
          .cstring(Buffer.from(portal, 'latin1')).cstring(Buffer.from(statement, 'latin1'))
        out.int16(parameterFormats.length)
        for (const format of parameterFormats) out.int16(format)
        out.int16(values.length)
        for (const bytes of values) {
          if (bytes === null) out.int32(-1)
          else out.int32(bytes.length).bytes(bytes)
        }
        out.int16(resultFormats.length)
        for (const format of resultFormats) out.int16(format)
        const message = out.finish().take()
        expect(parseBind(message)).toEqual(
          { portal, statement, parameterFormats, values, resultFormats })
        expect(boundStatement(message, 5, message.length)).toBe(statement)
      }))
  })

  it('errors: fields, and a position moved by a prefix', () => {
    fc.assert(fc.property(text, fc.integer({ min: 1, max: 1000 }), (message, position) => {
      const error = errorResponse({ severity: 'ERROR', sqlState: '42703', message, hint: 'h' })
      expect(Object.fromEntries(parseReport(error)))
        .toEqual({ S: 'ERROR', V: 'ERROR', C: '42703', M: message, H: 'h' })
      const placed = new MessageWriter().begin(BACKEND.error).byte(0x50).cstring(String(position))
        .byte(0).finish().take()
      expect(parseReport(shiftPosition(placed, 20)).get('P')).toBe(String(position + 20))
      expect(parseReport(shiftPosition(placed, -position)).has('P')).toBe(false)
      expect(shiftPosition(error, 20)).toBe(error)
    }))
  })

  it('RowDescription with the formats of a Bind', () => {
    const message = textColumnDescription('QUERY PLAN')
    expect(parseRowDescription(withFormats(message, [1]))).toMatchObject(
      [{ name: 'QUERY PLAN', typeOid: 25, format: 1 }])
    expect(withFormats(message, [])).toEqual(message)
    expect(parseTextRow(textRow('a line'))).toEqual(['a line'])
  })

  it('anything else is refused, never read beyond its end', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
      const message = new MessageWriter(1).begin(0x3f).bytes(body).finish().take()
      // What lies behind must not be taken for a part of it.
      const within = Buffer.concat([message, Buffer.alloc(64)]).subarray(0, message.length)
      for (const parse of PARSERS) {
        try {
          parse(within)
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolViolation)
        }
      }
    }))
  })
})

describe('startup packets', () => {
  it('parameters and protocol', () => {
    const name = text.filter((key) => key !== '')
    fc.assert(fc.property(fc.dictionary(name, text, { maxKeys: 6 }), (parameters) => {
      const out = new MessageWriter(1).beginUntyped().uint32(196610)
      for (const [key, told] of Object.entries(parameters)) out.cstring(key).cstring(told)
      const packet = out.byte(0).finish().take()
      expect(startupLength(packet)).toBe(packet.length)
      expect(parseStartupPacket(packet)).toEqual(
        { kind: 'startup', protocol: 196610, parameters: new Map(Object.entries(parameters)) })
    }))
  })

  it('a cancel key of any length', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 8, maxLength: 260 }), (key) => {
      expect(parseStartupPacket(cancelRequest(Buffer.from(key))))
        .toEqual({ kind: 'cancel', key: Buffer.from(key) })
    }))
  })

  it('garbage is refused', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes) => {
      try {
        parseStartupPacket(Buffer.from(bytes))
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolViolation)
      }
    }))
    expect(startupLength(Buffer.alloc(3))).toBeNull()
    for (const length of [7, STARTUP_BYTES_MAX + 5, -1]) {
      const packet = Buffer.alloc(8)
      packet.writeInt32BE(length)
      expect(() => startupLength(packet)).toThrow(ProtocolViolation)
    }
  })
})
