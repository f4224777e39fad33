/**
 * ClientWalker, ServerWalker, ExtendedBatch: wherever chunks are cut, the same is seen; and
 * LinkProtocol: what is sent is what is read.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lsnFromBigint } from '../../src/base/lsn.ts'
import { oid } from '../../src/base/oid.ts'
import { ByteBacklog } from '../../src/gateway/byte-backlog.ts'
import { ClientWalker } from '../../src/gateway/client-walker.ts'
import { ExchangeState } from '../../src/gateway/exchange-state.ts'
import { readExtendedBatch } from '../../src/gateway/extended-batch.ts'
import {
  decodeFromEngine, decodeToEngine, encodeLinkFrame, LINK_FRAME_BYTES_MAX, type FromEngine,
} from '../../src/gateway/link-protocol.ts'
import { PreparedStatements } from '../../src/gateway/prepared-statements.ts'
import { ServerWalker } from '../../src/gateway/server-walker.ts'
import { FrameAssembler, type Frame } from '../../src/pgwire/frame-assembler.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import {
  bindMessage, describePortal, describeStatement, executeMessage, parseMessage, syncMessage,
} from './wire-client.ts'

const cuts = fc.array(fc.nat(), { maxLength: 40 })

function cut(bytes: Buffer, at: readonly number[]): readonly Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length))
}

function message(code: string, body: Uint8Array | string): Buffer {
  return new MessageWriter(1).begin(code.charCodeAt(0)).bytes(Buffer.from(body)).finish().take()
}

describe('ServerWalker', () => {
  const answers = fc.array(fc.oneof(
    fc.constantFrom('I', 'T', 'E').map((status) => message('Z', status)),
    fc.uint8Array({ maxLength: 700 }).map((body) => message('D', body)),
    fc.uint8Array({ maxLength: 20 }).map((body) => message('N', body)),
    fc.constantFrom('SELECT 1\0', 'DEALLOCATE\0', 'INSERT 0 1\0').map((tag) => message('C', tag)),
    fc.constant(message('E', 'SERROR\0\0')),
    fc.uint8Array({ minLength: 8, maxLength: 260 }).map((key) => message('K', key)),
    fc.uint8Array({ maxLength: 700 }).map((body) => message('T', body)),
    fc.constantFrom('1', '2', '3', 'n', 's', 'I').map((code) => message(code, '')),
  ), { maxLength: 20 })

  it('sees the same in one chunk and in any pieces', () => {
    fc.assert(fc.property(answers, cuts, (messages, places) => {
      const bytes = Buffer.concat(messages)
      const [whole, pieces] = [[bytes], cut(bytes, places)].map((chunks) => {
        const state = new ExchangeState()
        for (let sync = 0; sync < 30; sync++) state.clientSync()
        const keys: string[] = []
        const statements = new PreparedStatements()
        statements.accepted({ name: 's', sql: Buffer.from('select'), parameterTypes: [],
          memoryKey: '', explainPrefix: null, opensBlock: false })
        const walker = new ServerWalker({ state, statements,
          onKey: (key) => keys.push(key.toString('hex')),
          onError: (sqlState) => keys.push(sqlState) })
        for (const chunk of chunks) walker.walk(Buffer.from(chunk))
        return { outstanding: state.outstanding, status: state.status, keys,
          known: statements.usable('s') !== null }
      })
      expect(pieces).toEqual(whole)
      const readies = messages.filter((one) => one[0] === 0x5a)
      expect(whole?.outstanding).toBe(31 - readies.length)
      expect(whole?.status).toBe(String.fromCharCode(readies.at(-1)?.[5] ?? 0x49))
      expect(whole?.known).toBe(!messages.some((one) => one.includes('DEALLOCATE')))
    }))
  })

  it('counts an answer once, and only at its last byte', () => {
    fc.assert(fc.property(answers, cuts, (messages, places) => {
      const told = messages.filter((one) => !'ZEK'.includes(String.fromCharCode(one[0] ?? 0)))
      const bytes = Buffer.concat(told)
      let [length, answered, lastEnd] = [0, 0, 0]
      for (const one of told) {
        length += one.length
        if (!'123nsITC'.includes(String.fromCharCode(one[0] ?? 0))) continue
        answered++
        lastEnd = length
      }
      const state = new ExchangeState()
      state.serverReady('I')
      for (let sent = 0; sent < answered; sent++) state.clientExtended(false)
      const walker = new ServerWalker({ state, statements: new PreparedStatements(),
        onKey: () => {}, onError: () => {} })
      let walked = 0
      for (const chunk of cut(bytes, places)) {
        walker.walk(Buffer.from(chunk))
        walked += chunk.length
        if (answered > 0) expect(state.isPaused).toBe(walked >= lastEnd)
      }
    }))
  })

  it('tells the end of the last whole message of a chunk, however they are cut', () => {
    fc.assert(fc.property(answers, cuts, (messages, places) => {
      const ends = new Set([0])
      let length = 0
      for (const one of messages) ends.add(length += one.length)
      const walker = new ServerWalker({ state: new ExchangeState(),
        statements: new PreparedStatements(), onKey: () => {}, onError: () => {} })
      let start = 0
      for (const chunk of cut(Buffer.concat(messages), places)) {
        const boundary = walker.lastBoundary(Buffer.from(chunk))
        if (boundary !== null) expect(ends).toContain(start + boundary)
        if (start === 0) expect(boundary).toBe(Math.max(...[...ends].filter((end) =>
          end <= chunk.length)))
        walker.walk(Buffer.from(chunk))
        start += chunk.length
      }
    }))
  })
})

describe('ClientWalker', () => {
  const requests = fc.array(fc.oneof(
    fc.constant(message('S', '')), fc.constant(message('H', '')),
    fc.uint8Array({ maxLength: 50 }).map((body) => message('B', body)),
    fc.uint8Array({ maxLength: 50 }).map((body) => message('d', body)),
    fc.uint8Array({ maxLength: 50 }).map((body) => message('F', body)),
    fc.string({ maxLength: 50 }).map((text) => message('Q', `${text.replaceAll('\0', '')}\0`)),
  ), { minLength: 1, maxLength: 20 })

  it('stops at each Query once, counts each message once, however they are cut', () => {
    fc.assert(fc.property(requests, cuts, (messages, places) => {
      const state = new ExchangeState()
      const walker = new ClientWalker(state, new PreparedStatements(), false)
      let queries = 0
      const waiting = new ByteBacklog()
      for (const chunk of cut(Buffer.concat(messages), places)) {
        waiting.append(chunk)
        const bytes = waiting.take()
        let at = 0
        while ((at = walker.walk(bytes, at)) < bytes.length) {
          if (bytes.length - at < 5) {
            waiting.append(bytes.subarray(at))
            break
          }
          queries++
          at = walker.pass(bytes, at)
        }
      }
      const count = (codes: string): number =>
        messages.filter((one) => codes.includes(String.fromCharCode(one[0] ?? 0))).length
      expect(queries).toBe(count('Q'))
      expect(state.outstanding).toBe(1 + count('QSF'))
    }))
  })
})

describe('ExtendedBatch', () => {
  const shape = fc.record({
    parses: fc.boolean(), describesStatement: fc.boolean(), describesPortal: fc.boolean(),
    name: fc.constantFrom('', 'named'), value: fc.option(fc.string({ maxLength: 10 })),
    rowsMax: fc.nat({ max: 9 }),
  })

  it('is incomplete at every cut, and whole at its end', () => {
    fc.assert(fc.property(shape, fc.nat(), (told, place) => {
      const { parses, describesStatement, describesPortal, name, rowsMax } = told
      const value = told.value?.replaceAll('\0', '') ?? null
      const bytes = Buffer.concat([
        ...(parses ? [parseMessage(name, 'SELECT count($1)', [25])] : []),
        ...(describesStatement ? [describeStatement(name)] : []),
        bindMessage({ statement: name, values: [value] }),
        ...(describesPortal ? [describePortal()] : []), executeMessage(rowsMax), syncMessage(),
      ])
      const behind = Buffer.concat([bytes, message('Q', 'SELECT 1\0')])
      const whole = readExtendedBatch(behind, 0, 10_000)
      expect(whole).toMatchObject({ kind: 'batch', batch: {
        describesStatement, describesPortal, rowsMax,
        bind: { statement: name, values: [value === null ? null : Buffer.from(value)] } } })
      if (whole.kind === 'batch') expect(whole.batch.bytes).toEqual(bytes)
      const part = bytes.subarray(0, place % bytes.length)
      expect(readExtendedBatch(part, 0, 10_000).kind).toBe('incomplete')
    }))
  })

  it('is something else with another message in it or a portal\'s name', () => {
    const bind = bindMessage({ statement: '' })
    const others = [
      [bind, executeMessage(), executeMessage(), syncMessage()],
      [bindMessage({ statement: '', portal: 'p' }), executeMessage(0, 'p'), syncMessage()],
      [bind, message('H', ''), executeMessage(), syncMessage()],
      [parseMessage('a', 'SELECT 1'), bindMessage({ statement: 'b' }), executeMessage(),
        syncMessage()],
      [parseMessage('', 'SELECT 1'), message('Q', 'SELECT 1\0')],
      [message('B', 'garbage'), executeMessage(), syncMessage()],
    ]
    for (const messages of others) {
      expect(readExtendedBatch(Buffer.concat(messages), 0, 10_000)).toEqual({ kind: 'other' })
    }
  })
})

describe('LinkProtocol', () => {
  const read = (bytes: Buffer): Frame => {
    const [frame] = [...new FrameAssembler({ bytesMax: LINK_FRAME_BYTES_MAX }).push(bytes)]
    if (frame === undefined) throw new Error('no frame')
    return frame
  }

  it('a request with every kind of value', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt(),
      fc.option(fc.uint8Array()), fc.string(), (lsn, time, value, sql) => {
        const request = {
          resultFormats: [0, 1] as const, rowsMax: 1, cancelKey: 'abcd', explain: false,
          probe: {
            sql, tree: '({QUERY})', totalCost: 1.5, planRows: 3, hasWritten: false,
            columns: [{ name: 'n', typeOid: oid(20), typmod: -1 }],
            parameters: [{ typeOid: oid(25), format: 1 as const,
              value: value === null ? null : Buffer.from(value) }],
            isolation: 'read committed', insertLsn: lsnFromBigint(lsn), transactionTimeUs: time,
            serverVersion: 18,
            settings: { timeZone: 'UTC', dateStyle: 'ISO, MDY', intervalStyle: 'postgres',
              extraFloatDigits: 1, byteaOutput: 'hex', clientEncoding: 'UTF8',
              statementTimeoutMs: 0, route: '', freshness: '', asOf: '' },
          },
        }
        expect(decodeToEngine(read(encodeLinkFrame({ kind: 'run', request }))))
          .toEqual({ kind: 'run', request })
      }))
  })

  it('every answer of the engine', () => {
    const error = { sqlState: 'SW005', message: 'm', detail: null, hint: 'h' }
    const answers: readonly FromEngine[] = [
      { kind: 'accepted' }, { kind: 'declined', reason: 'r', transient: true },
      { kind: 'rejected', error }, { kind: 'failed', error }, { kind: 'fallback', reason: 'r' },
      { kind: 'rows', bytes: Buffer.from('DataRows') }, { kind: 'complete', rows: 3 },
      { kind: 'report', lines: ['a', 'b'] }, { kind: 'cancelled', found: true },
    ]
    for (const answer of answers) {
      expect(decodeFromEngine(read(encodeLinkFrame(answer)))).toEqual(answer)
    }
    expect(() => decodeToEngine(read(encodeLinkFrame({ kind: 'accepted' })))).toThrow()
    expect(() => decodeFromEngine(read(message('r', '{}')))).toThrow()
  })
})
