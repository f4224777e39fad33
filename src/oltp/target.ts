/**
 * PostgresTarget: where the PostgreSQL server listens.
 *
 * T1  A target holds no secret: it may be logged, and handed from process to process as JSON.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import type { ClientConfig } from 'pg'
import { SlipwayError } from '../base/errors.ts'

export type PostgresTarget =
  | { readonly kind: 'socket'; readonly directory: string; readonly port: number }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number
      readonly tls: TargetTls }

export type TargetTls =
  | { readonly kind: 'off' }
  /** Encrypted, the server's certificate not checked (libpq's sslmode=require). */
  | { readonly kind: 'unverified'; readonly client: CertificateFiles | null }
  /** `caFile`: null for the system's authorities. `checkHost`: sslmode=verify-full. */
  | { readonly kind: 'verified'; readonly caFile: string | null; readonly checkHost: boolean
      readonly client: CertificateFiles | null }

/** PEM files of a client that shows a certificate. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

export interface Credentials {
  readonly user: string
  readonly password: string | null
}

/** The socket's path, as libpq builds it from a directory and a port. */
export function socketPath(target: PostgresTarget & { readonly kind: 'socket' }): string {
  return join(target.directory, `.s.PGSQL.${target.port}`)
}

export function describeTarget(target: PostgresTarget): string {
  return target.kind === 'socket' ? socketPath(target) : `${target.host}:${target.port}`
}

/** How `pg` connects there. Names itself `slipway` in pg_stat_activity unless told. */
export function clientConfig(target: PostgresTarget, options: Credentials & {
  readonly database: string
  readonly applicationName?: string
}): ClientConfig {
  const address: ClientConfig = target.kind === 'socket'
    ? { host: target.directory, port: target.port, ssl: false }
    : { host: target.host, port: target.port, ssl: tlsOptions(target.tls) ?? false }
  return {
    ...address,
    user: options.user,
    database: options.database,
    // Without one, pg looks into PGPASSWORD and ~/.pgpass, as libpq does.
    ...(options.password === null ? {} : { password: options.password }),
    application_name: options.applicationName ?? 'slipway',
    connectionTimeoutMillis: 30_000,
    keepAlive: true,
  }
}

/** For node:tls; null without TLS. Throws 'usage' when a file cannot be read. */
export function tlsOptions(tls: TargetTls): TargetTlsOptions | null {
  if (tls.kind === 'off') return null
  const client = tls.client === null ? {}
    : { cert: readNamed(tls.client.certFile), key: readNamed(tls.client.keyFile) }
  if (tls.kind === 'unverified') return { rejectUnauthorized: false, ...client }
  return {
    rejectUnauthorized: true, ...client,
    ...(tls.caFile === null ? {} : { ca: readNamed(tls.caFile) }),
    ...(tls.checkHost ? {} : { checkServerIdentity: () => undefined }),
  }
}

export type TargetTlsOptions = Pick<ConnectionOptions,
  'rejectUnauthorized' | 'cert' | 'key' | 'ca' | 'checkServerIdentity'>

function readNamed(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new SlipwayError('usage', `${path} cannot be read (${code})`,
      { hint: 'Correct sslrootcert, sslcert or sslkey in --postgres-url.', cause: error })
  }
}
