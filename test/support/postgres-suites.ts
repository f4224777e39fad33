/**
 * PostgreSQL's own regression and isolation suites, played against a Slipway of their own; what
 * is compared are the outputs of two such plays, never the suites' expected files: those are of
 * another minor version.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { POSTGRES_CLIENTS, POSTGRES_TESTS } from './cache.ts'
import { serverSocket } from './server-socket.ts'
import { cleanEnvironment, Slipway, temporaryFolder } from './slipway.ts'

/** null: every test of the suite's schedule. */
export interface SuiteSelection {
  readonly regress: readonly string[] | null
  readonly isolation: readonly string[] | null
}

export interface SuitePlay {
  /** To PostgreSQL's own socket, or through the gateway. */
  readonly way: 'direct' | 'through'
  readonly selection: SuiteSelection
  readonly args?: readonly string[]
}

/** Each test's output, by `suite/test`. */
export type SuiteOutputs = ReadonlyMap<string, string>

const DATABASE = 'regression'
const PLAY_MS_MAX = 3_600_000

export async function playSuites({ way, selection, args = [] }: SuitePlay): Promise<SuiteOutputs> {
  await using slipway = await Slipway.start({ args: ['--database', DATABASE, ...args] })
  await using folder = suiteFolder()
  const { host, port, user, password } = slipway.address
  const { directory, port: socketPort } = serverSocket(join(slipway.dataDir, 'postgres'))
  const server = way === 'direct' ? { host: directory, port: socketPort } : { host, port }
  const outputs = new Map<string, string>()
  for (const suite of ['regress', 'isolation'] as const) {
    const tests = selection[suite]
    if (tests?.length === 0) continue
    const out = join(folder.path, `${suite}-out`)
    await runSuite(suite, [
      `--inputdir=${join(folder.path, suite)}`, `--outputdir=${out}`,
      `--bindir=${POSTGRES_CLIENTS}`, `--dlpath=${folder.path}`, '--use-existing',
      `--dbname=${DATABASE}`, `--host=${server.host}`, `--port=${server.port}`, `--user=${user}`,
      ...(tests ?? [`--schedule=${join(folder.path, suite, SCHEDULES[suite])}`]),
    ], { PGPASSWORD: password })
    const results = join(out, 'results')
    for (const name of readdirSync(results)) {
      const text = readFileSync(join(results, name), 'latin1')
      outputs.set(`${suite}/${name}`, masked(text.replaceAll(folder.path, '<folder>')))
    }
  }
  return outputs
}

/** What in the suites cannot be compared, by test. */
const EDITS = [
  // Statements of the suites' minor version that crash a server of an older one.
  { test: 'sqljson', from: /^SELECT .*::sqljson_mystr .*-- error$/gm, to: '' },
  { test: 'hash_part', from: /^SELECT .*VARIADIC NULL::int\[\]\);$/gm, to: '' },
  // Reads past the end of a value there.
  { test: 'encoding', from: /^SELECT ascii\(test_bytea_to_text.*\n/gm, to: '' },
  // Refused once a table is published: whether it is by then is chance, without a key never.
  { test: 'generated_virtual', from: 'CREATE TABLE gtest25 (a int PRIMARY KEY)',
    to: 'CREATE TABLE gtest25 (a int)' },
  // Ours holds at any time what happens to be mirrored by then.
  { test: 'publication', from: /FROM pg_publication_tables;/g,
    to: `FROM pg_publication_tables WHERE pubname <> 'slipway';` },
] as const

const SCHEDULES = { regress: 'parallel_schedule', isolation: 'isolation_schedule' } as const

/** The first lines in which two outputs differ, for a person; null where they are equal. */
export function firstDifference(told: string, expected: string): string | null {
  if (told === expected) return null
  const [ours, theirs] = [told.split('\n'), expected.split('\n')]
  const at = ours.findIndex((line, index) => line !== theirs[index])
  const from = at < 0 ? ours.length : at
  return [`line ${from + 1}`,
    ...theirs.slice(from, from + 4).map((line) => `- ${line}`),
    ...ours.slice(from, from + 4).map((line) => `+ ${line}`)].join('\n')
}

/**
 * What differs from play to play whoever answers: times, process ids, OIDs of new objects, and
 * whether a new table is published already.
 */
function masked(text: string): string {
  return text
    .replaceAll(/\b(Time|Execution Time|Planning Time): [\d.]+ ms/g, '$1')
    .replaceAll(/\bpg_(temp|toast)_\d+(_index)?/g, 'pg_$1_N$2')
    .replaceAll(/\b(process|PID|pid) \d+/gi, '$1 N')
    .replaceAll(/\bOID \d+/g, 'OID N')
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'UUIDv7')
    .replaceAll(/^ {4}"slipway"\n/gm, '')
    .replaceAll(/^Publications:\n(?! {4}")/gm, '')
}

async function runSuite(
  suite: 'regress' | 'isolation', args: readonly string[], env: Readonly<Record<string, string>>,
): Promise<void> {
  const program = join(POSTGRES_CLIENTS,
    suite === 'regress' ? 'pg_regress' : 'pg_isolation_regress')
  const child = spawn(program, args, { env: { ...cleanEnvironment(), ...env }, stdio: 'ignore',
    timeout: PLAY_MS_MAX })
  // Its status tells of the expected files, which are not ours to meet.
  await once(child, 'close')
}

/** A copy that PostgreSQL's own account can read and write. */
function suiteFolder(): AsyncDisposable & { readonly path: string } {
  const path = temporaryFolder('suites')
  for (const part of ['regress', 'isolation', 'regress.so']) {
    cpSync(join(POSTGRES_TESTS, part), join(path, part), { recursive: true })
  }
  for (const { test, from, to } of EDITS) {
    const file = join(path, 'regress', 'sql', `${test}.sql`)
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(from, to))
  }
  for (const suite of ['regress', 'isolation']) {
    for (const part of ['results', 'testtablespace']) {
      mkdirSync(join(path, `${suite}-out`, part), { recursive: true })
      chmodSync(join(path, `${suite}-out`, part), 0o777)
    }
    chmodSync(join(path, `${suite}-out`), 0o777)
  }
  chmodSync(path, 0o755)
  return { path, [Symbol.asyncDispose]: async () => {
    rmSync(path, { recursive: true, force: true })
    await Promise.resolve()
  } }
}
