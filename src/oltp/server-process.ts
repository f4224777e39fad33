/**
 * ServerProcess: one run of the `postgres` program on a PGDATA.
 *
 * P1  `endLeftovers` returns when no process of an earlier run works on PGDATA any more: a
 *     server whose supervisor was killed goes on running, and backends can outlive a server
 *     that was killed; either would make the next start fail.
 * P2  Lock files of an earlier run go then too: PostgreSQL believes them as long as any process
 *     of its own user has the number inside, be it a zombie, or a new one after a restart of
 *     the machine or container.
 * P3  Only processes whose current directory is PGDATA (which every PostgreSQL process
 *     keeps) are ended, so a reused process id harms nobody.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { sleep } from '../base/clock.ts'
import type { ServerAccount } from './server-account.ts'
import type { ServerLog } from './server-log.ts'

export interface ServerExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Milliseconds until a shutdown is made harder. */
const FAST_MAX_MS = 20_000
const IMMEDIATE_MAX_MS = 5_000
const POLL_MS = 20

export class ServerProcess {
  readonly pid: number
  readonly exited: Promise<ServerExit>
  readonly #child: ChildProcess
  #running = true

  constructor(child: ChildProcess, log: ServerLog) {
    if (child.pid === undefined) throw new Error('postgres was not started')
    this.pid = child.pid
    this.#child = child
    child.stderr?.setEncoding('utf8')
    child.stderr?.on('data', (chunk: string) => { log.write(chunk) })
    this.exited = new Promise((resolve) => {
      // 'close' comes after the last of standard error, unless a backend holds it open.
      const done = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#running = false
        log.close()
        resolve({ code, signal })
      }
      child.once('exit', (code, signal) => {
        setTimeout(done, 200, code, signal).unref()
        child.once('close', () => { done(code, signal) })
      })
    })
  }

  get running(): boolean {
    return this.#running
  }

  /**
   * `fast` disconnects clients and writes a checkpoint, `immediate` leaves recovery to the
   * next start. Each is made harder when it takes too long.
   */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    const steps = [['SIGQUIT', IMMEDIATE_MAX_MS], ['SIGKILL', IMMEDIATE_MAX_MS]] as const
    const all = mode === 'fast' ? [['SIGINT', FAST_MAX_MS] as const, ...steps] : steps
    for (const [signal, patienceMs] of all) {
      if (!this.#running) return
      this.#child.kill(signal)
      const waiting = new AbortController()
      await Promise.race([this.exited, sleep(patienceMs, waiting.signal)])
      waiting.abort()
    }
  }
}

/** Throws when the program cannot be executed. */
export async function spawnServer(options: {
  readonly program: string
  readonly arguments: readonly string[]
  readonly pgdata: string
  readonly account: ServerAccount
  readonly log: ServerLog
}): Promise<ServerProcess> {
  const child = spawn(options.program, options.arguments, {
    cwd: options.pgdata,
    ...options.account,
    env: serverEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    // Ctrl-C in a terminal goes to the whole group; the supervisor decides when we stop.
    detached: true,
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  return new ServerProcess(child, options.log)
}

/** The server gets nothing of ours: no PG… variable, no secret of the environment. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'TZ', 'TZDIR', 'TMPDIR', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH']
  const environment: NodeJS.ProcessEnv = {}
  for (const name of kept) {
    const value = process.env[name]
    if (value !== undefined) environment[name] = value
  }
  return environment
}

/**
 * P1, P2. `socketDirectory`: where that run had its socket. Resolves to how many processes
 * were ended.
 */
export async function endLeftovers(pgdata: string, socketDirectory: string): Promise<number> {
  const found = serverProcesses(pgdata)
  if (found.length > 0) await endProcesses(pgdata)
  if (serverProcesses(pgdata).length === 0) {
    rmSync(join(pgdata, 'postmaster.pid'), { force: true })
    for (const name of readdirSync(socketDirectory)) {
      if (/^\.s\.PGSQL\.\d+(\.lock)?$/.test(name)) {
        rmSync(join(socketDirectory, name), { force: true })
      }
    }
  }
  return found.length
}

async function endProcesses(pgdata: string): Promise<void> {
  const postmaster = postmasterPid(pgdata)
  const steps = [
    ['SIGINT', FAST_MAX_MS / 4], ['SIGQUIT', IMMEDIATE_MAX_MS], ['SIGKILL', IMMEDIATE_MAX_MS],
  ] as const
  for (const [signal, patienceMs] of steps) {
    const alive = serverProcesses(pgdata)
    // While it lives, the server ends its backends itself, in order.
    const parent = alive.filter((pid) => pid === postmaster)
    const targets = parent.length > 0 && signal !== 'SIGKILL' ? parent : alive
    for (const pid of targets) signalQuietly(pid, signal)
    const until = Date.now() + patienceMs
    while (serverProcesses(pgdata).length > 0 && Date.now() < until) await sleep(POLL_MS)
    if (serverProcesses(pgdata).length === 0) return
  }
}

function postmasterPid(pgdata: string): number | null {
  try {
    const pid = Number(readFileSync(join(pgdata, 'postmaster.pid'), 'utf8').split('\n')[0])
    return Number.isInteger(pid) && pid > 1 ? pid : null
  } catch {
    return null
  }
}

function serverProcesses(pgdata: string): number[] {
  return process.platform === 'linux' ? linuxServerProcesses(pgdata) : otherServerProcess(pgdata)
}

function linuxServerProcesses(pgdata: string): number[] {
  const home = realpathSync(pgdata)
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      if (readlinkSync(`/proc/${entry}/cwd`) !== home) continue
      const program = basename(readlinkSync(`/proc/${entry}/exe`).replace(/ \(deleted\)$/, ''))
      if (program === 'postgres') found.push(Number(entry))
    } catch {
      // It ended meanwhile, or is another user's.
    }
  }
  return found
}

/** Without /proc: the server that postmaster.pid names, if that is one. */
function otherServerProcess(pgdata: string): number[] {
  const pid = postmasterPid(pgdata)
  if (pid === null) return []
  try {
    const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return command.includes('postgres') && command.includes(pgdata) ? [pid] : []
  } catch {
    return []
  }
}

function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone already.
  }
}
