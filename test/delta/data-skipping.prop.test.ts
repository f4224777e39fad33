/**
 * Data skipping against brute force: whatever rows files hold, whoever wrote their statistics,
 * and whatever is asked, no file with a row for which the predicate is true is left out.
 *
 * `evaluate` is SQL over one row, written apart from the library's own bounds and outcomes.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { AddFile } from '../../src/delta/actions.ts'
import { filesMatching } from '../../src/delta/data-skipping.ts'
import { ExactNumber } from '../../src/delta/exact-json.ts'
import { bindPredicate, type Literal, type Predicate } from '../../src/delta/predicate.ts'
import { column, type StructField } from '../../src/delta/schema.ts'
import { buildStats, loosenStats, statValueOf, type ColumnStats } from '../../src/delta/stats.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { MemoryStorage } from '../../src/storage/memory.ts'

/** A column's values as the texts that literals and statistics are made from; null: NULL. */
interface Domain {
  readonly type: string
  readonly text: fc.Arbitrary<string>
  readonly compare: (a: string, b: string) => number
}

const wholeCompare = (a: string, b: string): number => {
  const [x, y] = [BigInt(a), BigInt(b)]
  return x < y ? -1 : x > y ? 1 : 0
}
const bytesCompare = (a: string, b: string): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b))
/** NaN above all, equal to itself; -0 equal to 0. */
const floatCompare = (a: string, b: string): number => {
  const [x, y] = [Number(a), Number(b)]
  if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y))
  return x < y ? -1 : x > y ? 1 : 0
}
const decimalText = (unscaled: bigint): string => {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(19, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -18)}.${digits.slice(-18)}`
}
const momentText = (micros: bigint, zone: string): string => {
  const ms = micros / 1000n - (micros % 1000n < 0n ? 1n : 0n)
  return new Date(Number(ms)).toISOString().replace('Z', '')
    + String(micros - ms * 1000n).padStart(3, '0') + zone
}
const letters = fc.constantFrom('a', 'b', 'z', '\u007f', 'é', '\ud7ff', '\ue000', '\ufffd', '😀',
  '\u{10ffff}', '%', '}', '"', '\\')
const near = (base: bigint): fc.Arbitrary<bigint> =>
  fc.bigInt({ min: -4n, max: 4n }).map((step) => base + step)

const DOMAINS: readonly Domain[] = [
  { type: 'long', compare: wholeCompare, text: fc.oneof(fc.bigInt({ min: -5n, max: 5n }),
    near(2n ** 53n), near(2n ** 63n - 5n), near(5n - 2n ** 63n)).map(String) },
  { type: 'decimal(38,18)', compare: (a, b) =>
    wholeCompare(a.replace('.', ''), b.replace('.', '')),
  text: fc.oneof(fc.bigInt({ min: -5n, max: 5n }), near(10n ** 38n - 5n), near(10n ** 20n))
    .map(decimalText) },
  { type: 'string', compare: bytesCompare, text: fc.tuple(fc.constantFrom('', 'a', 'x'.repeat(31),
    'x'.repeat(32), 'é'.repeat(33)), fc.array(letters, { maxLength: 3 }))
    .map(([start, rest]) => start + rest.join('')) },
  { type: 'double', compare: floatCompare, text: fc.constantFrom('NaN', 'Infinity', '-Infinity',
    '0', '-0', '1.5', '-1.5', '0.1', '1e300', '5e-324') },
  { type: 'date', compare: bytesCompare, text: fc.constantFrom('0001-01-01', '1582-10-04',
    '1582-10-15', '1969-12-31', '1970-01-01', '2024-02-29', '9999-12-31') },
  { type: 'timestamp', compare: bytesCompare, text: fc.oneof(near(0n), near(1_700_000_000_000_999n),
    near(-1_000n), near(253_402_300_799_999_990n)).map((micros) => momentText(micros, 'Z')) },
  { type: 'timestamp_ntz', compare: bytesCompare, text: fc.oneof(near(0n), near(-999n))
    .map((micros) => momentText(micros, '')) },
]

type Cell = string | null
interface FileCase { readonly rows: readonly (readonly Cell[])[]; readonly writer: Writer
  readonly partition: Cell }
/** What its statistics are like. */
type Writer = 'ours' | 'blind to NaN' | 'loose' | 'none' | 'no bounds' | 'spaced' | 'cut short'

const fileCase: fc.Arbitrary<FileCase> = fc.record({
  rows: fc.array(fc.tuple(...DOMAINS.map(({ text }) => fc.option(text, { freq: 4 }))),
    { minLength: 1, maxLength: 4 }),
  writer: fc.constantFrom<Writer>('ours', 'blind to NaN', 'loose', 'none', 'no bounds', 'spaced',
    'cut short'),
  partition: fc.option(fc.constantFrom('-1', '0', '7'), { freq: 4 }),
})

const NAMES = DOMAINS.map((_, at) => `c${at}`)
const SCHEMA = { type: 'struct' as const, fields: [
  ...DOMAINS.map(({ type }, at): StructField => column(`c${at}`, type)),
  column('part', 'integer')] }
const ALL: readonly Domain[] = [...DOMAINS, { type: 'integer', compare: wholeCompare,
  text: fc.constantFrom('-1', '0', '7', '8') }]

function statsOf({ rows, writer }: FileCase): string | undefined {
  if (writer === 'none') return undefined
  const columns = DOMAINS.map(({ type, compare }, at): ColumnStats => {
    const values = rows.map((row) => row[at] ?? null).filter((value) => value !== null)
      .filter((value) => value !== 'NaN' || writer !== 'blind to NaN').sort(compare)
    const nullCount = rows.filter((row) => (row[at] ?? null) === null).length
    const bound = (text: string | undefined): ColumnStats['min'] =>
      text === undefined || writer === 'no bounds' ? null : statValueOf(type, text)
    return { path: [`c${at}`], min: bound(values[0]), max: bound(values.at(-1)),
      nullCount, hasNaN: values.includes('NaN') }
  })
  const text = buildStats({ numRecords: rows.length, tightBounds: true, columns })
  if (writer === 'loose') return loosenStats(text)
  if (writer === 'spaced') return text.replaceAll('":', '" : ')
  return writer === 'cut short' ? text.slice(0, text.length / 2) : text
}

function addOf(file: FileCase, at: number): AddFile {
  const stats = statsOf(file)
  return { path: `f${at}`, partitionValues: { part: file.partition }, size: 1,
    modificationTime: 0, dataChange: true, ...stats === undefined ? {} : { stats } }
}

/** Literals: numbers unquoted, all else in quotes. */
function literalOf({ type }: Domain, text: string): string | ExactNumber {
  return /^(?:long|decimal|integer)/.test(type) ? new ExactNumber(text) : text
}

const leaf: fc.Arbitrary<Predicate> = fc.nat({ max: ALL.length - 1 }).chain((at) => {
  const domain = ALL[at]!
  const name = NAMES[at] ?? 'part'
  const value = fc.option(domain.text, { freq: 9 })
    .map((text) => text === null ? null : literalOf(domain, text))
  const like = domain.type !== 'string' ? [] : [fc.record({ kind: fc.constant('like' as const),
    column: fc.constant(name), pattern: fc.tuple(domain.text, fc.constantFrom('%', '', '_%'))
      .map(([text, end]) => text.replace(/[\\%_]/g, '\\$&') + end) })]
  return fc.oneof(
    fc.record({ kind: fc.constant('comparison' as const), column: fc.constant(name),
      op: fc.constantFrom('=', '<>', '<', '<=', '>', '>='), value }),
    fc.record({ kind: fc.constant('in' as const), column: fc.constant(name),
      values: fc.array(value, { minLength: 1, maxLength: 3 }) }),
    fc.record({ kind: fc.constant('between' as const), column: fc.constant(name), low: value,
      high: value }),
    fc.record({ kind: fc.constant('is-null' as const), column: fc.constant(name) }), ...like)
})
const predicate: fc.Arbitrary<Predicate> = fc.letrec<{ tree: Predicate }>((tie) => ({
  tree: fc.oneof({ maxDepth: 3 }, leaf,
    fc.record({ kind: fc.constantFrom('and' as const, 'or' as const),
      operands: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ kind: fc.constant('not' as const), operand: tie('tree') })),
})).tree

/** SQL over one row: true, false, or null. */
function evaluate(asked: Predicate, row: readonly Cell[]): boolean | null {
  switch (asked.kind) {
    case 'not': {
      const answer = evaluate(asked.operand, row)
      return answer === null ? null : !answer
    }
    case 'and': case 'or': {
      const answers = asked.operands.map((operand) => evaluate(operand, row))
      const decisive = asked.kind === 'or'
      return answers.includes(decisive) ? decisive : answers.includes(null) ? null : !decisive
    }
    case 'is-null': return cellOf(asked.column, row) === null
    case 'comparison': return compared(asked.column, row, asked.op, asked.value)
    case 'between': return evaluate({ kind: 'and', operands: [
      { kind: 'comparison', column: asked.column, op: '>=', value: asked.low },
      { kind: 'comparison', column: asked.column, op: '<=', value: asked.high }] }, row)
    case 'in': return evaluate({ kind: 'or', operands: asked.values.map((value) =>
      ({ kind: 'comparison', column: asked.column, op: '=', value })) }, row)
    case 'like': {
      const cell = cellOf(asked.column, row)
      const source = asked.pattern.replace(/\\(.)|%|_|([^\w\\])/gsu, (match, escaped: string) =>
        match === '%' ? '.*' : match === '_' ? '.' : `\\u{${(escaped as string | undefined ?? match)
          .codePointAt(0)?.toString(16) ?? ''}}`)
      return cell === null ? null : new RegExp(`^${source}$`, 'su').test(cell)
    }
  }
}

function cellOf(name: string | readonly string[], row: readonly Cell[]): Cell {
  return row[name === 'part' ? DOMAINS.length : NAMES.indexOf(String(name))] ?? null
}

function compared(name: string | readonly string[], row: readonly Cell[], op: string,
  literal: Literal): boolean | null {
  const cell = cellOf(name, row)
  if (cell === null || literal === null) return null
  const domain = name === 'part' ? ALL.at(-1) : DOMAINS[NAMES.indexOf(String(name))]
  const text = literal instanceof ExactNumber ? literal.text : literal as string
  const order = domain?.compare(cell, text) ?? 0
  switch (op) {
    case '=': return order === 0
    case '<>': return order !== 0
    case '<': return order < 0
    case '<=': return order <= 0
    case '>': return order > 0
    default: return order >= 0
  }
}

it('no file with a matching row is left out', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fileCase, { minLength: 1, maxLength: 5 }),
    fc.array(predicate, { minLength: 1, maxLength: 8 }), async (files, asked) => {
      const { snapshot } = await DeltaTable.create({ storage: new MemoryStorage(), schema: SCHEMA,
        partitionColumns: ['part'], adds: files.map(addOf) })
      for (const one of asked) {
        const kept = new Set([...filesMatching(snapshot, bindPredicate(snapshot.schema, one))]
          .map(({ path }) => path))
        for (const [at, file] of files.entries()) {
          const matches = file.rows.some((row) => evaluate(one, [...row, file.partition]) === true)
          if (matches) expect(kept).toContain(`f${at}`)
        }
      }
    }), { numRuns: 1500 })
})

it('files that cannot match are left out', async () => {
  const file = (value: string): FileCase => ({ writer: 'ours', partition: value,
    rows: [[value, `${value}.000000000000000000`, 'x'.repeat(40) + value, `${value}.5`,
      `202${value}-01-01`, `202${value}-01-01T00:00:00.000000Z`,
      `202${value}-01-01T00:00:00.000000`]] })
  const { snapshot } = await DeltaTable.create({ storage: new MemoryStorage(), schema: SCHEMA,
    partitionColumns: ['part'], adds: [file('0'), file('7')].map(addOf) })
  const paths = (one: Predicate): readonly string[] =>
    [...filesMatching(snapshot, bindPredicate(snapshot.schema, one))].map(({ path }) => path).sort()
  const at = (name: string, value: string): Predicate =>
    ({ kind: 'comparison', column: name, op: '=', value })
  expect(paths(at('c0', '7'))).toEqual(['f1'])
  expect(paths(at('part', '7'))).toEqual(['f1'])
  expect(paths(at('c1', '0'))).toEqual(['f0'])
  expect(paths(at('c2', 'abc'))).toEqual([])
  expect(paths(at('c3', '7.5'))).toEqual(['f1'])
  expect(paths(at('c3', 'NaN'))).toEqual(['f0', 'f1'])
  expect(paths(at('c4', '2027-01-01'))).toEqual(['f1'])
  expect(paths(at('c5', '2020-01-01T00:00:00.000999Z'))).toEqual(['f0'])
  expect(paths({ kind: 'is-null', column: 'c0' })).toEqual([])
  expect(paths({ kind: 'not', operand: at('part', '7') })).toEqual(['f0'])
  expect(paths({ kind: 'like', column: 'c2', pattern: 'y%' })).toEqual([])
})
