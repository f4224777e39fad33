/**
 * TableCopy: all rows of a table as one transaction sees them, as CSV.
 *
 * C1  The lock comes before the snapshot: a rewrite or TRUNCATE between the two would make
 *     the old snapshot see an empty table. ACCESS SHARE stops no reader and no writer.
 * C2  The description is read inside the snapshot and names exactly the CSV's columns.
 * C3  A command that needs the table for itself (ALTER, TRUNCATE, DROP) does not wait for
 *     the copy: after YIELD_AFTER_MS the copy gives way with code 'table-not-mirrored' and
 *     retry 'later'.
 * C4  `csv` is read from the socket only as fast as it is consumed.
 *
 * Form: COPY's CSV: unquoted empty is NULL, "" the empty string; values in PostgreSQL's text
 * on a session with VALUE_SESSION_OPTIONS; char(n) without trailing blanks.
 */
import { Readable } from 'node:stream'
import { escapeIdentifier, type Client } from 'pg'
import { Deferred } from '../base/deferred.ts'
import { SlipwayError } from '../base/errors.ts'
import { parseLsn } from '../base/lsn.ts'
import { oid, type Oid } from '../base/oid.ts'
import { mirrorTypeOf } from '../mirror/mirror-type.ts'
import type { CopyVisibility, TableCopy, TableDescription } from '../mirror/replication.ts'
import { RawConnection, ServerError } from './raw-connection.ts'
import type { Session } from './session.ts'

const BUFFER_BYTES = 1024 * 1024
const YIELD_POLL_MS = 250
const YIELD_AFTER_MS = 500
const LOCK_ATTEMPTS_MAX = 5

const COPY_DATA = 0x64
const COMMAND_COMPLETE = 0x43
const READY_FOR_QUERY = 0x5a
const ERROR_RESPONSE = 0x45

/**
 * `client` is the copy's own and is closed by it; `watch` sees who waits for the table.
 * Throws 'not-found' (dropped) or 'table-not-mirrored' (refused meanwhile).
 */
export async function openTableCopy(
  client: Client, watch: Session, relid: Oid, signal: AbortSignal,
): Promise<TableCopy> {
  const backend = await backendPid(client)
  const description = await lockAndDescribe(client, relid, signal)
  const visibility = parseSnapshot(await one(client, 'select pg_current_snapshot()::text as v'))
  const lsn = parseLsn(await one(client, 'select pg_current_wal_insert_lsn()::text as v'))
  const stream = new CopyStream(client, copyStatement(description))
  const onAbort = (): void => { stream.cancel(new Error('the copy was called off')) }
  signal.addEventListener('abort', onAbort, { once: true })
  const watching = setInterval(() => {
    void yieldToWaiters(watch, relid, backend, stream)
  }, YIELD_POLL_MS)
  const release = (): void => {
    clearInterval(watching)
    signal.removeEventListener('abort', onAbort)
  }
  stream.finished.then(release, release)
  return {
    visibility, lsn, description, csv: stream.readable,
    close: async () => { await stream.close() },
  }
}

/** C1, C2: leaves a REPEATABLE READ transaction open whose snapshot is taken. */
async function lockAndDescribe(
  client: Client, relid: Oid, signal: AbortSignal,
): Promise<TableDescription> {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS_MAX; attempt++) {
    signal.throwIfAborted()
    const before = await describe(client, relid)
    const name = qualified(before)
    await client.query('begin isolation level repeatable read read only')
    try {
      await client.query(`lock table only ${name} in access share mode`)
      const inside = await describe(client, relid)
      if (qualified(inside) === name) return refuseOrGive(inside)
    } catch (error) {
      // undefined_table: renamed or dropped between the two; described again, it says which.
      if ((error as { readonly code?: string }).code !== '42P01') throw error
    }
    await client.query('rollback')
  }
  throw new SlipwayError('table-not-mirrored', 'the table is renamed again and again')
}

function refuseOrGive(description: TableDescription): TableDescription {
  if (description.refusal === null) return description
  throw new SlipwayError('table-not-mirrored',
    `${description.schema}.${description.name} cannot be mirrored: ${description.refusal.reason}`,
    { hint: description.refusal.cure })
}

async function describe(client: Client, relid: Oid): Promise<TableDescription> {
  const { rows } = await client.query<{ description: TableDescription }>(
    'select description from slipway.describe_relations(array[$1::oid])', [relid])
  const [row] = rows
  if (row === undefined) throw new SlipwayError('not-found', 'the table was dropped')
  return row.description
}

function qualified(table: { readonly schema: string; readonly name: string }): string {
  return `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.name)}`
}

export function copyStatement(description: TableDescription): string {
  const columns = description.columns.map((column) => {
    const name = escapeIdentifier(column.name)
    const mirror = mirrorTypeOf({ ...column, typeOid: oid(column.typeOid) })
    // The cast to text is what takes the blanks away (pg_cast: rtrim1).
    if (mirror.kind === 'bpchar') return `${name}::text`
    if (mirror.kind === 'array' && mirror.element.kind === 'bpchar') return `${name}::text[]`
    return name
  })
  return `copy (select ${columns.join(', ')} from only ${qualified(description)})`
    + ' to stdout (format csv)'
}

/** pg_current_snapshot(): `xmin:xmax:in,progress`. */
export function parseSnapshot(text: string): CopyVisibility {
  const [xmin, xmax, running] = text.split(':')
  if (xmin === undefined || xmax === undefined || running === undefined) {
    throw new RangeError('a snapshot reads xmin:xmax:list')
  }
  return {
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    inProgress: new Set(running === '' ? [] : running.split(',').map(BigInt)),
  }
}

async function one(client: Client, sql: string): Promise<string> {
  const { rows } = await client.query<{ v: string }>(sql)
  return rows[0]?.v ?? ''
}

async function backendPid(client: Client): Promise<number> {
  return Number(await one(client, 'select pg_backend_pid()::text as v'))
}

/** C3. */
async function yieldToWaiters(
  watch: Session, relid: Oid, backend: number, stream: CopyStream,
): Promise<void> {
  try {
    const rows = await watch.query(
      `select from pg_locks where locktype = 'relation' and relation = $1 and not granted
         and mode = 'AccessExclusiveLock' and $2 = any (pg_blocking_pids(pid))
         and waitstart < clock_timestamp() - make_interval(secs => $3)`,
      [relid, backend, YIELD_AFTER_MS / 1000])
    if (rows.length === 0) return
    stream.cancel(new SlipwayError('table-not-mirrored',
      'the copy gave way to a command that needs the table for itself',
      { hint: 'It is copied again by itself.' }))
  } catch {
    // The next poll tries again; a lost server ends the copy by itself.
  }
}

/** COPY TO STDOUT over a connection that it owns from now on. */
class CopyStream {
  readonly readable: Readable
  readonly finished: Promise<void>
  readonly #connection: RawConnection
  readonly #outcome = new Deferred<void>()
  /** The rows of the current chunk, moved together inside it. */
  #chunk: Buffer | null = null
  #filled = 0
  #complete = false

  constructor(client: Client, statement: string) {
    this.finished = this.#outcome.promise
    this.finished.catch(() => {}) // close() reports it
    this.readable = new Readable({
      highWaterMark: BUFFER_BYTES,
      read: () => { this.#connection.resume() },
      destroy: (error, done) => {
        const early = this.#complete ? null : new Error('the copy was not read to its end')
        this.#settle(error ?? early)
        done(error)
      },
    })
    // It may fail before anyone reads; whoever reads later still gets the error.
    this.readable.on('error', () => {})
    this.#connection = RawConnection.take(client, {
      onFrame: (kind, buffer, start, end) => { this.#onFrame(kind, buffer, start, end) },
      onChunk: () => { this.#flush() },
      onClose: (error) => {
        this.readable.destroy(error ?? new Error('PostgreSQL closed the connection'))
      },
    })
    this.#connection.query(statement)
  }

  cancel(reason: Error): void {
    this.readable.destroy(reason)
  }

  async close(): Promise<void> {
    if (!this.#complete) this.readable.destroy()
    await this.finished
  }

  #onFrame(kind: number, buffer: Buffer, start: number, end: number): void {
    if (kind === COPY_DATA) this.#add(buffer, start, end)
    else if (kind === ERROR_RESPONSE) throw new ServerError(buffer, start, end)
    else if (kind === COMMAND_COMPLETE) this.#complete = true
    else if (kind === READY_FOR_QUERY) {
      this.#flush()
      this.readable.push(null)
      this.#settle(null)
    }
  }

  /**
   * A row a message: headers between them are closed up in place, which is allowed since
   * the chunk is ours and every message is read before the one that its bytes cover.
   */
  #add(buffer: Buffer, start: number, end: number): void {
    if (this.#chunk !== buffer) {
      this.#flush()
      this.#chunk = buffer
    }
    buffer.copyWithin(this.#filled, start, end)
    this.#filled += end - start
  }

  #flush(): void {
    if (this.#chunk === null || this.#filled === 0) return
    const rows = this.#chunk.subarray(0, this.#filled)
    this.#chunk = null
    this.#filled = 0
    if (!this.readable.push(rows)) this.#connection.pause()
  }

  #settle(error: Error | null): void {
    this.#connection.end()
    if (error === null) this.#outcome.resolve()
    else this.#outcome.reject(error)
  }
}
