/** --tls-required, --tls-client-ca, ident maps, certificates read again on SIGHUP. */
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { selfSigned, signedBy, type Certificate } from '../support/certificates.ts'
import { columnar, inPostgres, mirrored } from '../support/mirror.ts'
import { poll } from '../support/poll.ts'
import { describeWith } from '../support/requires.ts'
import { runSlipway, Slipway, temporaryFolder } from '../support/slipway.ts'
import { SqlClient } from '../support/sql-client.ts'

describeWith(['openssl'], 'clients with certificates', () => {
  let folder: string
  let server: Certificate
  let authority: Certificate
  let slipway: Slipway
  const client: Record<string, Certificate> = {}
  beforeAll(async () => {
    folder = temporaryFolder('certificates')
    const first = selfSigned(folder, 'first', ['subjectAltName=IP:127.0.0.1'])
    server = { certFile: join(folder, 'served.crt'), keyFile: join(folder, 'served.key') }
    serve(first)
    authority = selfSigned(folder, 'authority')
    for (const name of ['slipway', 'reader@example.com', 'slipway_admin']) {
      client[name] = signedBy(authority, folder, name)
    }
    client['stranger'] = signedBy(selfSigned(folder, 'other authority'), folder, 'stranger')
    writeFileSync(join(folder, 'slipway.json'), JSON.stringify({ postgres: {
      hba: ['hostssl all all all cert map=clients'],
      ident: ['clients slipway slipway', 'clients slipway_admin slipway_admin',
        'clients /^(.*)@example[.]com$ \\1'] } }))
    slipway = await Slipway.start({ cwd: folder, args: ['--tls-cert', server.certFile,
      '--tls-key', server.keyFile, '--tls-client-ca', authority.certFile,
      '--gateway-processes', '2'] })
  })
  afterAll(async () => {
    await slipway[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  function serve(certificate: Certificate): void {
    copyFileSync(certificate.certFile, server.certFile)
    copyFileSync(certificate.keyFile, server.keyFile)
  }

  /** Without a password: what is let in is let in by its certificate. */
  async function connect(name: string | null, user: string): Promise<SqlClient> {
    const shown = name === null ? undefined : client[name]
    return await SqlClient.connect({ ...slipway.address, user, password: '' }, { ssl: {
      rejectUnauthorized: false,
      ...shown === undefined ? {}
        : { cert: readFileSync(shown.certFile), key: readFileSync(shown.keyFile) } } })
  }

  it('log in as the role that their name maps to, and as no other', async () => {
    await using owner = await connect('slipway', 'slipway')
    await owner.query('CREATE ROLE reader LOGIN')
    await using reader = await connect('reader@example.com', 'reader')
    expect(await reader.value('SELECT session_user')).toBe('reader')
    await expect(reader.query('RESET SESSION AUTHORIZATION; SELECT * FROM pg_authid'))
      .rejects.toMatchObject({ code: '42501' })
    for (const [name, user] of [['reader@example.com', 'slipway'], ['slipway', 'reader'],
      [null, 'slipway'], ['stranger', 'stranger'], ['slipway_admin', 'slipway_admin']] as const) {
      await expect(connect(name, user)).rejects.toMatchObject({ code: '28000' })
    }
  })

  it('have everything else: columns answer them too', async () => {
    await using owner = await connect('slipway', 'slipway')
    await owner.query('CREATE TABLE t (id int PRIMARY KEY, v int)')
    await owner.query('INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 50000) i')
    await mirrored(owner, ['t'])
    const sql = 'SELECT sum(v) FROM t'
    expect(await columnar(owner, sql)).toEqual(await inPostgres(owner, sql))
  })

  it('nobody comes in in clear; Slipway\'s own commands come in with the certificate', async () => {
    await expect(slipway.connect()).rejects.toMatchObject({ code: '28000',
      message: expect.stringMatching(/no pg_hba.conf entry.*no encryption/) as string })
    const shown = client['slipway']
    const done = await runSlipway(['sql', 'SELECT 42 AS answer', '--data-dir', slipway.dataDir],
      { env: { PGSSLCERT: shown?.certFile ?? '', PGSSLKEY: shown?.keyFile ?? '' } })
    expect(done.stdout).toContain('42')
  })

  it('a new certificate is served after SIGHUP, a broken one is not', async () => {
    await using before = await connect('slipway', 'slipway')
    const second = selfSigned(folder, 'second', ['subjectAltName=IP:127.0.0.1'])
    const isServed = async (): Promise<true | null> => {
      const shown = client['slipway']
      if (shown === undefined) return null
      try {
        await using fresh = await SqlClient.connect({ ...slipway.address, password: '' }, { ssl: {
          ca: readFileSync(second.certFile), cert: readFileSync(shown.certFile),
          key: readFileSync(shown.keyFile) } })
        return await fresh.value('SELECT 1') === '1' ? true : null
      } catch {
        return null
      }
    }
    expect(await isServed()).toBeNull()
    serve(second)
    process.kill(slipway.pid, 'SIGHUP')
    await poll('the new certificate is served', 10_000, isServed)
    writeFileSync(server.certFile, 'no certificate')
    process.kill(slipway.pid, 'SIGHUP')
    await poll('the log says so', 10_000, () =>
      readFileSync(join(slipway.dataDir, 'log', 'gateway-1.log'), 'utf8')
        .includes('cannot be read again') ? true : null)
    expect(await isServed()).toBe(true)
    expect(await before.value('SELECT 1')).toBe('1')
  })
})
