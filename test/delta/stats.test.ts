/** Stats: bounds that hold (S1), every digit (S2), three-digit times (S3), cut texts (S4). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildStats, loosenStats, numRecordsOf, statValueOf, type StatValue }
  from '../../src/delta/stats.ts'

/** The texts of min and max of a one-column document. */
function bounds(value: StatValue | null): { min: string | null; max: string | null } {
  const text = buildStats({ numRecords: 1, tightBounds: true,
    columns: [{ path: ['c'], min: value, max: value, nullCount: 0 }] })
  // `s`: JSON leaves U+2028 as it is, and without it `.` does not match a line's end.
  const match = /"minValues":\{(?:"c":(.*?))?\},"maxValues":\{(?:"c":(.*?))?\},"null/s.exec(text)
  return { min: match?.[1] ?? null, max: match?.[2] ?? null }
}

/** Order of UTF-8 bytes, which is what readers compare. */
function bytesCompare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

describe('stats', () => {
  it('S2: whole numbers and decimals keep every digit', () => {
    const of = (type: string, text: string): string | null => bounds(statValueOf(type, text)).min
    expect(of('long', '9223372036854775807')).toBe('9223372036854775807')
    expect(of('decimal(38,18)', '-99999999999999999999.999999999999999999'))
      .toBe('-99999999999999999999.999999999999999999')
    expect(of('decimal(10,2)', '0.00')).toBe('0.00')
    expect(of('integer', '-5')).toBe('-5')
    expect(of('double', '1e+300')).toBe('1e+300')
    expect(of('float', '1.1')).toBe('1.1')
    expect(of('double', '-0')).toBe('-0.0')
  })

  it('what is no usable bound is none', () => {
    for (const [type, text] of [['double', 'nan'], ['double', 'inf'], ['float', '-inf'],
      ['date', 'infinity'], ['date', '0044-03-15 (BC)'], ['date', '10000-01-01'],
      ['date', '0000-01-01'], ['timestamp', 'infinity'], ['timestamp_ntz', '12024-01-01 00:00:00'],
      ['boolean', 'true'], ['binary', '\\x00'], ['decimal(5,2)', '0E-16'], ['long', ''],
      ['double', '']] as const) {
      expect(statValueOf(type, text), `${type} ${text}`).toBeNull()
    }
  })

  it('S3: times have three digits, min rounded down and max up, before 1970 too', () => {
    const at = (text: string): unknown => bounds(statValueOf('timestamp', text))
    expect(at('2024-03-31 01:59:59.123456+00'))
      .toEqual({ min: '"2024-03-31T01:59:59.123Z"', max: '"2024-03-31T01:59:59.124Z"' })
    expect(at('1969-12-31 23:59:59.9995+00'))
      .toEqual({ min: '"1969-12-31T23:59:59.999Z"', max: '"1970-01-01T00:00:00.000Z"' })
    expect(at('2024-01-01 00:00:00+00'))
      .toEqual({ min: '"2024-01-01T00:00:00.000Z"', max: '"2024-01-01T00:00:00.000Z"' })
    expect(at('9999-12-31 23:59:59.999999+00'))
      .toEqual({ min: '"9999-12-31T23:59:59.999Z"', max: null })
    expect(bounds(statValueOf('timestamp_ntz', '0001-01-01 00:00:00.000001')))
      .toEqual({ min: '"0001-01-01T00:00:00.000"', max: '"0001-01-01T00:00:00.001"' })
  })

  it('S1, S4: a cut text still bounds what it was cut from', () => {
    const texts = fc.oneof(fc.string({ maxLength: 80 }), fc.constant('\u2028'),
      fc.string({ maxLength: 80, unit: 'grapheme' }),
      fc.array(fc.constantFrom('a', '\u007f', 'é', '\uffff', '😀', '\u{10ffff}'),
        { minLength: 25, maxLength: 90 }).map((parts) => parts.join('')))
    fc.assert(fc.property(texts, (text) => {
      const { min, max } = bounds({ kind: 'string', value: text })
      const low = JSON.parse(min ?? 'null') as string
      expect([...low].length).toBeLessThanOrEqual(32)
      expect(bytesCompare(low, text)).toBeLessThanOrEqual(0)
      if (max === null) return
      const high = JSON.parse(max) as string
      expect([...high].length).toBeLessThanOrEqual(65)
      expect(bytesCompare(high, text)).toBeGreaterThanOrEqual(0)
    }), { numRuns: 500 })
  })

  it('S5: NaN leaves bounds out and keeps the null count', () => {
    expect(buildStats({ numRecords: 3, tightBounds: true, columns: [
      { path: ['d'], min: { kind: 'float', value: 1 }, max: { kind: 'float', value: 2 },
        nullCount: 1, hasNaN: true }] }))
      .toBe('{"numRecords":3,"tightBounds":true,"minValues":{},"maxValues":{},"nullCount":{"d":1}}')
  })

  it('nests by path, whatever the names are', () => {
    expect(buildStats({ numRecords: 1, tightBounds: true, columns: [
      { path: ['s', 'x'], min: { kind: 'integer', value: 1n }, max: null, nullCount: 0 },
      { path: ['s', '__proto__'], min: { kind: 'integer', value: 2n }, max: null, nullCount: 0n },
      { path: ['a.b "q"'], min: null, max: null, nullCount: null }] }))
      .toBe('{"numRecords":1,"tightBounds":true,"minValues":{"s":{"x":1,"__proto__":2}},'
        + '"maxValues":{},"nullCount":{"s":{"x":0,"__proto__":0}}}')
  })

  it('loosening changes tightBounds and no digit', () => {
    const tight = '{"numRecords":2,"tightBounds":true,'
      + '"minValues":{"d":0.10,"l":9223372036854775807}}'
    expect(loosenStats(tight)).toBe(tight.replace('true', 'false'))
    expect(loosenStats('{"numRecords":2}')).toBe('{"numRecords":2,"tightBounds":false}')
    expect(numRecordsOf(tight)).toBe(2)
    expect(numRecordsOf(undefined)).toBeNull()
  })
})
