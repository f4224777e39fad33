/**
 * Failpoint: a named place where a test ends the process, as a power cut would.
 *
 * N1  Without SLIPWAY_FAILPOINTS in the environment a failpoint does nothing.
 * N2  `SLIPWAY_FAILPOINTS=flush.after-parquet` kills there at the first passing;
 *     `name=3` at the third; several are parted by commas.
 * N3  A test may arm one inside its own process with something else to do: to throw.
 */
interface Armed { left: number; readonly action: () => void }

const armed = new Map<string, Armed>()

function kill(): void {
  process.kill(process.pid, 'SIGKILL')
}

for (const entry of (process.env.SLIPWAY_FAILPOINTS ?? '').split(',')) {
  const [name, count] = entry.split('=')
  if (name === undefined || name === '') continue
  armed.set(name.trim(), { left: Number(count ?? '1'), action: kill })
}

/** N3. `action` runs at the `passing`-th passing, once. */
export function armFailpoint(name: string, passing: number, action: () => void): void {
  armed.set(name, { left: passing, action })
}

export function failpoint(name: string): void {
  if (armed.size === 0) return
  const found = armed.get(name)
  if (found === undefined) return
  found.left--
  if (found.left > 0) return
  armed.delete(name)
  found.action()
}
