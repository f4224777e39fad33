/**
 * TlsMode: what libpq's sslmode and its companions in a URL ask for.
 *
 * M1  Each mode is the list of ways to try, in libpq's order; the first that the server takes
 *     is used from then on.
 * M2  Files that are not named are looked for in ~/.postgresql, as libpq does.
 *
 * Source: PostgreSQL documentation, "SSL Mode Descriptions", "Client Verification of Server
 * Certificates".
 */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { CertificateFiles, TargetTls } from './target.ts'

const OFF: TargetTls = { kind: 'off' }
/** libpq's word for the system's own authorities. */
const SYSTEM = 'system'

/** `refuse` throws what it is told. */
export function tlsTries(
  parameters: URLSearchParams, refuse: (why: string) => never,
): readonly [TargetTls, ...TargetTls[]] {
  const root = parameters.get('sslrootcert') ?? homeFile('root.crt')
  const mode = parameters.get('sslmode') ?? (root === SYSTEM ? 'verify-full' : 'prefer')
  if (root === SYSTEM && mode !== 'verify-full') {
    refuse('sslrootcert=system needs sslmode=verify-full')
  }
  const client = clientFiles(parameters, refuse)
  const unverified: TargetTls = { kind: 'unverified', client }
  const verified = (checkHost: boolean): TargetTls => ({
    kind: 'verified', checkHost, client,
    caFile: root === SYSTEM ? null : root ?? refuse(`sslmode=${mode} needs sslrootcert`),
  })
  switch (mode) {
    case 'disable': return [OFF]
    case 'allow': return [OFF, unverified]
    case 'prefer': return [unverified, OFF]
    // A root certificate turns require into verify-ca.
    case 'require': return [root === null ? unverified : verified(false)]
    case 'verify-ca': return [verified(false)]
    case 'verify-full': return [verified(true)]
    default: return refuse('its sslmode is none of PostgreSQL\'s')
  }
}

function clientFiles(
  parameters: URLSearchParams, refuse: (why: string) => never,
): CertificateFiles | null {
  const certFile = parameters.get('sslcert') ?? homeFile('postgresql.crt')
  if (certFile === null) return null
  const keyFile = parameters.get('sslkey') ?? homeFile('postgresql.key')
  return { certFile, keyFile: keyFile ?? refuse('sslcert needs sslkey') }
}

function homeFile(name: string): string | null {
  const path = join(homedir(), '.postgresql', name)
  return existsSync(path) ? path : null
}
