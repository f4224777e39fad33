/**
 * OLTP: one gateway process, PgBouncer (session mode) before the same PostgreSQL, and PostgreSQL's
 * own socket and --direct-port; interleaved, each round in another order, routing on.
 *
 * Arguments: parts among throughput, connect, copy, latency, large-row, idle (none: all), and
 * seconds=8 rounds=4 clients=4,16,64 megabytes=1024 idle=5000.
 */
import { startOltpBed, type OltpOptions, type OltpPart } from './oltp/bed.ts'
import { connectPart } from './oltp/connect.ts'
import { copyPart } from './oltp/copy.ts'
import { idlePart, largeRowPart } from './oltp/memory.ts'
import { latencyPart } from './oltp/latency.ts'
import { throughputPart } from './oltp/throughput.ts'
import type { Bar, BenchReport } from './support/report.ts'

const PARTS: Readonly<Record<string, OltpPart>> = {
  throughput: throughputPart, connect: connectPart, copy: copyPart, latency: latencyPart,
  'large-row': largeRowPart, idle: idlePart,
}

export async function bench(args: readonly string[]): Promise<BenchReport> {
  const named = args.filter((arg) => !arg.includes('='))
  const unknown = named.filter((name) => PARTS[name] === undefined)
  if (unknown.length > 0) {
    throw new Error(`no such part: ${unknown.join(', ')} (${Object.keys(PARTS).join(', ')})`)
  }
  const options = readOptions(args)
  await using bed = await startOltpBed()
  const lines: string[] = []
  const bars: Bar[] = []
  for (const [name, part] of Object.entries(PARTS)) {
    if (named.length > 0 && !named.includes(name)) continue
    const report = await part(bed, options)
    lines.push(...report.lines)
    bars.push(...report.bars)
  }
  return { lines, bars }
}

function readOptions(args: readonly string[]): OltpOptions {
  const given = new Map(args.filter((arg) => arg.includes('='))
    .map((arg) => arg.split('=', 2) as [string, string]))
  return {
    seconds: Number(given.get('seconds') ?? 8), rounds: Number(given.get('rounds') ?? 4),
    clients: (given.get('clients') ?? '4,16,64').split(',').map(Number),
    megabytes: Number(given.get('megabytes') ?? 1024), idle: Number(given.get('idle') ?? 5000),
  }
}
