/**
 * ExternalPostgres: a PostgreSQL that is somebody else's, given by URL.
 *
 * X1  Nothing is changed here: the check only reads, and names the first thing that is in the
 *     way together with the command that cures it.
 * X2  No message repeats the URL or the password.
 */
import { userInfo } from 'node:os'
import { isAbsolute } from 'node:path'
import { Client } from 'pg'
import { SlipwayError } from '../base/errors.ts'
import { clientConfig, describeTarget, type Credentials, type PostgresTarget } from './target.ts'
import { tlsTries } from './tls-mode.ts'

export interface ExternalPostgres extends Credentials {
  readonly target: PostgresTarget
  readonly database: string
}

const OLDEST = 16
const NEWEST = 18
const URL_FORM = 'postgres://role:password@host:5432/database?sslmode=require'

/**
 * libpq's URL: `host` may be a socket directory (percent-encoded, or ?host=); sslmode,
 * sslrootcert, sslcert, sslkey. One for each way of reaching the server that is to be tried,
 * in order. Throws 'usage'.
 */
export function parsePostgresUrl(text: string): readonly ExternalPostgres[] {
  let url: URL
  try {
    // An empty host is libpq's way to say "the socket in ?host="; URL would refuse it.
    url = new URL(text.replace(/^(postgres(?:ql)?:\/\/(?:[^/@?]*@)?)(?=[/?]|$)/, '$1localhost'))
  } catch (error) {
    wrongUrl('it is not a URL', error)
  }
  if (!/^postgres(ql)?:$/.test(url.protocol)) wrongUrl('it must begin with postgres://')
  const host = decode(url.searchParams.get('host') ?? url.hostname)
  if (host.includes(',')) wrongUrl('it names several hosts; give one')
  const port = Number(url.searchParams.get('port') ?? (url.port === '' ? '5432' : url.port))
  if (!Number.isInteger(port) || port < 1 || port > 65535) wrongUrl('its port is none')
  const user = decode(url.username) || url.searchParams.get('user') || userInfo().username
  const password = decode(url.password) || url.searchParams.get('password')
  const database = decode(url.pathname.slice(1)) || url.searchParams.get('dbname') || user
  const targets: readonly PostgresTarget[] = isAbsolute(host)
    ? [{ kind: 'socket', directory: host, port }]
    : tlsTries(url.searchParams, wrongUrl).map((tls) =>
      ({ kind: 'tcp', host: host.replace(/^\[(.*)\]$/, '$1'), port, tls }))
  return targets.map((target) =>
    ({ target, database, user, password: password === '' ? null : password }))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    wrongUrl('it has a broken percent-encoding', error)
  }
}

function wrongUrl(why: string, cause?: unknown): never {
  throw new SlipwayError('usage', `--postgres-url cannot be read: ${why}`,
    { hint: `It has the form ${URL_FORM}`, cause })
}

/**
 * Of the ways that the URL allows, the first that the server takes. Throws
 * 'postgres-unreachable', 'auth-failed' or 'postgres-unfit' with the cure.
 */
export async function checkExternalPostgres(
  tries: readonly ExternalPostgres[],
): Promise<ExternalPostgres> {
  let failure: unknown = null
  for (const external of tries) {
    const client = new Client(clientConfig(external.target, external))
    client.on('error', () => {})
    try {
      await client.connect()
    } catch (error) {
      failure = connectFailure(external, error)
      continue
    }
    try {
      const fault = firstFault(await readFacts(client), external)
      if (fault !== null) throw new SlipwayError('postgres-unfit', fault.what, { hint: fault.cure })
      return external
    } finally {
      await client.end().catch(() => {})
    }
  }
  throw failure
}

/** What decides whether a server can be mirrored. */
export interface ServerFacts {
  readonly version: number
  readonly standby: boolean
  readonly walLevel: string
  readonly superuser: boolean
  readonly encoding: string
  readonly slotsMax: number
  /** Slots that are not ours. */
  readonly slotsUsed: number
  readonly sendersMax: number
}

async function readFacts(client: Client): Promise<ServerFacts> {
  const { rows } = await client.query<ServerFacts>(`select
    current_setting('server_version_num')::int / 10000 as version,
    pg_is_in_recovery() as standby,
    current_setting('wal_level') as "walLevel",
    (select rolsuper from pg_roles where rolname = current_user) as superuser,
    current_setting('server_encoding') as encoding,
    current_setting('max_replication_slots')::int as "slotsMax",
    (select count(*)::int from pg_replication_slots where slot_name <> 'slipway_' ||
      (select oid from pg_database where datname = current_database())) as "slotsUsed",
    current_setting('max_wal_senders')::int as "sendersMax"`)
  const [facts] = rows
  if (facts === undefined) throw new Error('the server describes itself in one row')
  return facts
}

/** The first thing that is in the way; null when the server is fit. */
export function firstFault(
  facts: ServerFacts, external: { readonly user: string; readonly database: string },
): { readonly what: string; readonly cure: string } | null {
  if (facts.version < OLDEST || facts.version > NEWEST) {
    return {
      what: `the server is PostgreSQL ${facts.version}; ${OLDEST} to ${NEWEST} are supported`,
      cure: 'Upgrade the server, or leave --postgres-url out for the embedded one.',
    }
  }
  if (facts.standby) {
    return {
      what: 'the server is a standby, where neither tables nor triggers can be made',
      cure: 'Give the URL of the primary.',
    }
  }
  if (facts.walLevel !== 'logical') {
    return {
      what: `wal_level is ${facts.walLevel}, and must be logical`,
      cure: 'ALTER SYSTEM SET wal_level = \'logical\'; then restart the server.',
    }
  }
  if (!facts.superuser) {
    return {
      what: `the role ${external.user} is no superuser, which event triggers need`,
      cure: `ALTER ROLE "${external.user}" SUPERUSER; or give another role in the URL.`,
    }
  }
  return firstLimit(facts, external)
}

function firstLimit(
  facts: ServerFacts, external: { readonly database: string },
): { readonly what: string; readonly cure: string } | null {
  if (facts.encoding === 'SQL_ASCII') {
    return {
      what: `the database ${external.database} has the encoding SQL_ASCII: its text is unknown`,
      cure: 'Move the data to a database made with ENCODING \'UTF8\'.',
    }
  }
  if (facts.slotsUsed >= facts.slotsMax) {
    return {
      what: `all ${facts.slotsMax} replication slots are in use`,
      cure: `ALTER SYSTEM SET max_replication_slots = ${facts.slotsMax + 5};`
        + ' then restart the server, or drop a slot that nobody needs.',
    }
  }
  if (facts.sendersMax < 2) {
    return {
      what: `max_wal_senders is ${facts.sendersMax}, and mirroring needs one of its own`,
      cure: 'ALTER SYSTEM SET max_wal_senders = 10; then restart the server.',
    }
  }
  return null
}

function connectFailure(external: ExternalPostgres, error: unknown): SlipwayError {
  const { code = '' } = error as { readonly code?: string }
  const reason = error instanceof Error ? error.message : 'unknown reason'
  const where = describeTarget(external.target)
  if (code === '28P01' || code === '28000') {
    return new SlipwayError('auth-failed',
      `PostgreSQL at ${where} refused the role ${external.user}`,
      { hint: 'Correct the role and password in --postgres-url, or the server\'s pg_hba.conf.' })
  }
  if (code === '3D000') {
    return new SlipwayError('postgres-unfit',
      `the database ${external.database} does not exist at ${where}`,
      { hint: `CREATE DATABASE "${external.database}", or name another in --postgres-url.` })
  }
  return new SlipwayError('postgres-unreachable',
    `cannot connect to PostgreSQL at ${where}: ${reason}`,
    { hint: 'Check host, port and sslmode in --postgres-url, and that the server runs.',
      cause: error })
}
