/**
 * Provisioning: fetches what the tests need beside Node, once, into a cache.
 *
 * V1  Idempotent: what is there is not fetched again; a half-made part is made anew.
 * V2  One at a time: a second run waits for the first.
 * V3  What cannot be had costs one clear line, never a stack trace, and the rest goes on.
 *
 * Run: node test/provision.js [tools|python|jars|tpch|tpch1|postgres|engines]…
 *      (no name: all but tpch1 and engines)
 * Cache: SLIPWAY_TEST_CACHE, else .cache in the project's root.
 */
import { spawnSync } from 'node:child_process'
import {
  cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cache = resolve(root, process.env.SLIPWAY_TEST_CACHE ?? '.cache')

const PYTHON_PACKAGES = [
  'duckdb==1.1.3', 'deltalake==1.6.6', 'pyarrow', 'psycopg[binary]', 'pyspark==4.2.0', 'pandas<3',
  'asyncpg==0.32.0', 'sqlalchemy==2.1.9',
]
/** For `npm run test:readers` only: 1.3 GB. */
const ENGINE_PACKAGES = ['deltalake==1.6.6', 'polars==2.1.0', 'chdb==4.4.0', 'pandas<3', 'pyarrow']
/** Debian's packages by the command, or the file, that each brings. */
const COMMANDS = {
  psql: 'postgresql-client', pgbench: 'postgresql-contrib', pgbouncer: 'pgbouncer',
  openssl: 'openssl', java: 'openjdk-17-jdk-headless', mvn: 'maven', python3: 'python3-venv',
  gcc: 'gcc', make: 'make', bison: 'bison', flex: 'flex', perl: 'perl',
  '/usr/include/openssl/ssl.h': 'libssl-dev',
}
const POSTGRES_SOURCE = 'postgresql-18'
const POSTGRES_CLIENTS = [
  'interfaces/libpq', 'bin/psql', 'bin/pg_dump', 'bin/pg_basebackup', 'bin/pg_verifybackup',
]
const SUITE_PROGRAMS = [
  'regress/pg_regress', 'isolation/pg_isolation_regress', 'isolation/isolationtester',
]
const DEBIAN_SUITES = ['sid', 'trixie']
const DEBIAN_KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
const MAVEN_DEPENDENCY = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1'
const DELTA = '4.4.0'
const JDBC = '42.7.14'
const SPARK_JARS = ['delta-spark_', 'delta-storage-', 'delta-kernel-api-', 'delta-kernel-defaults-']

const STEPS = {
  tools: installCommands, python: () => makePython('python', PYTHON_PACKAGES), jars: fetchJars, tpch: () => makeTpch('0.1'),
  postgres: buildPostgresTests,
  // For commands of their own.
  engines: () => makePython('engines', ENGINE_PACKAGES),
  tpch1: () => makeTpch('1'),
}
const TEST_STEPS = ['tools', 'python', 'jars', 'tpch', 'postgres']

/** Returns the lines that say what could not be had; empty when all is there. */
export function provision(names = TEST_STEPS) {
  mkdirSync(cache, { recursive: true })
  const release = lock()
  const problems = []
  try {
    for (const name of names) {
      try {
        STEPS[name]()
      } catch (error) {
        problems.push(`provisioning: ${name}: ${String(error.message).split('\n')[0]}`)
      }
    }
  } finally {
    release()
  }
  return problems
}

/** V2: a folder is made by one; a holder that died is recognised by its process id. */
function lock() {
  const path = join(cache, 'provision.lock')
  for (;;) {
    try {
      mkdirSync(path)
      writeFileSync(join(path, 'pid'), String(process.pid))
      return () => rmSync(path, { recursive: true, force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (holderDied(path)) rmSync(path, { recursive: true, force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  }
}

function holderDied(path) {
  try {
    process.kill(Number(readFileSync(join(path, 'pid'), 'utf8')), 0)
    return false
  } catch (error) {
    // ENOENT: the holder has not written its id yet.
    return error.code === 'ESRCH'
  }
}

/** V1: `make` fills the folder `name`, which counts once its mark holds `recipe`. */
function once(name, recipe, make) {
  const folder = join(cache, name)
  const mark = join(folder, '.made')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === recipe) return
  say(`making ${name}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  make(folder)
  writeFileSync(mark, recipe)
}

function installCommands() {
  const missing = Object.entries(COMMANDS).filter(([command]) => !isCommand(command))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map(([, name]) => name))]
  if (process.getuid?.() !== 0 || !isCommand('apt-get')) {
    throw new Error(`not installed: ${missing.map(([command]) => command).join(', ')} `
      + `(as root: apt-get install ${packages.join(' ')})`)
  }
  say(`installing ${packages.join(', ')}`)
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '-qq'], { env: environment })
  // A service that Debian would start (a second PostgreSQL, PgBouncer) is none of the tests'.
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages],
    { env: { ...environment, RUNLEVEL: '1' } })
}

function isCommand(name) {
  if (name.startsWith('/')) return existsSync(name)
  const paths = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return paths.some((path) => path !== '' && existsSync(join(path, name)))
}

function makePython(name, packages) {
  once(name, packages.join(' '), (folder) => {
    run('python3', ['-m', 'venv', folder])
    run(join(folder, 'bin/python'), ['-m', 'pip', 'install', '-q', '--disable-pip-version-check',
      ...packages])
  })
}

function fetchJars() {
  fetchDeltaJars()
  once('jdbc', `org.postgresql ${JDBC}`, (folder) => {
    run('mvn', ['-q', '-B', `${MAVEN_DEPENDENCY}:copy`,
      `-Dartifact=org.postgresql:postgresql:${JDBC}`, `-DoutputDirectory=${folder}`])
  })
}

function fetchDeltaJars() {
  once('jars', `delta ${DELTA}`, (folder) => {
    writeFileSync(join(folder, 'pom.xml'), pom())
    run('mvn', ['-q', '-B', `${MAVEN_DEPENDENCY}:copy-dependencies`, '-DincludeScope=runtime',
      '-DoutputDirectory=kernel'], { cwd: folder })
    mkdirSync(join(folder, 'spark'))
    // Spark brings its own Parquet, Hadoop and Jackson; of ours it takes these four.
    for (const name of readdirSync(join(folder, 'kernel'))) {
      if (SPARK_JARS.some((prefix) => name.startsWith(prefix))) {
        cpSync(join(folder, 'kernel', name), join(folder, 'spark', name))
      }
    }
  })
}

function pom() {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>slipway.test</groupId><artifactId>readers</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>io.delta</groupId><artifactId>delta-spark_4.2_2.13</artifactId>
    <version>${DELTA}</version>
  </dependency></dependencies>
</project>
`
}

/** The reference generator is inside DuckDB's Python wheel; the tables come out as CSV. */
function makeTpch(scale) {
  once(`tpch/sf${scale}`, `duckdb 1.1.3 scale ${scale}`, (folder) => {
    const python = join(cache, 'python/bin/python')
    if (!existsSync(python)) throw new Error('needs the Python environment')
    run(python, [join(root, 'test/support/tpch-generate.py'), scale, folder])
  })
}

/**
 * From Debian's source package of the embedded server's major version: PostgreSQL's own tests,
 * the C functions that they call, and its clients, which Debian has for an older major version
 * only. The package lists are the cache's own.
 */
function buildPostgresTests() {
  once('postgres-tests', `Debian source ${POSTGRES_SOURCE}, with its clients`, (folder) => {
    const source = unpackPostgresSource(folder)
    const client = join(folder, 'client')
    run('./configure', ['--without-readline', '--without-zlib', '--without-icu',
      '--with-ssl=openssl', `--prefix=${client}`], { cwd: source })
    run('make', ['-s', '-C', 'src/backend', 'generated-headers'], { cwd: source })
    run('gcc', ['-shared', '-fPIC', '-O1', '-Isrc/include', '-o', join(folder, 'regress.so'),
      'src/test/regress/regress.c', '-lm'], { cwd: source })
    for (const part of POSTGRES_CLIENTS) {
      run('make', ['-s', '-j2', '-C', `src/${part}`, 'install'], { cwd: source })
    }
    for (const suite of ['regress', 'isolation']) {
      run('make', ['-s', '-C', `src/test/${suite}`, 'all'], { cwd: source })
      cpSync(join(source, 'src/test', suite), join(folder, suite), { recursive: true })
    }
    for (const program of SUITE_PROGRAMS) {
      cpSync(join(source, 'src/test', program), join(client, 'bin', basename(program)))
    }
    for (const name of readdirSync(folder)) {
      if (!['regress', 'isolation', 'regress.so', 'client'].includes(name)) {
        rmSync(join(folder, name), { recursive: true })
      }
    }
  })
}

function unpackPostgresSource(folder) {
  writeFileSync(join(folder, 'sources.list'), DEBIAN_SUITES.map((suite) =>
    `deb-src [signed-by=${DEBIAN_KEYS}] http://deb.debian.org/debian ${suite} main\n`).join(''))
  mkdirSync(join(folder, 'lists/partial'), { recursive: true })
  const options = ['-o', `Dir::Etc::SourceList=${folder}/sources.list`, '-o',
    'Dir::Etc::SourceParts=-', '-o', `Dir::State::Lists=${folder}/lists`, '-o',
    'APT::Sandbox::User=root']
  run('apt-get', [...options, 'update', '-qq'])
  run('apt-get', [...options, 'source', '-qq', '--download-only', POSTGRES_SOURCE],
    { cwd: folder })
  const archive = readdirSync(folder).find((name) => /\.orig\.tar\.\w+$/.test(name)) ?? ''
  const source = join(folder, 'source')
  mkdirSync(source)
  run('tar', ['xf', join(folder, archive), '-C', source, '--strip-components=1'])
  return source
}

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8', maxBuffer: 1 << 26 })
  if (done.error !== undefined) throw new Error(`${command} cannot be run (${done.error.code})`)
  if (done.status === 0) return
  const lines = `${done.stdout}\n${done.stderr}`.trim().split('\n')
  const told = lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1)
  throw new Error(`${command} ${args[0]} failed: ${told}`)
}

function say(line) {
  process.stdout.write(`provisioning: ${line}\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const names = process.argv.slice(2)
  const unknown = names.filter((name) => !(name in STEPS))
  if (unknown.length > 0) {
    say(`unknown: ${unknown.join(', ')} (known: ${Object.keys(STEPS).join(', ')})`)
    process.exit(2)
  }
  const problems = provision(names.length === 0 ? undefined : names)
  for (const line of problems) process.stdout.write(`${line}\n`)
  process.exit(problems.length === 0 ? 0 : 1)
}
