/** Constants as PostgreSQL prints them in a tree, decoded, against the values it was given. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ConstantValue, decodeConstant } from '../../src/router/constant.ts'
import { TreeNode, isTreeList, parseNodeTree } from '../../src/router/node-tree.ts'
import { PgType } from '../../src/router/pg-type.ts'
import { decodeParameter } from '../../src/router/parameter.ts'
import { oid } from '../../src/base/oid.ts'
import { startScratchPostgres, type ScratchPostgres } from '../support/scratch-postgres.ts'
import { Differential } from './differential.ts'

let postgres: ScratchPostgres
let differential: Differential

beforeAll(async () => {
  postgres = await startScratchPostgres()
  differential = await Differential.open(postgres.client, 'UTC')
})
afterAll(async () => { await postgres[Symbol.asyncDispose]() })

function constantsOf(tree: string): readonly ConstantValue[] {
  const parsed = parseNodeTree(tree)
  const [query] = isTreeList(parsed) ? parsed : [parsed]
  if (!(query instanceof TreeNode)) throw new Error('no query')
  return query.nodes('targetList').map((target) => {
    const node = target.node('expr'), image = node.get('constvalue')
    return decodeConstant(node.int('consttype'), Buffer.isBuffer(image) ? image : null)
  })
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
const KINDS = [
  { type: 'int8', oid: PgType.int8, values: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n })
    .map(String) },
  { type: 'int2', oid: PgType.int2, values: fc.integer({ min: -32768, max: 32767 }).map(String) },
  { type: 'numeric', oid: PgType.numeric, values: fc.tuple(
    fc.bigInt({ min: -(10n ** 37n), max: 10n ** 37n }), fc.integer({ min: 0, max: 30 }))
    .map(([value, scale]) => {
      const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
      const whole = digits.slice(0, digits.length - scale)
      const sign = value < 0n ? '-' : ''
      return scale === 0 ? `${sign}${whole}` : `${sign}${whole}.${digits.slice(-scale)}`
    }) },
  { type: 'text', oid: PgType.text, values: fc.string({ unit: 'binary', maxLength: 200 })
    .map((text) => text.replaceAll('\0', '')) },
  { type: 'date', oid: PgType.date, values: fc.date({ min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 10)) },
  { type: 'timestamp', oid: PgType.timestamp, values: fc.date({
    min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'),
    noInvalidDate: true })
    .map((date) => date.toISOString().replace('T', ' ').replace('Z', '')) },
  { type: 'uuid', oid: PgType.uuid, values: fc.uuid() },
  { type: 'bool', oid: PgType.bool, values: fc.constantFrom('t', 'f') },
] as const

// The text parser of parameters is the independent reader: both must find the same value.
it.each(KINDS)('$type', async ({ type, oid: typeOid, values }) => {
  await fc.assert(fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 40 }),
    async (texts) => {
      const list = texts.map((text) => `${quoted(text)}::${type}`)
      const { tree } = await differential.analyse(`select ${list.join(', ')}`)
      expect(constantsOf(tree)).toEqual(texts.map((text) => decodeParameter(typeOid,
        { typeOid: oid(typeOid), format: 0, value: Buffer.from(text) })))
    }), { numRuns: 15 })
})

it('arrays with NULLs', async () => {
  const { tree } = await differential.analyse(
    `select '{1,NULL,-3}'::int4[], '{a,"b c",NULL,""}'::text[], '{}'::int8[], '{t,f}'::bool[]`)
  const int = (value: bigint): ConstantValue => ({ kind: 'int', value })
  const text = (value: string): ConstantValue => ({ kind: 'text', value })
  expect(constantsOf(tree).map((value) => value.kind === 'array' ? value.items : value)).toEqual([
    [int(1n), { kind: 'null' }, int(-3n)],
    [text('a'), text('b c'), { kind: 'null' }, text('')], [],
    [{ kind: 'bool', value: true }, { kind: 'bool', value: false }],
  ])
})

it('binary parameters give what text parameters give', () => {
  const int4 = Buffer.alloc(4)
  int4.writeInt32BE(-7)
  const numeric = Buffer.from('0003000100000003303904d20d48'.replace(/ /g, ''), 'hex')
  const of = (typeOid: number, format: 0 | 1, value: Buffer): ConstantValue =>
    decodeParameter(typeOid, { typeOid: oid(typeOid), format, value })
  expect(of(PgType.int4, 1, int4)).toEqual(of(PgType.int4, 0, Buffer.from('-7')))
  expect(() => of(PgType.int4, 0, Buffer.from('1_000'))).toThrow()
  expect(() => of(PgType.int4, 1, Buffer.alloc(3))).toThrow()
  expect(() => of(PgType.numeric, 1, numeric)).toThrow()
})
