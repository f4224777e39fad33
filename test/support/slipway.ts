/**
 * A running `slipway up`, as a user starts it: the built program, a data directory of its own,
 * free ports.
 *
 * F1  Nothing outlives it: `stop` ends the supervisor, which ends its parts; a data directory
 *     that was made here is removed.
 * F2  The tests' own environment (SLIPWAY_…, PG…) does not reach it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './cache.ts'
import { poll } from './poll.ts'
import { SqlClient, type Address } from './sql-client.ts'

export const PROGRAM = join(ROOT, 'dist', 'main', 'slipway.js')
const READY_WITHIN_MS = 120_000
const STOPPED_WITHIN_MS = 30_000

/** What a test in another process needs to use a running instance. */
export interface SlipwayAddress {
  readonly dataDir: string
  readonly address: Address
  readonly httpUrl: string
}

export interface SlipwayOptions {
  readonly dataDir?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Starts it as this user (root only); the data directory must be theirs. */
  readonly uid?: number
}

/** A fresh path under the temporary folder; `label` stands in its name. */
export function temporaryFolder(label: string): string {
  return mkdtempSync(join(tmpdir(), `slipway-test-${label}-`))
}

/** The process environment without what would configure Slipway or libpq. */
export function cleanEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(SLIPWAY_|PG)/.test(name))
  return Object.fromEntries(kept) as Record<string, string>
}

/** Runs the program to its end: `slipway <args>`. */
export async function runSlipway(
  args: readonly string[], options: { env?: Readonly<Record<string, string>>; cwd?: string } = {},
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...cleanEnvironment(), ...options.env }, stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [status] = await once(child, 'close') as [number | null]
  return { status, stdout, stderr }
}

export class Slipway implements AsyncDisposable {
  readonly dataDir: string
  /** What it wrote so far, both streams. */
  output = ''
  readonly #child: ChildProcess
  readonly #ownsDataDir: boolean
  readonly #closed: Promise<number | null>
  #address: SlipwayAddress | null = null

  private constructor(child: ChildProcess, dataDir: string, ownsDataDir: boolean) {
    this.#child = child
    this.dataDir = dataDir
    this.#ownsDataDir = ownsDataDir
    const collect = (text: string): void => { this.output += text }
    child.stdout?.setEncoding('utf8').on('data', collect)
    child.stderr?.setEncoding('utf8').on('data', collect)
    this.#closed = new Promise((resolve) => { child.once('close', resolve) })
  }

  static async start(options: SlipwayOptions = {}): Promise<Slipway> {
    const dataDir = options.dataDir ?? temporaryFolder('data')
    const child = spawn(process.execPath,
      [PROGRAM, 'up', '--data-dir', dataDir, '--port', '0', '--http-port', '0',
        '--flight-port', '0', ...options.args ?? []],
      { env: { ...cleanEnvironment(), ...options.env }, stdio: ['ignore', 'pipe', 'pipe'],
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }) })
    const slipway = new Slipway(child, dataDir, options.dataDir === undefined)
    try {
      await slipway.#ready()
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
    return slipway
  }

  async #ready(): Promise<void> {
    let ended = false
    void this.#closed.then(() => { ended = true })
    await poll('slipway is ready', READY_WITHIN_MS, () =>
      ended || /^slipway is ready$/m.test(this.output) ? true : null, 20)
    if (ended) {
      throw new Error(`slipway up ended with ${this.#child.exitCode}:\n${this.output.slice(-4000)}`)
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Where it listens; read again after each start. */
  get shared(): SlipwayAddress {
    this.#address ??= readAddress(this.dataDir)
    return this.#address
  }

  get address(): Address {
    return this.shared.address
  }

  connect(options: Parameters<typeof SqlClient.connect>[1] = {}): Promise<SqlClient> {
    return SqlClient.connect(this.address, options)
  }

  /** The process id of a part: postgres, engine, gateway-1 …; throws when none is written. */
  partPid(part: string): number {
    return Number(readFileSync(join(this.dataDir, 'run', `${part}.pid`), 'utf8'))
  }

  killPart(part: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    process.kill(this.partPid(part), signal)
  }

  /** kill -9 of the supervisor and every part, PostgreSQL's own processes included. */
  async killEverything(parts: readonly string[] = ['engine', 'gateway-1', 'postgres']):
  Promise<void> {
    const pids = parts.map((part) => this.partPid(part))
    this.#child.kill('SIGKILL')
    for (const pid of pids) killQuietly(pid)
    await this.#closed
    await poll('the killed parts are gone', STOPPED_WITHIN_MS,
      () => pids.every((pid) => !isAlive(pid)) ? true : null)
  }

  /** Ends it as Ctrl-C or systemd would; its exit status. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOPPED_WITHIN_MS)
    const status = await this.#closed
    clearTimeout(timer)
    return status
  }

  /** One line of /metrics; 0 where it is not there. `name` with its labels. */
  async metric(name: string): Promise<number> {
    const page = await (await fetch(`${this.shared.httpUrl}/metrics`)).text()
    return Number(page.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0)
  }

  /** The last lines that it and its parts logged: for the message of a failed test. */
  logTail(): string {
    return this.output.split('\n').slice(-40).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    if (this.#ownsDataDir) rmSync(this.dataDir, { recursive: true, force: true })
  }
}

export function readAddress(dataDir: string): SlipwayAddress {
  const text = readFileSync(join(dataDir, 'run', 'endpoints.json'), 'utf8')
  const { postgres, http } = JSON.parse(text) as {
    postgres: Omit<Address, 'password'>; http: { url: string }
  }
  const password = readFileSync(join(dataDir, 'password'), 'utf8').trim()
  return { dataDir, address: { ...postgres, password }, httpUrl: http.url }
}

/** True while the process runs (a zombie does not). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const stat = `/proc/${pid}/stat`
  if (!existsSync(stat)) return true
  try {
    const text = readFileSync(stat, 'utf8')
    return text[text.lastIndexOf(')') + 2] !== 'Z'
  } catch {
    return false
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
