/**
 * Bootstrap: makes a database ready to be mirrored.
 *
 * B1  One transaction under one advisory lock: of two that start at once, the second finds
 *     the work done; after a failure nothing is left half made.
 * B2  The publication is committed before the slot exists: pgoutput looks publications up as
 *     of the WAL it reads, and never finds one that is younger.
 * B3  A slot that lost WAL, or is older than the publication, is made anew, and every table
 *     is announced as rewritten right after, also when we die in between: what the lake
 *     holds of it must be copied again.
 */
import type { Client } from 'pg'
import { parseLsn, type Lsn } from '../base/lsn.ts'
import type { Logger } from '../base/logger.ts'
import { sleep } from '../base/clock.ts'
import { ddlTriggerSql } from './ddl-trigger-sql.ts'
import { PUBLICATION, schemaSql } from './schema-sql.ts'

export interface Slot {
  readonly name: string
  readonly confirmed: Lsn
  /** A new one: changes before it were not seen. */
  readonly created: boolean
}

/** Any number that is ours alone: 'slipway' in ASCII. */
const ADVISORY_LOCK = 0x736c6970776179n
const SLOT_RELEASE_MAX_MS = 30_000
const SLOT_RELEASE_POLL_MS = 50

/** Needs a superuser on an otherwise idle connection to the mirrored database. */
export async function bootstrap(client: Client, logger: Logger): Promise<Slot> {
  await client.query('set client_min_messages = warning')
  const version = await serverVersion(client)
  const publicationCreated = await makeSchema(client, version)
  const slot = await ensureSlot(client, publicationCreated, logger)
  // One statement: the mark goes when, and only when, the announcements are in the WAL.
  await client.query(`with pending as (delete from slipway.recopy_pending returning only_row)
    select slipway.announce(description, true)
    from pending, slipway.describe_relations(null) where why is null`)
  return slot
}

/** Major version: 16, 17, 18. */
export async function serverVersion(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int / 10000 as version`)
  return rows[0]?.version ?? 0
}

async function makeSchema(client: Client, version: number): Promise<boolean> {
  await client.query('begin')
  try {
    await client.query(`select pg_advisory_xact_lock(${ADVISORY_LOCK})`)
    await client.query(schemaSql(version))
    await client.query(ddlTriggerSql())
    const { rowCount } = await client.query(
      `select from pg_publication where pubname = '${PUBLICATION}'`)
    if (rowCount === 0) await client.query(`create publication ${PUBLICATION}`)
    await client.query('commit')
    return rowCount === 0
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}

async function ensureSlot(client: Client, mustBeNew: boolean, logger: Logger): Promise<Slot> {
  const found = await readSlot(client)
  if (found !== null) {
    const fit = found.fit && !mustBeNew && found.confirmed !== null
    if (fit && found.confirmed !== null) {
      return { name: found.name, confirmed: found.confirmed, created: false }
    }
    logger.warn({ slot: found.name, walStatus: found.walStatus },
      'the replication slot cannot be continued; every table is copied anew')
    await markRecopy(client)
    await releaseSlot(client, found.name)
    await client.query('select pg_drop_replication_slot($1)', [found.name])
  }
  await markRecopy(client)
  await client.query(`select pg_create_logical_replication_slot('slipway_' || oid, 'pgoutput')
    from pg_database where datname = current_database()`)
  const made = await readSlot(client)
  if (made === null || made.confirmed === null) throw new Error('the new slot is not there')
  return { name: made.name, confirmed: made.confirmed, created: true }
}

async function markRecopy(client: Client): Promise<void> {
  await client.query('insert into slipway.recopy_pending values (true) on conflict do nothing')
}

async function readSlot(client: Client): Promise<{
  readonly name: string
  readonly confirmed: Lsn | null
  readonly fit: boolean
  readonly walStatus: string
} | null> {
  const { rows } = await client.query<{
    name: string; confirmed: string | null; fit: boolean; wal_status: string
  }>(`select s.slot_name as name, s.confirmed_flush_lsn::text as confirmed,
      coalesce(s.wal_status, 'lost') as wal_status,
      s.plugin = 'pgoutput' and coalesce(s.wal_status, 'lost') <> 'lost'
        and not s.temporary
        and coalesce((to_jsonb(s) ->> 'conflicting')::boolean, false) = false as fit
    from pg_replication_slots s
    where s.slot_name = 'slipway_' || (select oid from pg_database
      where datname = current_database())`)
  const row = rows[0]
  if (row === undefined) return null
  return {
    name: row.name,
    confirmed: row.confirmed === null ? null : parseLsn(row.confirmed),
    fit: row.fit,
    walStatus: row.wal_status,
  }
}

/** Waits until nobody streams from the slot; a walsender that stays too long is ended. */
export async function releaseSlot(client: Client, name: string): Promise<void> {
  const until = Date.now() + SLOT_RELEASE_MAX_MS
  for (;;) {
    const { rows } = await client.query<{ pid: number | null }>(
      'select active_pid as pid from pg_replication_slots where slot_name = $1', [name])
    const pid = rows[0]?.pid ?? null
    if (pid === null) return
    if (Date.now() > until) await client.query('select pg_terminate_backend($1)', [pid])
    await sleep(SLOT_RELEASE_POLL_MS)
  }
}
