/**
 * ServerLog: PostgreSQL's log lines on their way to the file.
 *
 * G1  The query trees that the router asks for (severity LOG, "rewritten parse tree:") are
 *     left out with all their lines; every other line is kept as it is.
 * G2  The file stays below twice `maxBytes`: when full it becomes `<file>.1`.
 *
 * Source of the shape: elog.c, send_message_to_server_log. An entry's first line and its
 * DETAIL, HINT, CONTEXT and STATEMENT lines begin with log_line_prefix; line breaks inside
 * are followed by a tab.
 */
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Time, process id: the prefix that TREE and PART below look for. */
export const LOG_LINE_PREFIX = '%m [%p] '

const ENTRY = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[(\d+)\] ([A-Z0-9]+): {2}/
const TREE = /^(?:parse tree|rewritten parse tree|plan):\s*$/
/** What belongs to the entry before it, of the same process. */
const PARTS: ReadonlySet<string> = new Set(
  ['DETAIL', 'HINT', 'QUERY', 'CONTEXT', 'LOCATION', 'STATEMENT', 'BACKTRACE'])

/** Takes chunks, gives the lines to keep. Pure but for what it remembers. */
export class LogFilter {
  #partial = ''
  /** Processes whose last entry was a tree. */
  readonly #dropping = new Set<string>()
  #continuationDropped = false

  push(chunk: string): string {
    const lines = (this.#partial + chunk).split('\n')
    this.#partial = lines.pop() ?? ''
    let kept = ''
    for (const line of lines) if (this.#keep(line)) kept += `${line}\n`
    return kept
  }

  /** What is left at the end of the stream. */
  end(): string {
    const rest = this.#partial
    this.#partial = ''
    return rest !== '' && this.#keep(rest) ? `${rest}\n` : ''
  }

  #keep(line: string): boolean {
    const entry = ENTRY.exec(line)
    // Backends write whole entries at once (below PIPE_BUF or not, the rest follows at once).
    if (entry === null) return !this.#continuationDropped
    const [head, pid = '', severity = ''] = entry
    if (PARTS.has(severity)) {
      this.#continuationDropped = this.#dropping.has(pid)
    } else if (severity === 'LOG' && TREE.test(line.slice(head.length))) {
      this.#dropping.add(pid)
      this.#continuationDropped = true
    } else {
      this.#dropping.delete(pid)
      this.#continuationDropped = false
    }
    return !this.#continuationDropped
  }
}

export class ServerLog {
  readonly path: string
  readonly #maxBytes: number
  readonly #filter = new LogFilter()
  #descriptor: number
  #bytes: number
  /** The last lines, for the message of a start that failed. */
  #recent: string[] = []

  constructor(path: string, maxBytes = 64 * 1024 * 1024) {
    this.path = path
    this.#maxBytes = maxBytes
    mkdirSync(dirname(path), { recursive: true })
    this.#descriptor = openSync(path, 'a', 0o600)
    this.#bytes = statSync(path).size
  }

  write(chunk: string): void {
    this.#append(this.#filter.push(chunk))
  }

  close(): void {
    if (this.#descriptor < 0) return
    this.#append(this.#filter.end())
    closeSync(this.#descriptor)
    this.#descriptor = -1
  }

  /** The newest lines that say why the server stopped; no statement is among them. */
  reasons(): string {
    // What a configuration file's line is refused for is a LOG line with such a CONTEXT.
    const isLineContext = (line = ''): boolean => /\bCONTEXT: {2}line \d+ of con/.test(line)
    const found = this.#recent.filter((line, index, all) => isLineContext(all[index + 1])
      || isLineContext(line) || /\b(FATAL|PANIC|HINT): {2}/.test(line))
    return found.slice(-4).map((line) => line.replace(ENTRY, '')).join(' ')
  }

  #append(text: string): void {
    if (text === '' || this.#descriptor < 0) return
    this.#recent = [...this.#recent, ...text.split('\n').filter((line) => line !== '')].slice(-50)
    if (this.#bytes > this.#maxBytes) this.#rotate()
    try {
      this.#bytes += writeSync(this.#descriptor, text)
    } catch {
      // A full disk must not stop the reader: the server would block on its pipe.
    }
  }

  #rotate(): void {
    closeSync(this.#descriptor)
    renameSync(this.path, `${this.path}.1`)
    this.#descriptor = openSync(this.path, 'a', 0o600)
    this.#bytes = 0
  }
}
