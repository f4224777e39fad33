/**
 * UserRole: the role and the database that the user was promised.
 *
 * U1  Idempotent: a second call changes nothing but a password that differs.
 * U2  The password never travels: PostgreSQL gets the SCRAM verifier, so no statement that
 *     could be logged holds it.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { clientConfig, type Credentials, type PostgresTarget } from './target.ts'

const ITERATIONS = 4096

/** Makes the superuser login role and the database it owns. Needs a superuser's credentials. */
export async function ensureUserRole(options: {
  readonly target: PostgresTarget
  readonly admin: Credentials
  readonly user: string
  readonly password: string
  readonly database: string
}): Promise<void> {
  const client = new Client(
    clientConfig(options.target, { ...options.admin, database: 'postgres' }))
  await client.connect()
  try {
    await ensureRole(client, options.user, options.password)
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

async function ensureRole(client: Client, user: string, password: string): Promise<void> {
  const { rows } = await client.query<{ verifier: string | null; fit: boolean }>(
    'select rolpassword as verifier, rolsuper and rolcanlogin as fit from pg_authid'
    + ' where rolname = $1', [user])
  const found = rows[0]
  if (found !== undefined && found.fit && matches(found.verifier, password)) return
  const verifier = scramVerifier(password, randomBytes(16), ITERATIONS)
  await client.query(`${found === undefined ? 'create' : 'alter'} role ${escapeIdentifier(user)}`
    + ` superuser login password ${escapeLiteral(verifier)}`)
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

function matches(verifier: string | null, password: string): boolean {
  const parts = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$/.exec(verifier ?? '')
  if (verifier === null || parts === null) return false
  const again = scramVerifier(password, Buffer.from(parts[2] ?? '', 'base64'), Number(parts[1]))
  return again.length === verifier.length
    && timingSafeEqual(Buffer.from(again), Buffer.from(verifier))
}
