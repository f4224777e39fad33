/**
 * Failpoint: a named place where a test ends the process, as a power cut would.
 *
 * N1  Without SLIPWAY_FAILPOINTS in the environment a failpoint does nothing.
 * N2  `SLIPWAY_FAILPOINTS=flush.after-parquet` kills there at the first passing;
 *     `name=3` at the third; several are parted by commas.
 */
const armed = new Map<string, number>()

for (const entry of (process.env.SLIPWAY_FAILPOINTS ?? '').split(',')) {
  const [name, count] = entry.split('=')
  if (name !== undefined && name !== '') armed.set(name.trim(), Number(count ?? '1'))
}

export function failpoint(name: string): void {
  if (armed.size === 0) return
  const left = armed.get(name)
  if (left === undefined) return
  if (left <= 1) process.kill(process.pid, 'SIGKILL')
  armed.set(name, left - 1)
}
