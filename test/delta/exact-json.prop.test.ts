/** Exact JSON: the native parser where that is exact, every digit where it is not. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson, stringifyJson, type ExactNumber, type JsonValue }
  from '../../src/delta/exact-json.ts'

describe('exact JSON', () => {
  it('agrees with JSON.parse on every document, in both ways of reading', () => {
    fc.assert(fc.property(fc.json(), fc.boolean(), (text, spaced) => {
      const source = spaced ? JSON.stringify(JSON.parse(text), null, 1) : text
      const plain = JSON.parse(source) as unknown
      expect(JSON.parse(stringifyJson(parseJson(source)))).toEqual(plain)
      expect(JSON.parse(stringifyJson(parseJson(source, { exactNumbers: true })))).toEqual(plain)
    }))
  })

  it('J1: keeps whole numbers beyond 2^53', () => {
    fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const text = `{"v":${value},"s":"${value}"}`
      expect(stringifyJson(parseJson(text))).toBe(text)
    }))
  })

  it('J2: keeps numbers as they are written', () => {
    for (const number of ['0.10', '-0', '1e400', '-0.0', '99999999999999999999.99999999999999']) {
      const text = `[${number}]`
      expect(stringifyJson(parseJson(text, { exactNumbers: true }))).toBe(text)
    }
    expect((parseJson('1.50', { exactNumbers: true }) as ExactNumber).text).toBe('1.50')
  })

  it('J3: refuses what is not JSON, too deep nesting, and keeps prototypes clean', () => {
    const bad = ['', '{', '[1,]', '{"a"}', 'nul', '01', '1.', '"\\x"', '"\\u12"', '"\n"', '1 2',
      '{"a":1234567890123456,}', '[1234567890123456', '1234567890123456a']
    for (const text of bad) {
      expect(() => parseJson(text), text).toThrow(expect.objectContaining(
        { code: 'delta-corrupt' }) as Error)
    }
    expect(() => parseJson(`[1234567890123456,${'['.repeat(5000)}`)).toThrow('not valid JSON')
    const value = parseJson('{"__proto__":{"polluted":1}}') as Record<string, JsonValue>
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(stringifyJson(value)).toBe('{"__proto__":{"polluted":1}}')
  })
})
