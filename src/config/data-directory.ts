/**
 * DataDirectory: the folder that one Slipway owns.
 *
 * D1  One supervisor at a time: slipway.lock holds its process id and start time.
 * D2  Secrets are files of mode 0600.
 * D3  A folder of another layout version is refused, never changed.
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  accessSync, chmodSync, closeSync, constants, existsSync, linkSync, mkdirSync, openSync,
  readFileSync, readdirSync, renameSync, rmSync, writeFileSync, writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import { processStartTime } from '../base/process-identity.ts'

const LAYOUT_VERSION = 1
const LAYOUT_FILE = 'layout.json'
const SOCKET_PATH_MAX_BYTES = 103

export class DataDirectory {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  get run(): string { return join(this.root, 'run') }
  get log(): string { return join(this.root, 'log') }
  get lake(): string { return join(this.root, 'lake') }
  get index(): string { return join(this.root, 'index') }
  /** The gateways' own certificate for PostgreSQL. */
  get login(): string { return join(this.root, 'login') }
  get spill(): string { return join(this.root, 'run', 'spill') }

  /** Where gateways reach the engine. A socket's path holds at most 107 bytes (unix(7)). */
  get linkPath(): string {
    const inside = join(this.run, 'engine.sock')
    if (Buffer.byteLength(inside) <= SOCKET_PATH_MAX_BYTES) return inside
    const digest = createHash('sha256').update(this.root).digest('hex').slice(0, 16)
    return join(tmpdir(), `slipway-${digest}.sock`)
  }

  /** The data directory that a path lies in the lake of; null for a path of no mirror. */
  static ofLakePath(path: string): DataDirectory | null {
    for (let at = resolve(path); dirname(at) !== at; at = dirname(at)) {
      const root = dirname(at)
      if (basename(at) === 'lake' && existsSync(join(root, LAYOUT_FILE))) {
        return new DataDirectory(root)
      }
    }
    return null
  }

  get endpointsFile(): string { return join(this.run, 'endpoints.json') }
  get #lockFile(): string { return join(this.root, 'slipway.lock') }

  /** Makes the folders. Throws 'data-dir-unusable' naming the path and the reason. */
  prepare(): void {
    try {
      makeDirectory(this.root)
      accessSync(this.root, constants.W_OK | constants.X_OK)
      for (const folder of [this.run, this.log, this.lake, this.index]) {
        mkdirSync(folder, { recursive: true })
      }
      // The server runs as another user when we are root: it must be able to pass.
      chmodSync(this.root, 0o711)
      chmodSync(this.run, 0o755)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new SlipwayError('data-dir-unusable',
        `the data directory ${this.root} cannot be written (${code})`, { cause: error })
    }
    this.#checkLayout()
  }

  #checkLayout(): void {
    const file = join(this.root, LAYOUT_FILE)
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch {
      writeFileSync(file, JSON.stringify({ layout: LAYOUT_VERSION }) + '\n')
      return
    }
    const found = /"layout"\s*:\s*(\d+)/.exec(text)?.[1] ?? 'unknown'
    if (found === String(LAYOUT_VERSION)) return
    throw new SlipwayError('data-dir-unusable',
      `${this.root} has layout ${found}, this Slipway writes layout ${LAYOUT_VERSION}`,
      { hint: 'Start it with the Slipway that made it, or choose another --data-dir.' })
  }

  /** Takes the lock (D1). Throws 'data-dir-held' naming the holder's process id. */
  lock(): Disposable {
    const mine = join(this.root, `.lock-${process.pid}`)
    const { pid } = process
    writeFileSync(mine, JSON.stringify({ pid, started: processStartTime(pid) }))
    try {
      for (let attempt = 0; attempt < 3; attempt++) {
        try {
          // link(2) refuses an existing name: of two that start at once, one holds the lock.
          linkSync(mine, this.#lockFile)
          return { [Symbol.dispose]: () => rmSync(this.#lockFile, { force: true }) }
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        }
        const holder = this.holder()
        if (holder !== null) {
          throw new SlipwayError('data-dir-held',
            `${this.root} is in use by the Slipway with process id ${holder}`,
            { hint: `Stop it (kill ${holder}), or choose another --data-dir.` })
        }
        rmSync(this.#lockFile, { force: true })
      }
      throw new SlipwayError('data-dir-held', `${this.root} is being started by another Slipway`)
    } finally {
      rmSync(mine, { force: true })
    }
  }

  /** The living holder's process id; null when there is none or it died. */
  holder(): number | null {
    try {
      const lock: unknown = JSON.parse(readFileSync(this.#lockFile, 'utf8'))
      if (typeof lock !== 'object' || lock === null) return null
      const { pid, started } = lock as { pid?: unknown; started?: unknown }
      if (typeof pid !== 'number') return null
      const now = processStartTime(pid)
      return now !== null && now === started ? pid : null
    } catch {
      return null
    }
  }

  /**
   * The secret `name`: `given`, or the kept one, or a new one. `isNew`: it is not what is kept;
   * keepSecret keeps it.
   */
  secret(name: string, given: string | null): Secret {
    const file = join(this.root, name)
    try {
      const value = readFileSync(file, 'utf8').trim()
      if (value !== '' && (given === null || given === value)) return { value, isNew: false }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    return { value: given ?? randomBytes(18).toString('base64url'), isNew: true }
  }

  keepSecret(name: string, value: string): void {
    const file = join(this.root, name)
    const descriptor = openSync(`${file}.new`, 'w', 0o600)
    writeSync(descriptor, `${value}\n`)
    closeSync(descriptor)
    renameSync(`${file}.new`, file)
  }

  writePid(part: string, pid: number): void {
    writeFileSync(join(this.run, `${part}.pid`), `${pid}\n`)
  }

  readPid(part: string): number | null {
    try {
      const pid = Number(readFileSync(join(this.run, `${part}.pid`), 'utf8'))
      return Number.isInteger(pid) && pid > 1 ? pid : null
    } catch {
      return null
    }
  }

  /** Parts that left a pid file: running, or died without a word. */
  partsWithPid(): readonly string[] {
    return readdirSync(this.run).filter((name) => name.endsWith('.pid'))
      .map((name) => name.slice(0, -'.pid'.length)).sort()
  }

  removePid(part: string): void {
    rmSync(join(this.run, `${part}.pid`), { force: true })
  }

  writeEndpoints(endpoints: Endpoints): void {
    writeFileSync(`${this.endpointsFile}.new`, JSON.stringify(endpoints, null, 2) + '\n')
    renameSync(`${this.endpointsFile}.new`, this.endpointsFile)
  }

  removeEndpoints(): void {
    rmSync(this.endpointsFile, { force: true })
  }

  /** config.json: what this Slipway runs with, secrets left out. */
  writeEffectiveConfig(values: Readonly<Record<string, unknown>>): void {
    writeFileSync(join(this.root, 'config.json'), JSON.stringify(values, null, 2) + '\n')
  }

  /** The endpoints of the running Slipway; throws 'not-found' when there is none. */
  readEndpoints(): Endpoints {
    try {
      return JSON.parse(readFileSync(this.endpointsFile, 'utf8')) as Endpoints
    } catch {
      throw new SlipwayError('not-found', `no Slipway runs on ${this.root}`,
        { hint: 'Start one with `slipway up`, or name its --data-dir.' })
    }
  }
}

export interface Secret {
  readonly value: string
  readonly isNew: boolean
}

export interface Endpoints {
  readonly postgres: { readonly host: string; readonly port: number; readonly database: string
    readonly user: string
    /** Only where without TLS nobody comes in. */
    readonly tlsRequired?: true }
  readonly http: { readonly url: string }
}

/** Not mkdir's own `recursive`, which never ends on file systems such as /proc. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return
  makeDirectory(dirname(path))
  try {
    mkdirSync(path)
  } catch (error) {
    // Two that start at once: the lock is what decides between them.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
