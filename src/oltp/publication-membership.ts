/**
 * PublicationMembership: adds tables to the publication, so that no change is missed.
 *
 * M1  After `ensure` resolves, every change of the table that a snapshot taken from then on
 *     does not show is published. Two things stand in the way: a transaction that wrote the
 *     table before it became a member has its early changes decoded without it, so such
 *     transactions are waited for; and before 16.9 and 17.5 decoding one of them could leave
 *     pgoutput's cache saying "not published" for later ones, so after the wait the
 *     membership is made anew, which makes that cache read again.
 * M2  No user waits for us longer than LOCK_MAX_MS: ALTER PUBLICATION locks the publication
 *     until the end of its transaction, and gives up where another holds it.
 */
import { escapeIdentifier, type Client } from 'pg'
import { sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import type { Oid } from '../base/oid.ts'
import type { Session } from './session.ts'

const LOCK_MAX_MS = 400
const RETRY_MS = 50
const WRITERS_POLL_FIRST_MS = 2
const WRITERS_POLL_MAX_MS = 250
/** PostgreSQL's lock_not_available, deadlock_detected. */
const LOCK_FAILURES: ReadonlySet<string> = new Set(['55P03', '40P01'])

export class PublicationMembership {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** M1. Throws 'not-found' when the table is gone, AbortError-like when `signal` aborts. */
  async ensure(relid: Oid, signal: AbortSignal): Promise<void> {
    await this.#alter(relid, signal, 'select slipway.publish($1)')
    if (!(await this.#waitForWriters(relid, signal))) return
    await this.#alter(relid, signal,
      `select slipway.set_published(r, false), slipway.set_published(r, true)
       from (select $1::oid as r where slipway.is_published($1)) published`)
  }

  /** Adds what is eligible and no member; a table that resists is left to its copy. */
  async ensureAll(signal: AbortSignal): Promise<void> {
    const rows = await this.#session.query<{ relid: number }>(
      `select relid::bigint::float8 as relid from slipway.describe_relations(null)
       where why is null and not slipway.is_published(relid)`)
    for (const { relid } of rows) {
      if (signal.aborted) return
      await this.#session.run(async (client) => {
        await tryInTransaction(client, `set local lock_timeout = ${LOCK_MAX_MS}`,
          'select slipway.publish($1)', [relid])
      })
    }
  }

  async #alter(relid: Oid, signal: AbortSignal, sql: string): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      const name = await this.#name(relid)
      const done = await this.#session.run(async (client) => {
        // Waiting for the table comes first, while nothing of the publication is locked.
        const prepare = `set local lock_timeout = '5s';
          lock table only ${name} in share update exclusive mode;
          set local lock_timeout = ${LOCK_MAX_MS}`
        return await tryInTransaction(client, prepare, sql, [relid])
      })
      if (done) return
      await sleep(RETRY_MS, signal)
    }
  }

  async #name(relid: Oid): Promise<string> {
    const [row] = await this.#session.query<{ schema: string; name: string }>(
      `select nspname as schema, relname as name from pg_class c
       join pg_namespace n on n.oid = relnamespace where c.oid = $1`, [relid])
    if (row === undefined) {
      throw new SlipwayError('not-found', 'the table was dropped before it was copied')
    }
    return `${escapeIdentifier(row.schema)}.${escapeIdentifier(row.name)}`
  }

  /** Resolves when all transactions are over that hold a writer's lock now; true if any. */
  async #waitForWriters(relid: Oid, signal: AbortSignal): Promise<boolean> {
    let old = await this.#writers(relid)
    const any = old.length > 0
    let pause = WRITERS_POLL_FIRST_MS
    while (old.length > 0) {
      await sleep(pause, signal)
      signal.throwIfAborted()
      pause = Math.min(pause * 2, WRITERS_POLL_MAX_MS)
      const now = new Set(await this.#writers(relid))
      old = old.filter((transaction) => now.has(transaction))
    }
    return any
  }

  async #writers(relid: Oid): Promise<string[]> {
    const rows = await this.#session.query<{ transaction: string }>(
      `select distinct coalesce(virtualtransaction, '') || ':' || coalesce(pid, 0) as transaction
       from pg_locks
       where locktype = 'relation' and relation = $1 and granted
         and database = (select oid from pg_database where datname = current_database())
         and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
           'AccessExclusiveLock')
         and pid is distinct from pg_backend_pid()`, [relid])
    return rows.map((row) => row.transaction)
  }
}

/** false: a lock was not to be had, or the table was renamed meanwhile; nothing was done. */
async function tryInTransaction(
  client: Client, prepare: string, sql: string, values: readonly unknown[],
): Promise<boolean> {
  try {
    await client.query(`begin; ${prepare}`)
    await client.query(sql, [...values])
    await client.query('commit')
    return true
  } catch (error) {
    await client.query('rollback').catch(() => {})
    const code = (error as { readonly code?: string }).code ?? ''
    // undefined_table, invalid_schema_name: its name is read again, and says if it is gone.
    if (LOCK_FAILURES.has(code) || code === '42P01' || code === '3F000') return false
    throw error
  }
}

