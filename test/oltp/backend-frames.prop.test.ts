import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BackendFrames } from '../../src/oltp/backend-frames.ts'

function frame(kind: number, body: Uint8Array): Buffer {
  const header = Buffer.alloc(5)
  header[0] = kind
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

test('messages come out as they went in, however the stream was cut', () => {
  const messages = fc.array(fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 30 })),
    { maxLength: 12 })
  fc.assert(fc.property(messages, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
    (sent, cuts) => {
      const stream = Buffer.concat(sent.map(([kind, body]) => frame(kind, body)))
      const frames = new BackendFrames()
      const received: [number, string][] = []
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % cuts.length] ?? 1
        frames.push(Buffer.from(stream.subarray(at, at + size)), (kind, buffer, start, end) => {
          received.push([kind, buffer.toString('hex', start, end)])
        })
        at += size
      }
      const hex = sent.map(([kind, body]) => [kind, Buffer.from(body).toString('hex')])
      expect(received).toEqual(hex)
    }), { numRuns: 500 })
})

test('an impossible length is refused', () => {
  for (const length of [0, 3, 0x7fffffff]) {
    const bytes = Buffer.from([0x64, 0, 0, 0, 0])
    bytes.writeUInt32BE(length, 1)
    expect(() => { new BackendFrames().push(bytes, () => {}) }).toThrow(RangeError)
    const split = new BackendFrames()
    split.push(bytes.subarray(0, 2), () => {})
    expect(() => { split.push(bytes.subarray(2), () => {}) }).toThrow(RangeError)
  }
})
