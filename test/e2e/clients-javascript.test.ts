/** postgres.js and Drizzle through the gateway see what they see in PostgreSQL. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DriverEndpoints } from '../support/driver-endpoints.ts'
import { playDrizzle } from '../support/drivers/drizzle.ts'
import { playPostgresJs } from '../support/drivers/postgres-js.ts'
import { describeWith } from '../support/requires.ts'

/** `truths`: what does not hang on PostgreSQL's word. */
const SESSIONS = [
  { driver: 'postgres.js', play: playPostgresJs, columnarMin: 20, truths: {
    'cancelled postgres': '57014', 'cancelled columnar': '57014', 'savepoint': '22012',
    'block': '22012', 'rolled back': [{ count: '90' }], 'inserted': 90,
    'copied': [[{ count: '5090', sum: '12497590' }], expect.any(Number)], 'heard': ['1', '2'] } },
  { driver: 'Drizzle', play: playDrizzle, columnarMin: 2, truths: {
    'applied': [expect.anything(), expect.anything()], 'prepared': [[{ n: 290 }], [{ n: 10 }]],
    'own deletes': [{ n: 0 }], 'savepoint': '22012', 'outcome': 'Rollback',
    'rolled back': [{ n: 300 }] } },
] as const

describeWith(['openssl'], 'JavaScript drivers', () => {
  let endpoints: DriverEndpoints
  beforeAll(async () => { endpoints = await DriverEndpoints.start('javascript_drivers') })
  afterAll(() => endpoints[Symbol.asyncDispose]())

  it.each(SESSIONS)('$driver', async ({ play, columnarMin, truths }) => {
    const expected = await play(await endpoints.endpoint('direct'))
    expect(expected).toMatchObject(truths)
    const before = await endpoints.columnarCount()
    expect(await play(await endpoints.endpoint('certificate'))).toEqual(expected)
    expect(await endpoints.columnarCount() - before).toBeGreaterThanOrEqual(columnarMin)
    expect(await play(await endpoints.endpoint('password'))).toEqual(expected)
  })

  it.each(SESSIONS)('$driver does not come in where it trusts another authority',
    async ({ play }) => {
      await expect(play(endpoints.distrusted())).rejects.toThrow()
    })
})
