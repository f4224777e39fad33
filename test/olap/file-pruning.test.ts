/** Bounds and predicates side by side: which files a predicate leaves out, type by type. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LakeFile } from '../../src/mirror/epoch.ts'
import type { MirrorType } from '../../src/mirror/mirror-type.ts'
import type { MirrorValue } from '../../src/mirror/mirror-value.ts'
import { mayMatch } from '../../src/olap/file-pruning.ts'
import type { PrunePredicate } from '../../src/router/plan.ts'
import { column, OlapBench, tableSchema } from './olap-bench.ts'

let bench: OlapBench
beforeAll(async () => { bench = await OlapBench.open() })
afterAll(async () => { await bench[Symbol.asyncDispose]() })

function fileOf(mirror: MirrorType, values: readonly MirrorValue[]): Promise<LakeFile> {
  return bench.file(tableSchema(7001, [column(1, mirror)]), values.map((value) => [value]))
}

function reads(file: LakeFile, mirror: MirrorType, op: PrunePredicate['op'],
  value: PrunePredicate['value']): boolean {
  return mayMatch(file, [{ attnum: 1, op, value }], () => mirror)
}

const DECIMAL = { kind: 'decimal', precision: 9, scale: 2, unconstrained: false } as const
const FRACTION = { kind: 'decimal', precision: 4, scale: 4, unconstrained: false } as const
const US = 1_711_843_199_123_456n

/** Of each: the file's least and greatest, and a constant below and above both. */
const ORDERED: readonly (readonly [string, MirrorType, readonly [MirrorValue, MirrorValue],
  Readonly<Record<'below' | 'min' | 'between' | 'max' | 'above', PrunePredicate['value']>>])[] = [
  ['int4', { kind: 'int4' }, [-5, 7], { below: -6, min: -5, between: 0, max: 7, above: 8 }],
  ['int8', { kind: 'int8' }, [9_007_199_254_740_993n, 9_007_199_254_740_995n],
    { below: 9_007_199_254_740_992n, min: 9_007_199_254_740_993n,
      between: 9_007_199_254_740_994n, max: 9_007_199_254_740_995n,
      above: 9_007_199_254_740_996n }],
  ['numeric(9,2)', DECIMAL, [-150n, 1000n],
    { below: '-1.51', min: '-1.5', between: '0.000', max: '10.0', above: '10.01' }],
  ['numeric(4,4)', FRACTION, [-5000n, 2500n],
    { below: '-0.5001', min: '-0.5', between: '0', max: '0.2500', above: '0.2501' }],
  ['date', { kind: 'date' }, [-1, 19_000],
    { below: -2, min: -1, between: 0, max: 19_000, above: 19_001 }],
  // Statistics keep milliseconds: what is left out lies a millisecond away.
  ['timestamp', { kind: 'timestamp' }, [US, US + 10_000n],
    { below: US - 1000n, min: US, between: US + 5000n, max: US + 10_000n, above: US + 12_000n }],
  ['timestamptz', { kind: 'timestamptz' }, [-US, -US + 10_000n],
    { below: -US - 1000n, min: -US, between: -US + 5n, max: -US + 10_000n,
      above: -US + 12_000n }],
  ['text', { kind: 'text' }, ['\uffff', '\u{10000}'],
    { below: '\ufffe', min: '\uffff', between: '\uffff!', max: '\u{10000}',
      above: '\u{10001}' }],
  ['char(9)', { kind: 'bpchar', length: 9 }, ['b', 'd'],
    { below: 'a    ', min: 'b   ', between: 'c', max: 'd        ', above: 'e' }],
  ['uuid', { kind: 'uuid' }, ['1b4e28ba-2fa1-11d2-883f-0016d3cca427',
    'a1b2c3d4-0000-0000-0000-000000000000'],
  { below: '00000000-0000-0000-0000-000000000000', min: '1b4e28ba-2fa1-11d2-883f-0016d3cca427',
    between: '90000000-0000-0000-0000-000000000000', max: 'a1b2c3d4-0000-0000-0000-000000000000',
    above: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }],
]

describe.each(ORDERED)('%s', (_, mirror, values, { below, min, between, max, above }) => {
  it('is read exactly for what its bounds allow', async () => {
    const file = await fileOf(mirror, [...values, null])
    const held = (op: PrunePredicate['op']): boolean[] =>
      [below, min, between, max, above].map((value) => reads(file, mirror, op, value))
    expect(held('=')).toEqual([false, true, true, true, false])
    expect(held('<=')).toEqual([false, true, true, true, true])
    expect(held('>=')).toEqual([true, true, true, true, false])
    // Bounds of a timestamp reach up to 2 ms further than its values, a uuid's are cut.
    const exact = !['timestamp', 'timestamptz', 'uuid'].includes(mirror.kind)
    expect(held('<')).toEqual([false, !exact, true, true, true])
    expect(held('>')).toEqual([true, true, true, !exact, false])
  })
})

describe('what proves nothing', () => {
  it.each<[string, MirrorType, MirrorValue]>([['a file of NULLs', { kind: 'int4' }, null],
    ['float8', { kind: 'float8' }, NaN], ['float4', { kind: 'float4' }, -0],
    ['bool', { kind: 'bool' }, true], ['bytea', { kind: 'bytea' }, Buffer.from('x')],
    ['an opaque type', { kind: 'opaque' }, '{"a": 1}'],
    ['an array', { kind: 'array', element: { kind: 'int4' } }, [1]]])(
    'reads %s', async (_, mirror, value) => {
      const file = await fileOf(mirror, [value])
      expect(file.bounds.size).toBe(0)
      expect(reads(file, mirror, '=', 1_000_000)).toBe(true)
    })

  it('reads a file for a constant with more decimals than the column', async () => {
    const file = await fileOf(DECIMAL, [100n])
    expect(reads(file, DECIMAL, '<', '1.001')).toBe(true)
    expect(reads(file, DECIMAL, '=', '5.001')).toBe(true)
    expect(reads(file, DECIMAL, '=', '5.010')).toBe(false)
  })

  it('reads a file for a value that is not of the column\'s form, or an unknown column',
    async () => {
      const file = await fileOf({ kind: 'int4' }, [1])
      expect(reads(file, { kind: 'int4' }, '=', 'x')).toBe(true)
      expect(reads(file, { kind: 'int4' }, '=', 2 ** 60)).toBe(true)
      expect(mayMatch(file, [{ attnum: 2, op: '=', value: 9 }], () => null)).toBe(true)
    })
})

describe('text that statistics cut', () => {
  it.each([['a', 'b'], ['\u007f', '\u{10000}'], ['é', 'ê'], ['\u{10000}', '\u{10001}'],
    ['\u{10ffff}', null]])('keeps bounds of a run of %j', async (unit, beyond) => {
    const long = unit.repeat(40), mirror = { kind: 'text' } as const
    const file = await fileOf(mirror, [long])
    for (const op of ['=', '<=', '>='] as const) expect(reads(file, mirror, op, long)).toBe(true)
    expect(reads(file, mirror, '>', unit.repeat(39))).toBe(true)
    expect(reads(file, mirror, '<', unit.repeat(41))).toBe(true)
    if (beyond !== null) expect(reads(file, mirror, '>=', beyond)).toBe(false)
    expect(reads(file, mirror, '<', '!')).toBe(false)
  })
})

it('takes a file only when every conjunct may hold', async () => {
  const file = await fileOf({ kind: 'int4' }, [10, 20])
  const both = (low: number, high: number): boolean => mayMatch(file, [
    { attnum: 1, op: '>', value: low }, { attnum: 1, op: '<', value: high }],
  () => ({ kind: 'int4' }))
  expect([both(0, 15), both(15, 30), both(20, 30), both(0, 10)])
    .toEqual([true, true, false, false])
})
