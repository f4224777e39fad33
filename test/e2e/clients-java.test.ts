/** pgjdbc through the gateway, in each of its query modes, sees what it sees in PostgreSQL. */
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { JDBC_JARS, SUPPORT } from '../support/cache.ts'
import {
  DriverEndpoints, type DriverEndpoint, type Transcript,
} from '../support/driver-endpoints.ts'
import { describeWith } from '../support/requires.ts'
import { cleanEnvironment, temporaryFolder } from '../support/slipway.ts'

const run = promisify(execFile)
const KEY_PASSWORD = 'of the key file'

describeWith(['jdbc', 'openssl'], 'pgjdbc', () => {
  let endpoints: DriverEndpoints
  let folder: string
  beforeAll(async () => {
    folder = temporaryFolder('jdbc')
    endpoints = await DriverEndpoints.start('java_drivers')
    await run('javac', ['-cp', join(JDBC_JARS, '*'), '-d', folder,
      join(SUPPORT, 'drivers', 'JdbcSession.java')])
  })
  afterAll(async () => {
    await endpoints[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  it('sees the same, direct and through', async () => {
    const expected = await play(await endpoints.endpoint('direct'))
    expect(expected).toMatchObject({ 'cancelled postgres': '57014', 'cancelled columnar': '57014',
      'heard': '[1true, 2true]', 'copied in': '5000', 'rolled back': '[count:-5 , 90|]' })
    const before = await endpoints.columnarCount()
    expect(await play(await endpoints.endpoint('certificate'))).toEqual(expected)
    expect(await endpoints.columnarCount() - before).toBeGreaterThanOrEqual(200)
    expect(await play(await endpoints.endpoint('password'))).toEqual(expected)
  })

  it('does not come in where it trusts another authority', async () => {
    await expect(play(endpoints.distrusted())).rejects.toThrow(/PKIX|certificate/i)
  })

  async function play(endpoint: DriverEndpoint): Promise<Transcript> {
    const { host, port, database, user, password, schema } = endpoint
    const out = join(folder, 'seen')
    await run('java', ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp',
      `${folder}:${join(JDBC_JARS, '*')}`, 'JdbcSession',
      `jdbc:postgresql://${host}:${port}/${database}`, user, password, out,
      `currentSchema=${schema}`, ...tlsProperties(endpoint)], { env: cleanEnvironment() })
    return Object.fromEntries(readFileSync(out, 'utf8').trim().split('\n').map((line) => {
      const [step = '', seen] = line.split('\t', 2)
      return [step, seen] as const
    }))
  }

  /** pgjdbc wants certificate and key in one PKCS #12 file. */
  function tlsProperties({ tls }: DriverEndpoint): readonly string[] {
    if (tls === null) return []
    const file = join(folder, 'client.p12')
    execFileSync('openssl', ['pkcs12', '-export', '-in', tls.cert, '-inkey', tls.key, '-name',
      'user', '-passout', `pass:${KEY_PASSWORD}`, '-out', file])
    return ['sslmode=verify-full', `sslrootcert=${tls.ca}`, `sslkey=${file}`,
      `sslpassword=${KEY_PASSWORD}`, 'sslNegotiation=direct']
  }
})
