/** Waiting for something to become true. */
import { setTimeout as delay } from 'node:timers/promises'

const PATIENCE = 6

/**
 * Asks `probe` until it answers something else than null; throws after `withinMs`, naming `what`
 * and the last error that a probe threw. How fast things are is the benches' business: on a
 * machine that is busy with other work everything may take PATIENCE times as long.
 */
export async function poll<T>(
  what: string, withinMs: number, probe: () => Promise<T | null> | T | null, everyMs = 50,
): Promise<T> {
  const end = Date.now() + withinMs * PATIENCE
  let last: unknown = null
  for (;;) {
    try {
      const answer = await probe()
      if (answer !== null) return answer
      last = null
    } catch (error) {
      last = error
    }
    if (Date.now() > end) {
      const why = last instanceof Error ? `: ${last.message}` : ''
      throw new Error(`${what}: not within ${withinMs * PATIENCE} ms${why}`, { cause: last })
    }
    await delay(everyMs)
  }
}
