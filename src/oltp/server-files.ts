/**
 * ServerFiles: the configuration files of the embedded PostgreSQL.
 *
 * F1  What Slipway writes stands in files of its own, written anew at each start; the server's
 *     own files belong to the user, and only include them: slipway.conf first, so that every
 *     line after it wins, slipway-settings.conf (slipway.json) last, ALTER SYSTEM after both.
 * F2  Slipway's own role logs in by its secret whatever other lines say.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PostgresSection } from '../config/postgres-section.ts'
import { giveTo, type ServerAccount } from './server-account.ts'
import { tunedSettings } from './server-settings.ts'

export interface ServerFileOptions {
  readonly account: ServerAccount
  readonly section: PostgresSection
  /** For pg_hba.conf, before its own. */
  readonly hbaLines: readonly string[]
  readonly identLines: readonly string[]
}

/** pg_hba.conf of a new directory; TCP lines count only while PostgreSQL listens there. */
const HOST_BASED_AUTHENTICATION = [
  '# TYPE  DATABASE     USER  ADDRESS  METHOD',
  'local   all          all            scram-sha-256',
  'local   replication  all            scram-sha-256',
  'host    all          all   all      scram-sha-256',
  'host    replication  all   all      scram-sha-256',
].join('\n') + '\n'

const HEAD = '# Written by Slipway at each start.'

/** In a directory that initdb just made. */
export function takeOverServerFiles(directory: string, account: ServerAccount): void {
  writeFor(account, join(directory, 'pg_hba.conf'), HOST_BASED_AUTHENTICATION)
  const file = join(directory, 'postgresql.conf')
  // What initdb found out about the machine is not the user's wish: ours is.
  const tuned = new Set(tunedSettings(directory).map(([name]) => name))
  const text = readFileSync(file, 'utf8').split('\n').map((line) =>
    (tuned.has(/^(\w+) = /.exec(line)?.[1] ?? '') ? `#${line}` : line)).join('\n')
  writeFor(account, file, text)
}

export function writeServerFiles(pgdata: string, options: ServerFileOptions): void {
  const { account, section, hbaLines, identLines } = options
  const write = (name: string, lines: readonly string[]): void =>
    writeFor(account, join(pgdata, name), [HEAD, ...lines, ''].join('\n'))
  write('slipway.conf', ['# Your own: slipway.json, postgresql.conf or ALTER SYSTEM.',
    ...tunedSettings(pgdata).map(([name, value]) => `${name} = ${value}`)])
  write('slipway-settings.conf', ['# From slipway.json.',
    ...[...section.settings].map(([name, value]) => `${name} = ${quoted(value)}`)])
  write('slipway-hba.conf', hbaLines)
  write('slipway-ident.conf', [...identLines, ...section.ident])
  const includes = [
    ['postgresql.conf', 'include_if_exists = \'slipway.conf\'', 'first'],
    ['postgresql.conf', 'include_if_exists = \'slipway-settings.conf\'', 'last'],
    ['pg_hba.conf', 'include_if_exists slipway-hba.conf', 'first'],
    ['pg_ident.conf', 'include_if_exists slipway-ident.conf', 'first'],
  ] as const
  for (const [name, line, place] of includes) {
    const file = join(pgdata, name)
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    if ((place === 'first' ? lines[0] : lines.at(-1)) === line) continue
    const others = lines.filter((other) => other !== line)
    const placed = place === 'first' ? [line, ...others] : [...others, line]
    writeFor(account, file, placed.join('\n') + '\n')
  }
}

export function writeFor(account: ServerAccount, path: string, content: string): void {
  writeFileSync(path, content, { mode: 0o600 })
  giveTo(account, path)
}

function quoted(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll('\'', '\'\'')}'`
}
