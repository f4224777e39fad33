/**
 * What every black-box test shares: one running Slipway and one process with the stock readers.
 * Tests take care of each other by making schemas of their own.
 */
import { existsSync } from 'node:fs'
import type { TestProject } from 'vitest/node'
import { missing } from './cache.ts'
import { startReaders } from './readers.ts'
import { PROGRAM, Slipway, type SlipwayAddress } from './slipway.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly slipway: SlipwayAddress
    /** The readers' socket; empty where Python or the jars are not there. */
    readonly readers: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run npm run build`)
  const readers = missing(['python', 'jars']).length === 0 ? await startReaders() : null
  project.provide('readers', readers?.socket ?? '')
  const slipway = await Slipway.start({ args: ['--engine-memory', '2GB', '--log-level', 'info'] })
    .catch((error: unknown) => { readers?.child.kill(); throw error })
  project.provide('slipway', slipway.shared)
  return async () => {
    readers?.child.kill()
    await slipway[Symbol.asyncDispose]()
  }
}
