import { describe, expect, test } from 'vitest'
import { SlipwayError } from '../../src/base/errors.ts'
import {
  checkExternalPostgres, firstFault, parsePostgresUrl, type ServerFacts,
} from '../../src/oltp/external-postgres.ts'

describe('parsePostgresUrl', () => {
  test.each([
    ['postgres://me:p%40ss@db.example:6543/shop', {
      target: { kind: 'tcp', host: 'db.example', port: 6543,
        tls: { kind: 'unverified', client: null } },
      user: 'me', password: 'p@ss', database: 'shop',
    }],
    ['postgresql://me@[::1]/?sslmode=require', {
      target: { kind: 'tcp', host: '::1', port: 5432, tls: { kind: 'unverified', client: null } },
      user: 'me', password: null, database: 'me',
    }],
    ['postgres://me@%2Fvar%2Frun%2Fpostgresql:5433/db', {
      target: { kind: 'socket', directory: '/var/run/postgresql', port: 5433 },
      user: 'me', password: null, database: 'db',
    }],
    ['postgres:///db?host=/tmp/with space&user=me', {
      target: { kind: 'socket', directory: '/tmp/with space', port: 5432 },
      user: 'me', password: null, database: 'db',
    }],
    ['postgres://me@h/db?sslmode=verify-full&sslrootcert=/ca.pem', {
      target: { kind: 'tcp', host: 'h', port: 5432,
        tls: { kind: 'verified', caFile: '/ca.pem', checkHost: true, client: null } },
      user: 'me', password: null, database: 'db',
    }],
  ])('%s', (url, expected) => {
    expect(parsePostgresUrl(url)[0]).toEqual(expected)
  })

  test.each([
    ['disable', ['off']], ['allow', ['off', 'unverified']], ['prefer', ['unverified', 'off']],
    ['require', ['unverified']], ['require&sslrootcert=/ca', ['ca']],
    ['verify-ca&sslrootcert=/ca', ['ca']], ['verify-full&sslrootcert=/ca', ['full']],
    ['verify-full&sslrootcert=system', ['full']],
  ])('sslmode=%s tries %j', (mode, expected) => {
    const tries = parsePostgresUrl(`postgres://u@h/d?sslmode=${mode}&sslcert=/c&sslkey=/k`)
    expect(tries.map(({ target }) => {
      const { tls } = target as Extract<typeof target, { kind: 'tcp' }>
      if (tls.kind !== 'off') expect(tls.client).toEqual({ certFile: '/c', keyFile: '/k' })
      return tls.kind === 'verified' ? tls.checkHost ? 'full' : 'ca' : tls.kind
    })).toEqual(expected)
  })

  test.each([
    'postgres://u@h/d?sslmode=verify-ca', 'postgres://u@h/d?sslmode=require&sslrootcert=system',
    'postgres://u@h/d?sslcert=/c', 'mysql://h/db', 'postgres://h:99999/db', 'postgres://a,b/db',
    'postgres://u@h/db?sslmode=x',
    'not a url', 'postgres://u:%zz@h/db',
  ])('%s is refused without being repeated', (url) => {
    let refused: unknown
    try { parsePostgresUrl(url) } catch (error) { refused = error }
    expect(refused).toBeInstanceOf(SlipwayError)
    expect(refused).toMatchObject({ code: 'usage' })
    expect((refused as SlipwayError).message).not.toContain(url)
  })
})

const FIT: ServerFacts = {
  version: 18, standby: false, walLevel: 'logical', superuser: true, encoding: 'UTF8',
  slotsMax: 10, slotsUsed: 3, sendersMax: 10,
}

describe('firstFault', () => {
  const external = { user: 'me', database: 'shop' }
  test('a fit server has none', () => { expect(firstFault(FIT, external)).toBeNull() })
  test.each([
    [{ version: 15 }, /PostgreSQL 15/, /Upgrade/],
    [{ version: 19 }, /PostgreSQL 19/, /embedded/],
    [{ standby: true }, /standby/, /primary/],
    [{ walLevel: 'replica' }, /wal_level is replica/, /ALTER SYSTEM SET wal_level/],
    [{ superuser: false }, /me is no superuser/, /ALTER ROLE "me" SUPERUSER/],
    [{ encoding: 'SQL_ASCII' }, /SQL_ASCII/, /UTF8/],
    [{ slotsUsed: 10 }, /10 replication slots/, /max_replication_slots = 15/],
    [{ sendersMax: 0 }, /max_wal_senders is 0/, /max_wal_senders = 10/],
  ])('%o', (change, what, cure) => {
    const fault = firstFault({ ...FIT, ...change }, external)
    expect(fault?.what).toMatch(what)
    expect(fault?.cure).toMatch(cure)
  })
})

test('a server that does not answer is unreachable, its address named', async () => {
  const external = parsePostgresUrl('postgres://me:secret@127.0.0.1:1/db')
  await expect(checkExternalPostgres(external)).rejects.toMatchObject({
    code: 'postgres-unreachable', message: expect.stringContaining('127.0.0.1:1') as string,
  })
})
