/**
 * Logger: structured lines to one stream, one JSON object each.
 *
 * G1  Nothing that came from a row, a parameter or a secret is ever a field.
 */
import { pino, destination, type Logger as Pino } from 'pino'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
export type Logger = Pino

/** `file`: absolute path to append to, or null for standard error. */
export function createLogger(options: {
  readonly part: string
  readonly level: LogLevel
  readonly file: string | null
}): Logger {
  const target = options.file === null
    ? destination({ dest: 2, sync: true })
    : destination({ dest: options.file, mkdir: true, append: true, sync: true })
  return pino({ level: options.level, base: { part: options.part, pid: process.pid } }, target)
}

export const silentLogger: Logger = pino({ level: 'silent' })
