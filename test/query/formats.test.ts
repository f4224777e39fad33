/** Rows as JSON, CSV and Arrow; slipway.freshness; date text both ways. */
import { tableFromIPC } from 'apache-arrow'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArrowEncoder } from '../../src/query/arrow-encoder.ts'
import { ByteWriter } from '../../src/query/byte-writer.ts'
import { csvHeader, csvLine } from '../../src/query/csv-encoder.ts'
import { parseDate, parseTimestamp } from '../../src/query/date-parse.ts'
import { writeDate, writeTimestamp, writeTimestampTz } from '../../src/query/date-text.ts'
import { parseFreshness } from '../../src/query/freshness.ts'
import { JsonEncoder } from '../../src/query/json-encoder.ts'
import type { ResultColumn, TextRow } from '../../src/query/text-rows.ts'

function column(name: string, typeOid: number, typmod = -1): ResultColumn {
  return { name, typeOid, typmod, typeName: String(typeOid) }
}

const NUMERIC_10_2 = ((10 << 16) | 2) + 4
const COLUMNS = [
  column('i2', 21), column('i4', 23), column('i8', 20), column('n', 1700, NUMERIC_10_2),
  column('u', 1700), column('f4', 700), column('f8', 701), column('b', 16), column('t', 25),
  column('d', 1082), column('ts', 1114), column('tz', 1184), column('x', 17),
  column('j', 3802), column('a', 1007), column('s', 1009),
]
const ROW: TextRow = ['-5', '70000', '9007199254740993', '-12.50', '1.10', '1.5', '1e+20', 't',
  'ä"\n', '2024-02-29', '2024-02-29 12:00:00.5', '2024-02-29 12:00:00+05:30', '\\x00ff',
  '{"a": 1}', '{1,NULL,3}', '{"a,b",NULL,"NULL","q\\""}']
const NULLS: TextRow = COLUMNS.map(() => null)

describe('JSON', () => {
  const encoder = new JsonEncoder(COLUMNS)

  it('has exact numbers as strings, and valid JSON for every type', () => {
    expect(JSON.parse(encoder.array(ROW))).toEqual([-5, 70000, '9007199254740993', '-12.50',
      '1.10', 1.5, 1e20, true, 'ä"\n', '2024-02-29', '2024-02-29 12:00:00.5',
      '2024-02-29 12:00:00+05:30', '\\x00ff', { a: 1 }, [1, null, 3],
      ['a,b', null, 'NULL', 'q"']])
    expect(JSON.parse(encoder.array(NULLS))).toEqual(NULLS)
  })

  it('writes an object a line', () => {
    const text = new JsonEncoder([column('a b', 23), column('j', 114)]).object(['1', '{"k":\n2}'])
    expect(text).not.toContain('\n')
    expect(JSON.parse(text)).toEqual({ 'a b': 1, j: { k: 2 } })
  })

  it('has no JSON number for NaN and the infinities', () => {
    const floats = new JsonEncoder([column('f', 701), column('g', 701), column('h', 700)])
    expect(JSON.parse(floats.array(['NaN', '-Infinity', '-0']))).toEqual(['NaN', '-Infinity', -0])
  })
})

describe('CSV', () => {
  it('tells NULL from the empty string and quotes what must be quoted', () => {
    expect(csvHeader([column('a,b', 25), column('c', 25)])).toBe('"a,b",c\r\n')
    expect(csvLine([null, '', 'x"y', 'plain', 'two\nlines'])).toBe(
      ',"","x""y",plain,"two\nlines"\r\n')
  })
})

describe('Arrow', () => {
  it('round trips through the reader, batch by batch', () => {
    const encoder = new ArrowEncoder(COLUMNS)
    const stream = Buffer.concat([encoder.header(), encoder.batch([ROW, NULLS]),
      encoder.batch([NULLS, ROW, ROW]), encoder.end()])
    const table = tableFromIPC(stream)
    expect(table.numRows).toBe(5)
    expect(table.schema.fields.map((field) => String(field.type))).toEqual(['Int16', 'Int32',
      'Int64', 'Decimal[10e+2]', 'Utf8', 'Float32', 'Float64', 'Bool', 'Utf8', 'Date32<DAY>',
      'Timestamp<MICROSECOND>', 'Timestamp<MICROSECOND, UTC>', 'Binary', 'Utf8', 'List<Int32>',
      'List<Utf8>'])
    const at = (name: string, row: number): unknown => table.getChild(name)?.get(row)
    expect(at('i2', 0)).toBe(-5)
    expect(at('i8', 3)).toBe(9007199254740993n)
    expect(String(at('n', 4))).toBe('-1250')
    expect(at('f8', 0)).toBe(1e20)
    expect(at('b', 0)).toBe(true)
    expect(at('t', 3)).toBe('ä"\n')
    expect([...(at('x', 0) as Uint8Array)]).toEqual([0, 255])
    expect((at('a', 3) as { toJSON(): unknown }).toJSON()).toEqual([1, null, 3])
    for (const field of table.schema.fields) expect(at(field.name, 1)).toBeNull()
    const raw = table.getChild('tz')!.data[0]!.values as BigInt64Array
    expect(raw[0]).toBe(BigInt(Date.UTC(2024, 1, 29, 6, 30)) * 1000n)
  })

  it('has a schema also without rows', () => {
    const encoder = new ArrowEncoder([column('a', 23)])
    const table = tableFromIPC(Buffer.concat([encoder.header(), encoder.end()]))
    expect(table.numRows).toBe(0)
    expect(table.schema.fields[0]?.name).toBe('a')
  })

  it('refuses what its types cannot hold', () => {
    expect(() => new ArrowEncoder([column('d', 1082)]).batch([['infinity']])).toThrow(/column d/)
  })
})

describe('dates', () => {
  function written(write: (out: ByteWriter) => void): string {
    const out = new ByteWriter()
    write(out)
    return out.take().toString()
  }

  it('are read back as they were written', () => {
    fc.assert(fc.property(fc.integer({ min: -2_400_000, max: 2_900_000 }), (days) => {
      expect(parseDate(written((out) => writeDate(days, out)))).toBe(days)
    }), { seed: 7 })
    const micros = fc.bigInt({ min: -200_000_000_000_000_000n, max: 250_000_000_000_000_000n })
    fc.assert(fc.property(micros, fc.integer({ min: -50_000, max: 50_000 }), (value, offset) => {
      expect(parseTimestamp(written((out) => writeTimestamp(value, out)))).toBe(value)
      expect(parseTimestamp(written((out) => writeTimestampTz(value, offset, out)))).toBe(value)
    }), { seed: 7 })
  })
})

describe('slipway.freshness', () => {
  it.each([
    ['', null], ['latest', null], ['5s', 5000], ['1 minute', 60_000], ['00:01:30', 90_000],
    ['PT2S', 2000], ['P1DT1H', 90_000_000], ['1 hour 30 mins', 5_400_000], ['10', 10_000],
    ['500ms', 500], ['2 days', 172_800_000],
  ])('%j', (text, ms) => {
    expect(parseFreshness(text)).toEqual(ms === null ? { kind: 'latest' } : { kind: 'within', ms })
  })

  it.each(['soon', '-5s', '5 parsecs', 'P', 's', '1 minute ago'])('%j is none', (text) => {
    expect(parseFreshness(text)).toBeNull()
  })
})
