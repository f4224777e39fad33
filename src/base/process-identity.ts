/**
 * Who a process id is: numbers are reused, so a pid in a file means something only together
 * with the time that its process began.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A text that no two processes share with one pid; null when there is no such process. */
export function processStartTime(pid: number): string | null {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      // Field 3 is the state, field 22 the start time in clock ticks (proc(5)).
      return fields[0] === 'Z' ? null : fields[19] ?? null
    } catch {
      return null
    }
  }
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
    return text.trim() === '' ? null : text.trim()
  } catch {
    return null
  }
}
