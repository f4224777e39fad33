/** Memory of a process, as /proc has it. */
import { readFileSync, writeFileSync } from 'node:fs'

export interface ProcessMemory { readonly residentKb: number; readonly peakKb: number }

/** `forgetPeak`: the peak begins anew (proc(5), clear_refs). */
export function memoryOf(pid: number, options: { readonly forgetPeak?: boolean } = {})
  : ProcessMemory {
  if (options.forgetPeak === true) writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN)
  return { residentKb: field('VmRSS'), peakKb: field('VmHWM') }
}
