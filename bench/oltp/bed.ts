/** What every part of `bench oltp` is measured on, and how rounds are interleaved. */
import { rmSync } from 'node:fs'
import { freePort } from '../../src/base/free-port.ts'
import { selfSigned } from '../../test/support/certificates.ts'
import {
  initialisePgbench, PGBENCH_TABLES, pgbenchTally, startPgbench, tpsOf,
} from '../../test/support/pgbench.ts'
import { mirrored } from '../../test/support/mirror.ts'
import { poll } from '../../test/support/poll.ts'
import { Slipway, temporaryFolder } from '../../test/support/slipway.ts'
import { SqlClient, type Address } from '../../test/support/sql-client.ts'
import { startPgBouncer } from '../support/pgbouncer.ts'
import { cpuTimeOf } from '../support/process-cpu.ts'
import type { BenchReport } from '../support/report.ts'
import { median } from '../support/statistics.ts'

export type WayName = 'gateway' | 'pgbouncer' | 'socket' | 'direct-port'

export interface Way {
  readonly name: WayName
  readonly address: Address
  /** The process between; null when there is none. */
  readonly pid: number | null
}

export interface OltpBed extends AsyncDisposable {
  readonly ways: Readonly<Record<WayName, Way>>
}

export interface OltpOptions {
  readonly seconds: number
  readonly rounds: number
  readonly clients: readonly number[]
  /** Of a COPY. */
  readonly megabytes: number
  /** Clients that do nothing. */
  readonly idle: number
}

export type OltpPart = (bed: OltpBed, options: OltpOptions) => Promise<BenchReport>

/** Branches: no fewer than clients that write, or they wait for one another. */
const SCALE = 16
const COPIED_WITHIN_MS = 180_000
const SETTLED_WITHIN_MS = 60_000

export async function startOltpBed(): Promise<OltpBed> {
  const directPort = await freePort('127.0.0.1')
  const folder = temporaryFolder('oltp')
  const certificate = selfSigned(folder, 'localhost')
  const slipway = await Slipway.start({
    args: ['--gateway-processes', '1', '--direct-port', String(directPort),
      '--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile] })
  try {
    await using client = await slipway.connect()
    await initialisePgbench(slipway.address, client, SCALE)
    await mirrored(client, PGBENCH_TABLES, { withinMs: COPIED_WITHIN_MS })
    const bouncer = await startPgBouncer(slipway, certificate)
    return {
      ways: {
        gateway: { name: 'gateway', address: slipway.address, pid: slipway.partPid('gateway-1') },
        pgbouncer: { name: 'pgbouncer', address: bouncer.address, pid: bouncer.pid },
        socket: { name: 'socket', address: bouncer.direct, pid: null },
        'direct-port': { name: 'direct-port', pid: null,
          address: { ...slipway.address, port: directPort } },
      },
      [Symbol.asyncDispose]: async () => {
        await bouncer[Symbol.asyncDispose]()
        await slipway[Symbol.asyncDispose]()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await slipway[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Over as many rounds as there are ways, each runs at every place and follows every other one:
 * what a way leaves behind (WAL to mirror, pages to write) would else fall to the same one always.
 *
 * Source: E. J. Williams, "Experimental Designs Balanced for the Estimation of Residual Effects
 * of Treatments", 1949; for an even number of ways.
 */
export async function interleaved<T>(
  ways: readonly Way[], rounds: number, run: (way: Way) => Promise<T>,
): Promise<ReadonlyMap<WayName, readonly T[]>> {
  const found = new Map<WayName, T[]>(ways.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < ways.length; place++) {
      const shift = place % 2 === 1 ? (place + 1) / 2 : ways.length - place / 2
      const way = ways[(round + shift) % ways.length]
      if (way !== undefined) found.get(way.name)?.push(await run(way))
    }
  }
  return found
}

/** Waits until the mirror has applied what was written before. */
export async function settled({ ways }: OltpBed): Promise<void> {
  await using client = await SqlClient.connect(ways['direct-port'].address)
  const written = await client.value('SELECT pg_current_wal_lsn()')
  await poll('the mirror has caught up', SETTLED_WITHIN_MS, async () =>
    await client.value(`SELECT min(applied_lsn) >= '${written}' FROM slipway.tables`) === 't'
      ? true : null)
}

export interface PgbenchRound {
  readonly tps: number
  readonly userUs: number
  readonly systemUs: number
}

/** One run of pgbench; processor time is the process's between, per transaction. */
export async function runPgbench(way: Way, options: {
  readonly seconds: number
  readonly clients: number
  readonly args: readonly string[]
  readonly isSecure?: boolean
}): Promise<PgbenchRound> {
  const before = way.pid === null ? null : cpuTimeOf(way.pid)
  const { status, output } = await startPgbench(way.address, options).done
  if (status !== 0) throw new Error(`pgbench ended with ${status}: ${output.slice(-1000)}`)
  const after = way.pid === null ? null : cpuTimeOf(way.pid)
  const perTransaction = 1000 / pgbenchTally(output).processed
  return {
    tps: tpsOf(output),
    userUs: ((after?.userMs ?? 0) - (before?.userMs ?? 0)) * perTransaction,
    systemUs: ((after?.systemMs ?? 0) - (before?.systemMs ?? 0)) * perTransaction,
  }
}

export interface Ratio { readonly median: number; readonly text: string }

/** Round by round, `of` against `to`: median, and from where to where. */
export function ratioOf(of: readonly number[], to: readonly number[]): Ratio {
  const each = of.map((value, round) => value / (to[round] ?? Number.NaN))
  const [least, most] = [Math.min(...each), Math.max(...each)]
  return { median: median(each),
    text: `${median(each).toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})` }
}
