/** psycopg 3, asyncpg and SQLAlchemy through the gateway see what they see in PostgreSQL. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PYTHON, SUPPORT } from '../support/cache.ts'
import {
  DriverEndpoints, type DriverEndpoint, type Transcript,
} from '../support/driver-endpoints.ts'
import { describeWith } from '../support/requires.ts'
import { cleanEnvironment } from '../support/slipway.ts'

const run = promisify(execFile)
/** What each driver's aggregates, answered in turn by both engines, come to at least. */
const SESSIONS = [
  { driver: 'psycopg', columnarMin: 20 },
  { driver: 'asyncpg', columnarMin: 30 },
  { driver: 'sqlalchemy', columnarMin: 2 },
] as const

describeWith(['python', 'openssl'], 'Python drivers', () => {
  let endpoints: DriverEndpoints
  beforeAll(async () => { endpoints = await DriverEndpoints.start('python_drivers') })
  afterAll(() => endpoints[Symbol.asyncDispose]())

  it.each(SESSIONS)('$driver', async ({ driver, columnarMin }) => {
    const expected = await play(driver, await endpoints.endpoint('direct'))
    expect(expected).toMatchObject(TRUTHS[driver])
    const before = await endpoints.columnarCount()
    expect(await play(driver, await endpoints.endpoint('certificate'))).toEqual(expected)
    expect(await endpoints.columnarCount() - before).toBeGreaterThanOrEqual(columnarMin)
    expect(await play(driver, await endpoints.endpoint('password'))).toEqual(expected)
  })

  it.each(['psycopg', 'asyncpg'])('%s does not come in where it trusts another authority',
    async (driver) => {
      await expect(play(driver, endpoints.distrusted()))
        .rejects.toThrow(/certificate verify failed/i)
    })
})

/** What does not hang on PostgreSQL's word. */
const TRUTHS = {
  psycopg: { 'cancelled postgres': '57014', 'cancelled columnar': '57014',
    'alive columnar': 5000, 'pipeline error': '22012', 'after pipeline error': 90,
    'copy given up': 9000, 'rolled back': 90, 'two-phase': 1 },
  asyncpg: { 'timed out postgres': 5000, 'timed out columnar': 5000, 'rolled back': 92,
    'copy in': 'COPY 5000', 'heard': [[true, '1'], [true, '2']], 'after copy': 5000 },
  sqlalchemy: { 'nested error': '22012', 'in the block': 0, 'rolled back': 120,
    'two-phase': 121, 'serializable': 121 },
} as const

async function play(driver: string, endpoint: DriverEndpoint): Promise<Transcript> {
  const script = join(SUPPORT, 'drivers', `${driver}_session.py`)
  const { stdout } = await run(PYTHON, [script, JSON.stringify(endpoint)],
    { env: { ...cleanEnvironment(), PYTHONDONTWRITEBYTECODE: '1' }, maxBuffer: 1 << 26 })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Transcript
}
