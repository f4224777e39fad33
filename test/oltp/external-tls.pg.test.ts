/** TlsMode (M1) and the dialer: libpq's sslmode against a server that speaks TLS, or does not. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { dialPostgres } from '../../src/gateway/postgres-dialer.ts'
import { checkExternalPostgres, parsePostgresUrl } from '../../src/oltp/external-postgres.ts'
import { giveTo, pickServerAccount } from '../../src/oltp/server-account.ts'
import { selfSigned, signedBy, type Certificate } from '../support/certificates.ts'
import { describeWith } from '../support/requires.ts'
import {
  SCRATCH_DATABASE, SCRATCH_PASSWORD, SCRATCH_USER, startScratchPostgres, type ScratchPostgres,
} from '../support/scratch-postgres.ts'

const HOST = '127.0.0.77'

describeWith(['openssl'], 'an external server', () => {
  let server: ScratchPostgres
  let folder: string
  let authority: Certificate
  let ours: Certificate
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'slipway-tls-'))
    authority = selfSigned(folder, 'authority', [`subjectAltName=IP:${HOST}`])
    ours = signedBy(authority, folder, SCRATCH_USER)
    server = await startScratchPostgres(18, [`listen_addresses=${HOST}`])
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  /** How the server was reached, by the gateway too; else why not. */
  async function reached(parameters: string): Promise<string> {
    const url = `postgres://${SCRATCH_USER}:${SCRATCH_PASSWORD}@${HOST}:5432/${SCRATCH_DATABASE}`
    try {
      const { target } = await checkExternalPostgres(parsePostgresUrl(`${url}?${parameters}`))
      const dialled = await dialPostgres(target, null)
      if (dialled.kind === 'unreachable') return dialled.code
      dialled.channel.destroy()
      expect(dialled.isSecure).toBe(target.kind === 'tcp' && target.tls.kind !== 'off')
      return dialled.isSecure ? 'tls' : 'plain'
    } catch (error) {
      return (error as { code: string }).code
    }
  }

  async function reload(lines: readonly string[]): Promise<void> {
    const quoted = lines.map((line) => `'${line}'`).join(', ')
    const { rows } = await server.client.query<{ setting: string }>(
      `SELECT setting FROM pg_settings WHERE name = 'hba_file'`)
    await server.client.query(
      `COPY (SELECT unnest(ARRAY[${quoted}])) TO '${rows[0]?.setting ?? ''}'`)
    await server.client.query('SELECT pg_reload_conf(), pg_sleep(0.2)')
  }

  it('without TLS: prefer and allow go on in clear, require does not', async () => {
    await reload(['local all all trust', 'host all all all scram-sha-256'])
    for (const mode of ['', 'sslmode=prefer', 'sslmode=allow', 'sslmode=disable']) {
      expect(await reached(mode)).toBe('plain')
    }
    expect(await reached('sslmode=require')).toBe('postgres-unreachable')
  })

  it('with TLS: what is asked for is what is had, and certificates are checked', async () => {
    const { rows } = await server.client.query<{ data_directory: string }>('SHOW data_directory')
    const data = rows[0]?.data_directory ?? ''
    for (const [from, to] of [
      [authority.certFile, 'server.crt'], [authority.keyFile, 'server.key'],
      [authority.certFile, 'root.crt']] as const) {
      copyFileSync(from, join(data, to))
      giveTo(pickServerAccount(data, dirname(data)), join(data, to))
    }
    await server.client.query(`ALTER SYSTEM SET ssl_ca_file = 'root.crt'`)
    await server.client.query('ALTER SYSTEM SET ssl = on')
    await reload(['local all all trust', 'host all all all scram-sha-256'])
    expect(await reached('')).toBe('tls')
    expect(await reached('sslmode=allow')).toBe('plain')
    expect(await reached('sslmode=disable')).toBe('plain')
    expect(await reached(`sslmode=verify-full&sslrootcert=${authority.certFile}`)).toBe('tls')
    expect(await reached(`sslmode=verify-ca&sslrootcert=${ours.certFile}`))
      .toBe('postgres-unreachable')
    expect(await reached('sslmode=verify-full&sslrootcert=/none')).toBe('usage')
    // Only in clear, only with TLS, only with a certificate.
    await reload(['local all all trust', 'hostnossl all all all scram-sha-256'])
    expect(await reached('')).toBe('plain')
    expect(await reached('sslmode=require')).toBe('auth-failed')
    await reload(['local all all trust', 'hostssl all all all scram-sha-256'])
    expect(await reached('sslmode=allow')).toBe('tls')
    await reload(['local all all trust', 'hostssl all all all cert'])
    expect(await reached('')).toBe('auth-failed')
    expect(await reached(`sslmode=require&sslcert=${ours.certFile}&sslkey=${ours.keyFile}`))
      .toBe('tls')
  })
})
