#!/usr/bin/env node
/**
 * slipway: the program.
 *
 * X1  Exit status 0 after a clean stop, 2 for bad usage or configuration, 1 for anything else,
 *     always with one clear line that says what to do.
 */
import { CommanderError } from 'commander'
import { buildProgram } from '../cli/program.ts'
import { SlipwayError } from '../base/errors.ts'

async function main(): Promise<void> {
  try {
    await buildProgram().parseAsync(process.argv)
  } catch (error) {
    process.exitCode = report(error)
  }
}

/** Writes the one line (and its cure) and gives the exit status. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof SlipwayError) {
    process.stderr.write(`slipway: ${error.message}\n${error.hint}\n`)
    return error.code === 'usage' ? 2 : 1
  }
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`slipway: ${message}\n`)
  if (process.env['SLIPWAY_LOG_LEVEL'] === 'debug' && error instanceof Error) {
    process.stderr.write(`${error.stack ?? ''}\n`)
  }
  return 1
}

await main()
