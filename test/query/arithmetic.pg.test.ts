/** Exact arithmetic and float text against PostgreSQL, in batches of generated values. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { float4Text, float8Text } from '../../src/query/float-text.ts'
import {
  divide, numericText, parseNumeric, variance, type Numeric,
} from '../../src/query/numeric.ts'
import { startScratchPostgres, type ScratchPostgres } from '../support/scratch-postgres.ts'

let postgres: ScratchPostgres

beforeAll(async () => { postgres = await startScratchPostgres() })
afterAll(() => postgres[Symbol.asyncDispose]())

const RUNS = { numRuns: 6, seed: 20_260_101, endOnFailure: true }

async function ask(sql: string, values: readonly unknown[]): Promise<(string | null)[]> {
  const { rows } = await postgres.client.query<[string | null]>({
    text: sql, values: [...values], rowMode: 'array',
  })
  return rows.map(([value]) => value)
}

const doubleOfBits = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
  .map((bits) => new Float64Array(BigUint64Array.of(bits).buffer)[0]!)
/** Where shortest digits are contentious: near powers of two and above 2^53. */
const doubleNearPower = fc
  .tuple(fc.integer({ min: -1074, max: 1023 }), fc.integer({ min: -3, max: 3 }))
  .map(([exponent, step]) => 2 ** exponent * (1 + step * 2 ** -52))
const largeInteger = fc.bigInt({ min: 1n << 52n, max: 1n << 75n }).map(Number)
const decimalFraction = fc.tuple(fc.integer(), fc.integer({ min: -12, max: 12 }))
  .map(([digits, exponent]) => Number(`${digits}e${exponent}`))
const double = fc.oneof(doubleOfBits, doubleNearPower, largeInteger, decimalFraction)

const floatOfBits = fc.integer({ min: 0, max: 0xffffffff })
  .map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0]!)
const float = fc.oneof(floatOfBits, decimalFraction.map(Math.fround),
  fc.integer({ min: 1 << 23, max: 2 ** 31 }).map(Math.fround))

describe('float text', () => {
  it.each([1, 0, -5])('float8 with extra_float_digits %d', async (digits) => {
    await postgres.client.query(`set extra_float_digits = ${digits}`)
    await fc.assert(fc.asyncProperty(fc.array(double, { minLength: 800, maxLength: 1500 }),
      async (values) => {
        const wanted = await ask(`select (x::float8)::text from unnest($1::text[])
          with ordinality t(x, i) order by i`, [values.map((x) => x.toExponential(17))])
        expect(values.map((x) => float8Text(x === 0 ? 0 : x, digits))).toEqual(wanted)
      }), RUNS)
  })

  it.each([1, 0, -2])('float4 with extra_float_digits %d', async (digits) => {
    await postgres.client.query(`set extra_float_digits = ${digits}`)
    await fc.assert(fc.asyncProperty(fc.array(float, { minLength: 800, maxLength: 1500 }),
      async (values) => {
        const wanted = await ask(`select (x::float4)::text from unnest($1::text[])
          with ordinality t(x, i) order by i`, [values.map((x) => x.toExponential(17))])
        expect(values.map((x) => float4Text(x === 0 ? 0 : x, digits))).toEqual(wanted)
      }), RUNS)
  })
})

const digits = (count: number): fc.Arbitrary<bigint> =>
  fc.integer({ min: 1, max: count }).chain((length) =>
    fc.bigInt({ min: -(10n ** BigInt(length)), max: 10n ** BigInt(length) }))
const numeric: fc.Arbitrary<Numeric> = fc.record({
  unscaled: fc.oneof(digits(38), fc.constantFrom(0n, 1n, 9999n, 10_000n, -10_000n)),
  scale: fc.integer({ min: 0, max: 20 }),
})

describe('numeric', () => {
  it('divides with PostgreSQL\'s digits and display scale', async () => {
    const pair = fc.tuple(numeric, numeric.filter(({ unscaled }) => unscaled !== 0n))
    await fc.assert(fc.asyncProperty(fc.array(pair, { minLength: 500, maxLength: 1000 }),
      async (pairs) => {
        const wanted = await ask(`select (a::numeric / b::numeric)::text
          from unnest($1::text[], $2::text[]) with ordinality t(a, b, i) order by i`,
        [pairs.map(([a]) => numericText(a)), pairs.map(([, b]) => numericText(b))])
        expect(pairs.map(([a, b]) => numericText(divide(a, b)))).toEqual(wanted)
      }), RUNS)
  })

  it.each(['var_pop', 'var_samp', 'stddev_pop', 'stddev_samp'])('%s', async (name) => {
    const sample = name.endsWith('samp')
    const root = name.startsWith('stddev')
    const group = fc.record({
      scale: fc.integer({ min: 0, max: 6 }),
      values: fc.array(digits(12), { minLength: 0, maxLength: 12 }),
    })
    await fc.assert(fc.asyncProperty(fc.array(group, { minLength: 60, maxLength: 80 }),
      async (groups) => {
        const wanted = await ask(`select (select ${name}(x::numeric)::text
            from unnest(g::text[]) x) from unnest($1::text[]) with ordinality t(g, i) order by i`,
        [groups.map(({ scale, values }) =>
          `{${values.map((unscaled) => numericText({ unscaled, scale })).join(',')}}`)])
        const got = groups.map(({ scale, values }) => {
          const result = variance({
            count: BigInt(values.length), scale, sample, root,
            sum: values.reduce((sum, x) => sum + x, 0n),
            sumOfSquares: values.reduce((sum, x) => sum + x * x, 0n),
          })
          return result === null ? null : numericText(result)
        })
        expect(got).toEqual(wanted)
      }), RUNS)
  })

  it('reads back what it writes', () => {
    fc.assert(fc.property(numeric, (value) => {
      expect(parseNumeric(numericText(value))).toEqual(value)
    }), { seed: RUNS.seed })
  })
})
