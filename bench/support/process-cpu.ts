/** Processor time of a process, as /proc has it; null where there is no /proc. */
import { readFileSync } from 'node:fs'

export interface CpuTime { readonly userMs: number; readonly systemMs: number }

/** Linux reports in ticks of 1/100 s (USER_HZ), whatever the kernel's own clock. */
const TICK_MS = 10

export function cpuTimeOf(pid: number): CpuTime | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold spaces: fields count from behind it (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { userMs: Number(fields[11]) * TICK_MS, systemMs: Number(fields[12]) * TICK_MS }
  } catch {
    return null
  }
}
