/**
 * CsvFeed: a stream of CSV as something that DuckDB can open: a FIFO.
 *
 * CF1  Nothing is stored: what is read from the FIFO is what the stream gave.
 * CF2  When the stream fails the reader sees an early end; the caller learns it from `done`
 *      and must not use what was read.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants, createWriteStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

export class CsvFeed implements AsyncDisposable {
  readonly path: string
  /** Settles when everything was handed over, or why not. */
  readonly done: Promise<void>

  private constructor(path: string, done: Promise<void>) {
    this.path = path
    this.done = done
  }

  static async open(directory: string, source: AsyncIterable<Buffer>): Promise<CsvFeed> {
    await mkdir(directory, { recursive: true })
    const path = join(directory, `${randomUUID()}.csv`)
    await run('mkfifo', ['-m', '600', path])
    const done = pipeline(source, createWriteStream(path, { highWaterMark: 1 << 20 }))
    done.catch(() => {})
    return new CsvFeed(path, done)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A reader that comes and goes lets a writer that still waits for one go on, and fail.
    const reader = await open(this.path, constants.O_RDONLY | constants.O_NONBLOCK)
    await reader.close()
    await this.done.catch(() => {})
    await rm(this.path, { force: true })
  }
}

/** The stream's first chunk, and a stream that has all of it; null: there is nothing. */
export async function nonEmpty(source: AsyncIterable<Buffer>)
  : Promise<AsyncIterable<Buffer> | null> {
  const iterator = source[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done === true) return null
  return (async function* () {
    yield first.value
    for (;;) {
      const next = await iterator.next()
      if (next.done === true) return
      yield next.value
    }
  })()
}
