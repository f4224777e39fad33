/** Where a running server of ours listens, as it says itself. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** postmaster.pid: line 4 is the port, line 5 the first socket directory (miscadmin.h). */
export function serverSocket(pgdata: string): {
  readonly directory: string
  readonly port: number
} {
  const lines = readFileSync(join(pgdata, 'postmaster.pid'), 'utf8').split('\n')
  // Relative to PGDATA, which a path of any length then is.
  return { directory: resolve(pgdata, lines[4] ?? ''), port: Number(lines[3]) }
}
