/** LoginFilter (L1): channel binding is not offered, whatever the chunks are. */
import { describe, expect, it } from 'vitest'
import { LoginFilter } from '../../src/gateway/login-filter.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'

const R = 0x52

function offer(...mechanisms: readonly string[]): Buffer {
  const out = new MessageWriter().begin(R).int32(10)
  for (const mechanism of mechanisms) out.cstring(mechanism)
  return out.byte(0).finish().take()
}

describe('LoginFilter', () => {
  const behind = new MessageWriter().begin(0x53).cstring('a').finish().take().subarray(0, 4)

  it('takes SCRAM-SHA-256-PLUS out of the offer, cut anywhere, and is over', () => {
    const told = Buffer.concat([offer('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'), behind])
    for (let at = 0; at <= told.length - behind.length; at++) {
      const filter = new LoginFilter()
      const passed = Buffer.concat([told.subarray(0, at), told.subarray(at)]
        .map((chunk) => filter.filter(chunk)))
      expect(passed).toEqual(Buffer.concat([offer('SCRAM-SHA-256'), behind]))
      expect(filter.isOver).toBe(true)
    }
  })

  it('passes every other answer on', () => {
    const version = new MessageWriter().begin(0x76).int32(0).int32(0).finish().take()
    const md5 = new MessageWriter().begin(R).int32(5).int32(1234).finish().take()
    const filter = new LoginFilter()
    expect(filter.filter(version)).toEqual(version)
    expect(filter.isOver).toBe(false)
    expect(filter.filter(md5)).toEqual(md5)
    expect(filter.isOver).toBe(true)
  })
})
