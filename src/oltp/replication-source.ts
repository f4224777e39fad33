/**
 * PostgresReplicationSource: PostgreSQL as delta-sync sees it.
 *
 * R1  `open` leaves the database ready: schema, triggers, publication, slot.
 * R2  One stream at a time; `confirm` never goes back.
 * R3  A slot that could not be continued is replaced, and every table announced as rewritten
 *     in the new stream (bootstrap.ts, B3).
 * R4  A schema message without our key (schema-sql.ts, Q3) is left out.
 */
import { Client } from 'pg'
import { sleep } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { formatLsn, maxLsn, parseLsn, type Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import type {
  ReplicationMessage, ReplicationSource, TableCopy, TableDescription, TableStatusRow,
} from '../mirror/replication.ts'
import { bootstrap, releaseSlot, serverVersion, type Slot } from './bootstrap.ts'
import { PublicationMembership } from './publication-membership.ts'
import { connectOrExplain, connectRaw, ServerError } from './raw-connection.ts'
import { Session } from './session.ts'
import { openTableCopy } from './table-copy.ts'
import { clientConfig, type Credentials, type PostgresTarget } from './target.ts'
import { WalsenderStream } from './walsender-stream.ts'

export interface ReplicationSourceOptions {
  readonly target: PostgresTarget
  readonly database: string
  /** A superuser. */
  readonly credentials: Credentials
  readonly logger: Logger
}

/** PostgreSQL's object_in_use: the walsender of an engine that died has not gone yet. */
const SLOT_IN_USE = '55006'
const SLOT_ATTEMPTS_MAX = 3
/** A status that differs only in positions this close is not worth a transaction. */
const POSITION_NOISE_BYTES = 8192n
const POSITION_MAX_AGE_MS = 10_000

export class PostgresReplicationSource implements ReplicationSource {
  readonly systemIdentifier: string
  readonly databaseOid: number
  readonly slot: Slot
  readonly #options: ReplicationSourceOptions
  readonly #serverVersion: number
  readonly #messageKey: string
  readonly #queries: Session
  readonly #flushes: Session
  /** Its statements may wait for locks, which nothing else must. */
  readonly #changes: Session
  readonly #membership: PublicationMembership
  #stream: WalsenderStream | null = null
  #confirmed: Lsn
  #published: { readonly rows: readonly TableStatusRow[]; readonly atMs: number } | null = null

  private constructor(options: ReplicationSourceOptions, found: {
    readonly systemIdentifier: string
    readonly databaseOid: number
    readonly serverVersion: number
    readonly messageKey: string
    readonly slot: Slot
  }) {
    this.#options = options
    this.systemIdentifier = found.systemIdentifier
    this.databaseOid = found.databaseOid
    this.slot = found.slot
    this.#serverVersion = found.serverVersion
    this.#messageKey = `${found.messageKey} `
    this.#confirmed = found.slot.confirmed
    const config = clientConfig(options.target, {
      ...options.credentials, database: options.database, applicationName: 'slipway engine',
    })
    const quiet = '-c synchronous_commit=off -c client_min_messages=warning -c statement_timeout=0'
    this.#queries = new Session({ ...config, options: quiet })
    this.#flushes = new Session({ ...config, options: '-c synchronous_commit=on' })
    this.#changes = new Session({ ...config, options: quiet })
    this.#membership = new PublicationMembership(this.#changes)
  }

  /** R1. Throws 'postgres-unreachable', or PostgreSQL's error when rights are missing. */
  static async open(options: ReplicationSourceOptions): Promise<PostgresReplicationSource> {
    const client = new Client(clientConfig(options.target, {
      ...options.credentials, database: options.database, applicationName: 'slipway engine',
    }))
    client.on('error', () => {})
    await connectOrExplain(client)
    let source: PostgresReplicationSource
    try {
      const slot = await bootstrap(client, options.logger)
      const { rows } = await client.query<{ system: string; database: string; key: string }>(
        `select system_identifier::text as system, d.oid::text as database, k.key
         from pg_control_system(), pg_database d, slipway.message_key k
         where datname = current_database()`)
      source = new PostgresReplicationSource(options, {
        systemIdentifier: rows[0]?.system ?? '',
        databaseOid: Number(rows[0]?.database),
        serverVersion: await serverVersion(client),
        messageKey: rows[0]?.key ?? '',
        slot,
      })
    } finally {
      await client.end().catch(() => {})
    }
    await source.#membership.ensureAll(new AbortController().signal)
    return source
  }

  async * stream(
    from: Lsn, signal: AbortSignal,
  ): AsyncGenerator<readonly ReplicationMessage[], void, undefined> {
    if (this.#stream !== null) throw new Error('a stream is open already')
    const stream = await this.#start(from)
    this.#stream = stream
    stream.confirm(this.#confirmed)
    const onAbort = (): void => { stream.end() }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) stream.end()
    try {
      for (;;) {
        const messages = await stream.next()
        if (messages === null) return
        yield messages.some(isDdl) ? messages.flatMap((message) => this.#ours(message)) : messages
      }
    } catch (error) {
      if (signal.aborted) return
      throw replicationFailure(error)
    } finally {
      signal.removeEventListener('abort', onAbort)
      stream.end()
      this.#stream = null
    }
  }

  confirm(lsn: Lsn): void {
    this.#confirmed = maxLsn(this.#confirmed, lsn)
    this.#stream?.confirm(this.#confirmed)
  }

  requestKeepalive(): void {
    this.#stream?.requestKeepalive()
  }

  async confirmedLsn(): Promise<Lsn> {
    const [row] = await this.#queries.query<{ lsn: string | null }>(
      'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
      [this.slot.name])
    if (row === undefined || row.lsn === null) {
      throw new SlipwayError('postgres-unfit', `the replication slot ${this.slot.name} is gone`,
        { hint: 'Restart Slipway: it makes a new one and copies the tables again.' })
    }
    return parseLsn(row.lsn)
  }

  /**
   * Since 17 a message can be flushed by itself; before, the synchronous commit of a
   * transaction that has an id and wrote WAL does it.
   */
  async forceFlush(): Promise<void> {
    await this.#flushes.query(this.#serverVersion >= 17
      ? `select pg_logical_emit_message(false, 'slipway', '', true)`
      : `select pg_logical_emit_message(false, 'slipway', ''), pg_current_xact_id()`)
  }

  async describeTables(): Promise<readonly TableDescription[]> {
    const rows = await this.#queries.query<{ description: TableDescription }>(
      'select description from slipway.describe_relations(null)')
    return rows.map((row) => row.description)
  }

  /** The table is a member of the publication before its snapshot is taken. */
  async copyTable(relid: Oid, signal: AbortSignal): Promise<TableCopy> {
    await this.#membership.ensure(relid, signal)
    const client = await connectRaw(clientConfig(this.#options.target, {
      ...this.#options.credentials,
      database: this.#options.database,
      applicationName: 'slipway copy',
    }))
    try {
      return await openTableCopy(client, this.#queries, relid, signal)
    } catch (error) {
      await client.end().catch(() => {})
      throw error
    }
  }

  /**
   * Writing it moves the WAL on by some bytes, which would make the next status differ:
   * positions alone are written when they moved by more than that, or are old.
   */
  async publishStatus(rows: readonly TableStatusRow[]): Promise<void> {
    const last = this.#published
    if (last !== null && !worthWriting(last.rows, rows, Date.now() - last.atMs)) return
    await this.#queries.query(PUBLISH_STATUS, [JSON.stringify(rows.map(statusRecord))])
    this.#published = { rows, atMs: Date.now() }
  }

  async close(): Promise<void> {
    this.#stream?.end()
    await Promise.all([this.#queries.close(), this.#flushes.close(), this.#changes.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** R4; without the key, which is nobody else's business. */
  #ours(message: ReplicationMessage): readonly ReplicationMessage[] {
    if (!isDdl(message)) return [message]
    const key = this.#messageKey
    if (message.content.toString('latin1', 0, key.length) === key) {
      return [{ ...message, content: message.content.subarray(key.length) }]
    }
    this.#options.logger.warn({ lsn: formatLsn(message.lsn) },
      'a schema message in the WAL is not Slipway\'s; it is ignored')
    return []
  }

  async #start(from: Lsn): Promise<WalsenderStream> {
    const config = clientConfig(this.#options.target, {
      ...this.#options.credentials,
      database: this.#options.database,
      applicationName: 'slipway replication',
    })
    for (let attempt = 1; ; attempt++) {
      const client = await connectRaw({ ...config, replication: 'database' })
      try {
        return await WalsenderStream.start(client, this.slot.name, from)
      } catch (error) {
        const inUse = error instanceof ServerError && error.sqlState === SLOT_IN_USE
        if (!inUse || attempt >= SLOT_ATTEMPTS_MAX) throw replicationFailure(error)
        await this.#changes.run((client) => releaseSlot(client, this.slot.name))
        await sleep(20)
      }
    }
  }
}

function isDdl(
  message: ReplicationMessage,
): message is Extract<ReplicationMessage, { readonly kind: 'message' }> {
  return message.kind === 'message' && message.prefix === 'slipway.ddl'
}

function replicationFailure(error: unknown): SlipwayError {
  if (error instanceof SlipwayError) return error
  const reason = error instanceof Error ? error.message : 'unknown reason'
  const state = error instanceof ServerError ? ` (SQLSTATE ${error.sqlState})` : ''
  return new SlipwayError('postgres-unreachable', `replication was lost: ${reason}${state}`,
    { cause: error })
}

const PUBLISH_STATUS = `
with given as (
  select * from jsonb_to_recordset($1::jsonb) as g (relid oid, state text, reason text, cure text,
    delta_path text, delta_version bigint, durable_lsn pg_lsn, applied_lsn pg_lsn,
    rows bigint, files bigint, tail_rows bigint)
), gone as (
  delete from slipway.table_status s where not exists (select from given g where g.relid = s.relid)
)
insert into slipway.table_status as s select * from given
on conflict (relid) do update set (state, reason, cure, delta_path, delta_version, durable_lsn,
    applied_lsn, rows, files, tail_rows)
  = (excluded.state, excluded.reason, excluded.cure, excluded.delta_path, excluded.delta_version,
    excluded.durable_lsn, excluded.applied_lsn, excluded.rows, excluded.files, excluded.tail_rows)
`

function statusRecord(row: TableStatusRow): Readonly<Record<string, unknown>> {
  return {
    relid: row.relid, state: row.state, reason: row.reason, cure: row.cure,
    delta_path: row.deltaPath, delta_version: row.deltaVersion,
    durable_lsn: row.durableLsn === null ? null : formatLsn(row.durableLsn),
    applied_lsn: row.appliedLsn === null ? null : formatLsn(row.appliedLsn),
    rows: row.rows, files: row.files, tail_rows: row.tailRows,
  }
}

function worthWriting(
  before: readonly TableStatusRow[], now: readonly TableStatusRow[], ageMs: number,
): boolean {
  if (before.length !== now.length) return true
  const known = new Map(before.map((row) => [row.relid, row]))
  for (const row of now) {
    const old = known.get(row.relid)
    if (old === undefined) return true
    if (JSON.stringify(withoutPositions(old)) !== JSON.stringify(withoutPositions(row))) return true
    const moved = (row.appliedLsn ?? 0n) - (old.appliedLsn ?? 0n)
    if (moved > POSITION_NOISE_BYTES || (moved > 512n && ageMs > POSITION_MAX_AGE_MS)) return true
  }
  return false
}

function withoutPositions(row: TableStatusRow): Readonly<Record<string, unknown>> {
  return { ...statusRecord(row), applied_lsn: null }
}
