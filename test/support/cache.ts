/** Where provisioned things are (test/provision.js puts them there). */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The project's root: tests and benches are started there. */
export const ROOT = process.cwd()
export const CACHE = resolve(ROOT, process.env['SLIPWAY_TEST_CACHE'] ?? '.cache')
export const SUPPORT = join(ROOT, 'test', 'support')

export const PYTHON = join(CACHE, 'python', 'bin', 'python')
export const JARS = join(CACHE, 'jars')

export const JDBC_JARS = join(CACHE, 'jdbc')

/** PostgreSQL's regression and isolation suites. */
export const POSTGRES_TESTS = join(CACHE, 'postgres-tests')
/** PostgreSQL's own clients of the suites' version, and the programs that play the suites. */
export const POSTGRES_CLIENTS = join(POSTGRES_TESTS, 'client', 'bin')

export const SEMANTICS = join(ROOT, '..', 'shared', 'semantics')

export function tpchFolder(scale: string): string {
  return join(CACHE, 'tpch', `sf${scale}`)
}

/** A command's full path, looked up as a shell does and in the folders of daemons; or null. */
export function commandPath(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  const found = folders.find((folder) => folder !== '' && existsSync(join(folder, name)))
  return found === undefined ? null : join(found, name)
}

export const NEEDS = {
  psql: () => commandPath('psql') !== null,
  pgbench: () => commandPath('pgbench') !== null,
  pgbouncer: () => commandPath('pgbouncer') !== null,
  openssl: () => commandPath('openssl') !== null,
  root: () => process.getuid?.() === 0,
  python: () => existsSync(join(CACHE, 'python', '.made')),
  jars: () => existsSync(join(JARS, '.made')) && commandPath('java') !== null,
  /** ../shared/semantics, which stands beside a checkout where the project is developed. */
  semantics: () => existsSync(join(SEMANTICS, 'cases.jsonl')),
  jdbc: () => existsSync(join(JDBC_JARS, '.made')) && commandPath('java') !== null,
  postgresTests: () => existsSync(join(POSTGRES_CLIENTS, 'psql')),
  tpch: () => existsSync(join(tpchFolder('0.1'), '.made')),
} as const

export type Need = keyof typeof NEEDS

/** Which of `needs` are not there. */
export function missing(needs: readonly Need[]): readonly Need[] {
  return needs.filter((need) => !NEEDS[need]())
}
