/**
 * PrunedColumn: a column's values, PostgreSQL's memory image of each, and the operators that
 * compare them, so that predicates go through the router's own code.
 */
import fc from 'fast-check'
import type { MirrorType } from '../../src/mirror/mirror-type.ts'
import type { PrunePredicate } from '../../src/router/plan.ts'
import { TreeNode, type TreeValue } from '../../src/router/node-tree.ts'

export type Value = number | bigint | string | boolean
export type Op = PrunePredicate['op']
export const OPS: readonly Op[] = ['=', '<', '<=', '>', '>=']

export interface PrunedColumn {
  readonly name: string
  readonly mirror: MirrorType
  readonly typeOid: number
  readonly typmod: number
  /** Constants' type when it is not the column's. */
  readonly constantOid: number
  readonly operators: readonly number[]
  readonly value: fc.Arbitrary<Value>
  /** As a column of the constant's type holds it. */
  readonly image: (value: Value) => Buffer
  /** Floats and bool: the router emits nothing for them. */
  readonly prunes: boolean
}

const US_TO_2000 = 946_684_800_000_000n
const DAY_US = 86_400_000_000n
const FIRST_DAY = -719_162, LAST_DAY = 2_932_896

function fixed(write: (image: Buffer, value: Value) => void): (value: Value) => Buffer {
  return (value) => { const image = Buffer.alloc(8); write(image, value); return image }
}

const int2 = fixed((image, value) => image.writeInt16LE(Number(value)))
const int4 = fixed((image, value) => image.writeInt32LE(Number(value)))
const int8 = fixed((image, value) => image.writeBigInt64LE(BigInt(value)))
const time = fixed((image, value) => image.writeBigInt64LE((value as bigint) - US_TO_2000))

function varlena(data: Buffer): Buffer {
  const image = Buffer.alloc(data.length + 4)
  image.writeUInt32LE(image.length << 2)
  data.copy(image, 4)
  return image
}

const text = (value: Value): Buffer => varlena(Buffer.from(String(value), 'utf8'))

/** utils/adt/numeric.c, long header; `extra` decimals of zero more than the column has. */
function numeric(scale: number, extra: number): (value: Value) => Buffer {
  return (value) => {
    const unscaled = (value as bigint) * 10n ** BigInt(extra)
    const shown = scale + extra
    const groups = Math.ceil(shown / 4)
    let rest = (unscaled < 0n ? -unscaled : unscaled) * 10n ** BigInt(groups * 4 - shown)
    const digits: number[] = []
    for (; rest > 0n; rest /= 10_000n) digits.unshift(Number(rest % 10_000n))
    const data = Buffer.alloc(4 + digits.length * 2)
    data.writeUInt16LE((unscaled < 0n ? 0x4000 : 0) | shown, 0)
    data.writeInt16LE(digits.length - groups - 1, 2)
    digits.forEach((digit, at) => data.writeInt16LE(digit, 4 + at * 2))
    return varlena(data)
  }
}

/** Near each other, so that constants fall between the files, or anywhere in the type. */
function whole(min: bigint, max: bigint, step = 1n): fc.Arbitrary<bigint> {
  return fc.oneof({ weight: 6, arbitrary: fc.bigInt(-40n, 40n).map((n) => n * step)
    .map((n) => n < min ? min : n > max ? max : n) },
  { weight: 1, arbitrary: fc.bigInt(min, max) },
  { weight: 1, arbitrary: fc.constantFrom(min, max) })
}

/** Around the millisecond to which statistics are cut, and before 1970. */
const micros = fc.oneof({ weight: 3, arbitrary: whole(-4000n, 4000n) },
  { weight: 3, arbitrary: whole(-4000n, 4000n).map((n) => n + 1_711_843_199_999_000n) },
  { weight: 2, arbitrary: whole(BigInt(FIRST_DAY) * DAY_US, BigInt(LAST_DAY + 1) * DAY_US - 1n,
    DAY_US + 1n) })

const piece = fc.oneof(fc.string({ unit: fc.constantFrom('a', 'b', '~', '\u007f', ' ', 'é', 'ÿ',
  '\uffff', '\ue000', '\u{10000}', '\u{10ffff}', '"', '\\', '\n'), maxLength: 4 }))
/** Short ones, and ones that differ only behind the 32 characters that statistics keep. */
const words = fc.oneof({ weight: 3, arbitrary: piece },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('a', '~', 'é', '\u{10ffff}', '\u{10000}'),
    fc.integer({ min: 29, max: 66 }), piece).map(([unit, count, end]) =>
    unit.repeat(count) + end) },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(9_000), 'x'.repeat(11_000), '') })

function decimalColumn(precision: number, scale: number, extra = 0, unconstrained = false)
  : PrunedColumn {
  const max = 10n ** BigInt(precision) - 1n
  return { name: unconstrained ? 'numeric' : `numeric(${precision},${scale})`
    + (extra === 0 ? '' : ', more decimals'), typeOid: 1700, constantOid: 1700,
  typmod: unconstrained ? -1 : (precision << 16 | scale) + 4,
  mirror: { kind: 'decimal', precision, scale, unconstrained }, image: numeric(scale, extra),
  operators: [1752, 1754, 1755, 1756, 1757], value: whole(-max, max), prunes: true }
}

function plain(name: string, kind: 'int2' | 'int4' | 'int8' | 'date' | 'timestamp' | 'timestamptz'
  | 'text' | 'uuid' | 'bool' | 'float8', typeOid: number, operators: readonly number[],
rest: Pick<PrunedColumn, 'value' | 'image'> & { readonly constantOid?: number }): PrunedColumn {
  return { name, mirror: { kind }, typeOid, typmod: -1, operators, constantOid: typeOid,
    prunes: kind !== 'bool' && kind !== 'float8', ...rest }
}

const I4 = whole(-(1n << 31n), (1n << 31n) - 1n).map(Number)
const I8 = whole(-(1n << 63n), (1n << 63n) - 1n)

export const COLUMNS: readonly PrunedColumn[] = [
  plain('int2', 'int2', 21, [94, 95, 522, 520, 524],
    { value: whole(-32_768n, 32_767n).map(Number), image: int2 }),
  plain('int4', 'int4', 23, [96, 97, 523, 521, 525], { value: I4, image: int4 }),
  plain('int8', 'int8', 20, [410, 412, 414, 413, 415], { value: I8, image: int8 }),
  plain('int4 against int8', 'int4', 23, [15, 37, 80, 76, 82],
    { value: I4, image: int8, constantOid: 20 }),
  decimalColumn(9, 2), decimalColumn(4, 4), decimalColumn(18, 0), decimalColumn(38, 10),
  decimalColumn(9, 2, 3), decimalColumn(38, 18, 0, true),
  plain('date', 'date', 1082, [1093, 1095, 1096, 1097, 1098],
    { value: whole(BigInt(FIRST_DAY), BigInt(LAST_DAY)).map(Number),
      image: fixed((image, value) => image.writeInt32LE((value as number) - 10_957)) }),
  plain('timestamp', 'timestamp', 1114, [2060, 2062, 2063, 2064, 2065],
    { value: micros, image: time }),
  plain('timestamptz', 'timestamptz', 1184, [1320, 1322, 1323, 1324, 1325],
    { value: micros, image: time }),
  plain('text', 'text', 25, [98, 664, 665, 666, 667], { value: words, image: text }),
  { name: 'char(80)', mirror: { kind: 'bpchar', length: 80 }, typeOid: 1042, typmod: 84,
    constantOid: 1042, operators: [1054, 1058, 1059, 1060, 1061], prunes: true,
    value: words.map((word) => [...word].slice(0, 80).join('').replace(/ +$/, '')),
    image: (value) => text(String(value).padEnd(85)) },
  plain('uuid', 'uuid', 2950, [2972, 2974, 2976, 2975, 2977], { value: fc.uuid(),
    image: (value) => Buffer.from(String(value).replaceAll('-', ''), 'hex') }),
  plain('bool', 'bool', 16, [91, 58, 1694, 59, 1695], { value: fc.boolean(),
    image: fixed((image, value) => image.writeUInt8(value === true ? 1 : 0)) }),
  plain('float8', 'float8', 701, [670, 672, 673, 674, 675], {
    value: fc.oneof(fc.constantFrom(NaN, 0, -0, 1, -1), fc.double({ noDefaultInfinity: true })),
    image: fixed((image, value) => image.writeDoubleLE(value as number)) }),
]

export interface Condition {
  readonly op: number
  readonly value: Value
}

/** FROM one relation WHERE every condition, as PostgreSQL's analysed tree. */
export function fromWhere(column: PrunedColumn, conditions: readonly Condition[]): TreeNode {
  const quals = conditions.map((condition) => comparison(column, condition))
  return node('FROMEXPR', { fromlist: [], quals: quals.length === 1 ? quals[0]!
    : node('BOOLEXPR', { boolop: 'and', args: quals }) })
}

export function comparison(column: PrunedColumn, { op, value }: Condition): TreeNode {
  const collation = column.mirror.kind === 'text' || column.mirror.kind === 'bpchar' ? '100' : '0'
  return node('OPEXPR', { opno: String(column.operators[op]), opretset: 'false',
    inputcollid: collation, args: [
      node('VAR', { varno: '1', varattno: '1', vartype: String(column.typeOid),
        vartypmod: String(column.typmod), varlevelsup: '0' }),
      node('CONST', { consttype: String(column.constantOid), consttypmod: '-1',
        constisnull: 'false', constvalue: column.image(value) }),
    ] })
}

export function node(tag: string, fields: Readonly<Record<string, TreeValue>>): TreeNode {
  return new TreeNode(tag, new Map(Object.entries(fields)))
}
