/**
 * Tests that need more than Node: skipped with one clear line where that cannot be had, and
 * failed, never skipped, where CI is true.
 */
import { describe, it } from 'vitest'
import { missing, type Need } from './cache.ts'

export function describeWith(needs: readonly Need[], title: string, body: () => void): void {
  const absent = missing(needs)
  if (absent.length === 0) {
    describe(title, body)
    return
  }
  const line = `${title}: needs ${absent.join(', ')} (node test/provision.js)`
  if (process.env['CI'] === 'true') {
    describe(title, () => {
      it('has what it needs', () => { throw new Error(line) })
    })
    return
  }
  process.stdout.write(`skipped: ${line}\n`)
  describe.skip(title, body)
}
