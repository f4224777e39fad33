/** --postgres-url: a PostgreSQL that is somebody else's; TLS; --direct-port. */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { columnar, inPostgres, mirrored } from '../support/mirror.ts'
import { describeWith } from '../support/requires.ts'
import {
  SCRATCH_DATABASE, SCRATCH_PASSWORD, SCRATCH_USER, startScratchPostgres, type ScratchPostgres,
} from '../support/scratch-postgres.ts'
import { runSlipway, Slipway, temporaryFolder } from '../support/slipway.ts'
import { SqlClient } from '../support/sql-client.ts'

/** Loopback addresses of their own: the scratch server listens on PostgreSQL's usual port. */
const url = (host: string): string =>
  `postgres://${SCRATCH_USER}:${SCRATCH_PASSWORD}@${host}:5432/${SCRATCH_DATABASE}`

describe.each([18, 17, 16] as const)('an external PostgreSQL %d', (version) => {
  const host = `127.0.0.${version}`
  let server: ScratchPostgres
  beforeAll(async () => {
    server = await startScratchPostgres(version, [`listen_addresses=${host}`])
  })
  afterAll(async () => { await server[Symbol.asyncDispose]() })

  it('is mirrored, tables that were there before included', async () => {
    await server.client.query(`CREATE TABLE before (id int PRIMARY KEY, v int);
      INSERT INTO before SELECT i, i FROM generate_series(1, 1000) i`)
    await using slipway = await Slipway.start({ args: ['--postgres-url', url(host)] })
    await using client = await SqlClient.connect({ ...slipway.address, user: SCRATCH_USER,
      password: SCRATCH_PASSWORD, database: SCRATCH_DATABASE })
    await client.query('CREATE TABLE after (id int PRIMARY KEY, v int)')
    await mirrored(client, ['before', 'after'])
    await client.query('INSERT INTO after SELECT id, -v FROM before')
    const sql = 'SELECT count(*), sum(a.v + b.v) FROM after a JOIN before b USING (id)'
    expect(await columnar(client, sql)).toEqual(await inPostgres(client, sql))
    expect(slipway.output).not.toContain(SCRATCH_PASSWORD)
  })
})

describe('an external PostgreSQL that cannot be mirrored', () => {
  it('wal_level=replica is named, with the cure', async () => {
    await using server = await startScratchPostgres(18,
      ['listen_addresses=127.0.0.19', 'wal_level=replica'])
    expect((await server.client.query('SHOW wal_level')).rows).toHaveLength(1)
    const dataDir = temporaryFolder('unfit')
    const done = await runSlipway(['up', '--data-dir', dataDir, '--port', '0', '--http-port', '0',
      '--postgres-url', url('127.0.0.19')])
    rmSync(dataDir, { recursive: true, force: true })
    expect(done.status).toBe(1)
    expect(done.stderr).toContain('wal_level')
    expect(done.stderr).toContain('logical')
  })
})

describeWith(['openssl'], 'TLS and the direct port', () => {
  it('a client that wants TLS gets it; the direct port is PostgreSQL itself', async () => {
    const folder = temporaryFolder('tls')
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj',
      '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
    { stdio: 'ignore' })
    const directPort = await freePort()
    await using slipway = await Slipway.start({ args: ['--tls-cert', cert, '--tls-key', key,
      '--direct-port', String(directPort)] })
    await using client = await slipway.connect({ ssl: { ca: readFileSync(cert) } })
    await client.query('CREATE TABLE secret (id int PRIMARY KEY, v text)')
    await client.query(`INSERT INTO secret SELECT i, repeat('x', 1000)
      FROM generate_series(1, 2000) i`)
    await mirrored(client, ['secret'])
    const sql = 'SELECT count(*), sum(length(v)) FROM secret'
    expect(await columnar(client, sql)).toEqual(await inPostgres(client, sql))
    expect((await client.query('SELECT id, v FROM secret')).rows).toHaveLength(2000)
    await using plain = await slipway.connect()
    expect(await plain.value('SELECT 1')).toBe('1')
    await using direct = await SqlClient.connect({ ...slipway.address, port: directPort })
    await direct.query(`INSERT INTO secret VALUES (0, 'direct')`)
    expect(await columnar(client, sql)).toEqual(await inPostgres(client, sql))
    rmSync(folder, { recursive: true, force: true })
  })
})
