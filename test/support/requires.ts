/**
 * Tests that need more than Node: skipped with one clear line where that cannot be had, and
 * failed, never skipped, where CI is true.
 */
import { describe, it } from 'vitest'
import { missing, type Need } from './cache.ts'

export function describeWith(needs: readonly Need[], title: string, body: () => void): void {
  const absent = missing(needs)
  if (absent.length === 0) describe(title, body)
  else if (process.env['CI'] === 'true') describe(title, () => { failFor(title, absent) })
  else {
    say(title, absent)
    describe.skip(title, body)
  }
}

export function itWith(
  needs: readonly Need[], title: string, body: () => Promise<void>, timeoutMs?: number,
): void {
  const absent = missing(needs)
  if (absent.length === 0) it(title, body, timeoutMs)
  else if (process.env['CI'] === 'true') failFor(title, absent)
  else {
    say(title, absent)
    it.skip(title, body)
  }
}

function failFor(title: string, absent: readonly Need[]): void {
  it(title, () => { throw new Error(lineFor(title, absent)) })
}

function say(title: string, absent: readonly Need[]): void {
  process.stdout.write(`skipped: ${lineFor(title, absent)}\n`)
}

function lineFor(title: string, absent: readonly Need[]): string {
  return `${title}: needs ${absent.join(', ')} (node test/provision.js)`
}
