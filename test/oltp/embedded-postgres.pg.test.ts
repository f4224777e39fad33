import { spawn } from 'node:child_process'
import {
  chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { NO_POSTGRES_SECTION, type PostgresSection } from '../../src/config/postgres-section.ts'
import { ADMIN_ROLE, EmbeddedPostgres } from '../../src/oltp/embedded-postgres.ts'
import { EMBEDDED_VERSIONS, type EmbeddedVersion } from '../../src/oltp/postgres-binaries.ts'
import { clientConfig } from '../../src/oltp/target.ts'
import { ensureUserRole } from '../../src/oltp/user-role.ts'
import { Client } from 'pg'
import { LOCAL_CLIENTS } from './postgres-fixture.ts'

const made: string[] = []

function dataDir(options: { readonly mode: number; readonly name?: string }): string {
  const parent = mkdtempSync(join(tmpdir(), 'slipway test '))
  made.push(parent)
  const dir = join(parent, options.name ?? 'data dir')
  mkdirSync(dir)
  chmodSync(parent, options.mode)
  return dir
}

async function start(
  dir: string, version: EmbeddedVersion = 18, direct: { host: string; port: number } | null = null,
  section: Partial<PostgresSection> = {},
): Promise<EmbeddedPostgres> {
  return await EmbeddedPostgres.start({
    dataDir: dir, version, adminPassword: 'admin secret', direct, logger: silentLogger,
    section: { ...NO_POSTGRES_SECTION, ...section }, clients: LOCAL_CLIENTS, login: null,
  })
}

async function query(
  postgres: EmbeddedPostgres, sql: string, as = { user: ADMIN_ROLE, password: 'admin secret' },
  database = 'postgres',
): Promise<unknown[][]> {
  const client = new Client(clientConfig(postgres.target, { ...as, database }))
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows
  } finally {
    await client.end()
  }
}

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

describe.each(EMBEDDED_VERSIONS)('PostgreSQL %i', (version) => {
  test('starts in a directory closed to others, with blanks in its path, and again', async () => {
    const dir = dataDir({ mode: 0o700 })
    {
      await using postgres = await start(dir, version)
      await query(postgres, 'create table kept as select 42 as answer')
      const [row] = await query(postgres, `select current_setting('wal_level'),
        current_setting('server_encoding'), current_setting('listen_addresses'),
        'B' < 'a', current_setting('server_version_num')::int / 10000`)
      expect(row).toEqual(['logical', 'UTF8', '', true, version])
    }
    await using postgres = await start(dir, version)
    expect(await query(postgres, 'select answer from kept')).toEqual([[42]])
  })

  test('makes the role and the database once; a new password is set, a changed one stays',
    async () => {
    await using postgres = await start(dataDir({ mode: 0o755 }), version)
    const admin = { user: ADMIN_ROLE, password: 'admin secret' }
    const wish = { target: postgres.target, admin, user: 'My "user', database: 'My db' }
    for (const [password, isNewPassword] of [['päss $1', false], ['other', true]] as const) {
      await ensureUserRole({ ...wish, password, isNewPassword })
      const as = { user: wish.user, password }
      const rows = await query(postgres, `select current_user::text, rolsuper,
        pg_get_userbyid(datdba)::text from pg_roles, pg_database
        where rolname = current_user and datname = current_database()`, as, wish.database)
      expect(rows).toEqual([[wish.user, true, wish.user]])
    }
    await expect(query(postgres, 'select 1', { user: wish.user, password: 'päss $1' }))
      .rejects.toMatchObject({ code: '28P01' })
    await query(postgres, `alter role "My ""user" password 'mine' nosuperuser`)
    await ensureUserRole({ ...wish, password: 'other', isNewPassword: false })
    expect(await query(postgres, 'select rolsuper from pg_roles where rolname = current_user',
      { user: wish.user, password: 'mine' })).toEqual([[false]])
  })
})

test('kill -9 of the server, then of its supervisor, loses no committed row', async () => {
  const dir = dataDir({ mode: 0o755 })
  const first = await start(dir)
  await query(first, 'create table t as select generate_series(1, 1000) as n')
  const busy = query(first, 'select pg_sleep(60)').catch(() => 'cut')
  await new Promise((resolve) => setTimeout(resolve, 100))
  process.kill(first.pid, 'SIGKILL')
  expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' })
  const second = await start(dir)
  expect(await busy).toBe('cut')
  expect(await query(second, 'select count(*)::int from t')).toEqual([[1000]])
  // Its supervisor gone, nobody stopped it: the next start takes over.
  await using third = await start(dir)
  expect(third.pid).not.toBe(second.pid)
  expect((await second.exited).signal ?? 'exited').toBe('exited')
  expect(await query(third, 'select count(*)::int from t')).toEqual([[1000]])
})

test('a lock file whose number now belongs to another process is no obstacle', async () => {
  const dir = dataDir({ mode: 0o755 })
  await (await start(dir)).stop()
  const owner = statSync(join(dir, 'postgres'))
  const account = process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : {}
  const other = spawn('sleep', ['60'], { ...account, cwd: '/', stdio: 'ignore' })
  try {
    for (const name of ['postmaster.pid', '.s.PGSQL.5432.lock']) {
      const path = join(dir, 'postgres', name)
      writeFileSync(path, `${other.pid}\n${dir}\n1\n5432\n.\n\n`)
      chownSync(path, owner.uid, owner.gid)
    }
    await using postgres = await start(dir)
    expect(await query(postgres, 'select 1')).toEqual([[1]])
    expect(other.exitCode).toBeNull()
  } finally {
    other.kill()
  }
})

test('refuses a directory of another major version, and leaves it as it is', async () => {
  const dir = dataDir({ mode: 0o755 })
  await (await start(dir, 17)).stop()
  await expect(start(dir, 18)).rejects.toMatchObject({
    code: 'data-dir-unusable',
    message: expect.stringMatching(/PostgreSQL 17, and PostgreSQL 18 is asked for/) as string,
    hint: expect.stringMatching(/--pg-version 17/) as string,
  })
  await using postgres = await start(dir, 17)
  expect(postgres.target.kind).toBe('socket')
})

test('defaults by the machine, then postgresql.conf, slipway.json, ALTER SYSTEM', async () => {
  const dir = dataDir({ mode: 0o755 })
  const show = async (postgres: EmbeddedPostgres): Promise<unknown> => (await query(postgres,
    `select current_setting('max_connections'), current_setting('work_mem'),
      current_setting('random_page_cost'), current_setting('my.own', true)`))[0]
  {
    await using postgres = await start(dir)
    expect(await show(postgres)).toEqual(['200', '16MB', '1.1', null])
    await query(postgres, 'alter system set random_page_cost = 3')
  }
  const file = join(dir, 'postgres', 'postgresql.conf')
  writeFileSync(file, `${readFileSync(file, 'utf8')}\nwork_mem = 32MB\nmax_connections = 50\n`)
  {
    await using postgres = await start(dir)
    expect(await show(postgres)).toEqual(['50', '32MB', '3', null])
  }
  const settings = new Map([['work_mem', '8MB'], ['random_page_cost', '2'],
    ['my.own', 'it\'s \\ mine'], ['max_connections', '60']])
  await using postgres = await start(dir, 18, null, { settings })
  expect(await show(postgres)).toEqual(['60', '8MB', '3', 'it\'s \\ mine'])
})

test.each([
  ['no_such_setting', '1', /unrecognized configuration parameter "no_such_setting"/],
  ['work_mem', 'secret', /invalid value for parameter "work_mem"/],
])('setting %s to %s is refused by name before the server starts', async (name, value, what) => {
  const refused = start(dataDir({ mode: 0o755 }), 18, null, { settings: new Map([[name, value]]) })
  await expect(refused).rejects.toMatchObject({
    code: 'usage', message: expect.stringMatching(what) as string })
  await expect(refused).rejects.not.toMatchObject({
    message: expect.stringContaining('secret') as string })
})

test('lines of pg_hba.conf come before ours, but for our own role', async () => {
  const dir = dataDir({ mode: 0o755 })
  await using postgres = await start(dir, 18, null,
    { hba: ['local all trusted trust', 'host all nobody_else all reject', 'local all all reject'] })
  await query(postgres, 'create role trusted login; create role nobody_else login')
  expect(await query(postgres, 'select 1', { user: 'trusted', password: '' })).toEqual([[1]])
  await expect(query(postgres, 'select 1', { user: 'nobody_else', password: 'x' }))
    .rejects.toMatchObject({ code: '28000' })
})

test('a line that PostgreSQL refuses is told with its reason', async () => {
  await expect(start(dataDir({ mode: 0o755 }), 18, null, { hba: ['local all all ldap'] }))
    .rejects.toMatchObject({ message: expect.stringMatching(/ldap/) as string })
})

test('uses a short socket directory when the path is too long', async () => {
  const dir = dataDir({ mode: 0o700, name: 'long'.repeat(30) })
  await using postgres = await start(dir)
  expect(postgres.target.directory.startsWith(tmpdir())).toBe(true)
  made.push(postgres.target.directory)
  expect(await query(postgres, 'select 1')).toEqual([[1]])
})

test('says what is wrong when the direct port is taken', async () => {
  const { createServer } = await import('node:net')
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const address = taken.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const { port } = address
  try {
    await expect(start(dataDir({ mode: 0o755 }), 18, { host: '127.0.0.1', port }))
      .rejects.toMatchObject({ code: 'port-taken',
        message: expect.stringContaining(String(port)) as string })
  } finally {
    taken.close()
  }
})

test('listens on the direct port when asked; 0 is a free one', async () => {
  await using postgres = await start(
    dataDir({ mode: 0o755 }), 18, { host: '127.0.0.1', port: 0 })
  const { port } = postgres.target
  expect(port).toBeGreaterThan(1023)
  const client = new Client(clientConfig(
    { kind: 'tcp', host: '127.0.0.1', port, tls: { kind: 'off' } },
    { user: ADMIN_ROLE, password: 'admin secret', database: 'postgres' }))
  await client.connect()
  await client.end()
})

test('keeps the router\'s trees out of the log, and other lines in it', async () => {
  const dir = dataDir({ mode: 0o755 })
  {
    await using postgres = await start(dir)
    await query(postgres, `set debug_print_rewritten = on; select 'kept out' as secret`)
    await expect(query(postgres, 'select 1/0')).rejects.toThrow()
  }
  const log = readFileSync(join(dir, 'log', 'postgres.log'), 'utf8')
  expect(log).toContain('division by zero')
  expect(log).not.toContain('kept out')
})
