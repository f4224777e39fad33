/** FrameAssembler (F1, F2): messages come out whole, in order, whatever the chunks were. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameAssembler } from '../../src/pgwire/frame-assembler.ts'
import { ProtocolViolation } from '../../src/pgwire/message-reader.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'

const message = fc.record({
  code: fc.integer({ min: 0, max: 255 }), body: fc.uint8Array({ maxLength: 80 }),
})

function encode({ code, body }: { code: number; body: Uint8Array }): Buffer {
  return new MessageWriter(1).begin(code).bytes(body).finish().take()
}

function cut(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const places = [...new Set(cuts.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length))
}

describe('FrameAssembler', () => {
  it('gives back what was written, however it is cut', () => {
    const places = fc.array(fc.nat(), { maxLength: 30 })
    fc.assert(fc.property(fc.array(message, { maxLength: 12 }), places,
      (messages, cuts) => {
        const encoded = messages.map(encode)
        const frames = new FrameAssembler({ bytesMax: 1000 })
        const found: Buffer[] = []
        for (const chunk of cut(Buffer.concat(encoded), cuts)) {
          // The chunk's memory is used again afterwards, as a socket's buffer is.
          const reused = Buffer.from(chunk)
          for (const { code, bytes } of frames.push(reused)) {
            expect(code).toBe(bytes[0])
            found.push(Buffer.from(bytes))
          }
          reused.fill(0xee)
        }
        expect(found).toEqual(encoded)
        expect(frames.takeRest()).toHaveLength(0)
      }))
  })

  it('takeRest gives what is left of a cut message, and starts anew', () => {
    fc.assert(fc.property(message, message, fc.nat(), (first, second, place) => {
      const bytes = encode(first)
      const at = place % bytes.length
      const frames = new FrameAssembler({ bytesMax: 1000 })
      expect([...frames.push(bytes.subarray(0, at))]).toEqual([])
      expect(frames.takeRest()).toEqual(Buffer.from(bytes.subarray(0, at)))
      expect([...frames.push(encode(second))].map((frame) => frame.bytes)).toEqual([encode(second)])
    }))
  })

  it('refuses impossible and excessive lengths', () => {
    const frames = (): FrameAssembler => new FrameAssembler({ bytesMax: 100 })
    expect(() => [...frames().push(Buffer.from([65, 0, 0, 0, 3]))]).toThrow(ProtocolViolation)
    expect(() => [...frames().push(Buffer.from([65, 0x80, 0, 0, 3]))]).toThrow(ProtocolViolation)
    expect(() => [...frames().push(Buffer.from([65, 0, 0, 0, 100]))]).toThrow(ProtocolViolation)
    expect([...frames().push(Buffer.from([65, 0, 0, 0, 99]))]).toEqual([])
  })
})
