/**
 * UserRole: the role and the database that the user was promised.
 *
 * U1  A role that exists keeps its rights, and its password unless a new one is given: what
 *     ALTER ROLE changed stays changed.
 * U2  The password never travels: PostgreSQL gets the SCRAM verifier, so no statement that
 *     could be logged holds it.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { clientConfig, type Credentials, type PostgresTarget } from './target.ts'

const ITERATIONS = 4096

/** Makes the superuser login role and the database it owns. Needs a superuser's credentials. */
export async function ensureUserRole(options: {
  readonly target: PostgresTarget
  readonly admin: Credentials
  readonly user: string
  readonly password: string
  /** It was not this one before. */
  readonly isNewPassword: boolean
  readonly database: string
}): Promise<void> {
  const client = new Client(
    clientConfig(options.target, { ...options.admin, database: 'postgres' }))
  await client.connect()
  try {
    await ensureRole(client, options)
    await keepOutOfOurSchema(client, options.user)
    const { rowCount } = await client.query(
      'select from pg_database where datname = $1', [options.database])
    if (rowCount === 0) {
      await client.query(`create database ${escapeIdentifier(options.database)} owner `
        + escapeIdentifier(options.user))
    }
  } finally {
    await client.end()
  }
}

async function ensureRole(client: Client, options: {
  readonly user: string
  readonly password: string
  readonly isNewPassword: boolean
}): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1',
    [options.user])
  const exists = rowCount !== 0
  if (exists && !options.isNewPassword) return
  const verifier = escapeLiteral(scramVerifier(options.password, randomBytes(16), ITERATIONS))
  const role = escapeIdentifier(options.user)
  await client.query(exists ? `alter role ${role} login password ${verifier}`
    : `create role ${role} superuser login password ${verifier}`)
}

/**
 * "$user" comes first in the default search_path, and a role called slipway would make its
 * tables in our schema. What the user has set is left alone.
 */
async function keepOutOfOurSchema(client: Client, user: string): Promise<void> {
  if (user !== 'slipway') return
  const { rowCount } = await client.query(`select from pg_db_role_setting s
    join pg_roles r on r.oid = s.setrole where r.rolname = $1 and s.setdatabase = 0
      and exists (select from unnest(s.setconfig) c where c like 'search_path=%')`, [user])
  if (rowCount === 0) {
    await client.query(`alter role ${escapeIdentifier(user)} set search_path = public`)
  }
}

/**
 * PostgreSQL's form of a stored password, `SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>`.
 * Source: RFC 5802, common/scram-common.c (scram_build_secret).
 */
export function scramVerifier(password: string, salt: Buffer, iterations: number): string {
  // Of SASLprep only what changes bytes that people type: compatibility composition.
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest()
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:`
    + hmac('Server Key').toString('base64')
}
