/** Root's start is what the other tests do in CI; here the same as a user without any rights. */
import { chownSync, rmSync } from 'node:fs'
import { expect, it } from 'vitest'
import { describeWith } from '../support/requires.ts'
import { Slipway, temporaryFolder } from '../support/slipway.ts'

const NOBODY = 65534

describeWith(['root'], 'slipway up as an ordinary user', () => {
  it('starts, answers and stops', async () => {
    const dataDir = temporaryFolder('ordinary user')
    chownSync(dataDir, NOBODY, NOBODY)
    try {
      await using slipway = await Slipway.start({ dataDir, uid: NOBODY, env: { HOME: dataDir } })
      await using client = await slipway.connect()
      expect(await client.value('SELECT 1')).toBe('1')
      await client.end()
      expect(await slipway.stop()).toBe(0)
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})
