/**
 * PostgresFixture: a real server for a test file, in a directory of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { silentLogger } from '../../src/base/logger.ts'
import { LSN_ZERO, parseLsn, type Lsn } from '../../src/base/lsn.ts'
import { NO_POSTGRES_SECTION } from '../../src/config/postgres-section.ts'
import type { DdlMessage, ReplicationMessage } from '../../src/mirror/replication.ts'
import { ADMIN_ROLE, EmbeddedPostgres } from '../../src/oltp/embedded-postgres.ts'
import type { GatewayClients } from '../../src/oltp/host-based-auth.ts'
import type { EmbeddedVersion } from '../../src/oltp/postgres-binaries.ts'
import { PostgresReplicationSource } from '../../src/oltp/replication-source.ts'
import { clientConfig, type Credentials } from '../../src/oltp/target.ts'
import { ensureUserRole } from '../../src/oltp/user-role.ts'

export const ADMIN: Credentials = { user: ADMIN_ROLE, password: 'admin secret' }
export const LOCAL_CLIENTS: GatewayClients = {
  host: '127.0.0.1', tls: 'none', certificates: false,
}
export const USER: Credentials = { user: 'slipway', password: 'user secret' }

export class PostgresFixture {
  readonly dataDir: string
  readonly version: EmbeddedVersion
  postgres: EmbeddedPostgres

  private constructor(dataDir: string, version: EmbeddedVersion, postgres: EmbeddedPostgres) {
    this.dataDir = dataDir
    this.version = version
    this.postgres = postgres
  }

  static async start(version: EmbeddedVersion = 18): Promise<PostgresFixture> {
    const dataDir = mkdtempSync(join(tmpdir(), 'slipway-oltp-'))
    const postgres = await startOn(dataDir, version)
    await ensureUserRole({
      target: postgres.target, admin: ADMIN, user: 'slipway', password: 'user secret',
      isNewPassword: false, database: 'slipway',
    })
    const fixture = new PostgresFixture(dataDir, version, postgres)
    const admin = await fixture.connect('postgres', ADMIN)
    await admin.query('alter system set fsync = off')
    await admin.query('select pg_reload_conf()')
    await admin.end()
    return fixture
  }

  async restart(): Promise<void> {
    this.postgres = await startOn(this.dataDir, this.version)
  }

  async connect(database = 'slipway', as: Credentials = USER): Promise<Client> {
    const client = new Client(clientConfig(this.postgres.target, { ...as, database }))
    client.on('error', () => {})
    await client.connect()
    return client
  }

  async source(database = 'slipway'): Promise<PostgresReplicationSource> {
    return await PostgresReplicationSource.open({
      target: this.postgres.target, database, credentials: ADMIN, logger: silentLogger,
    })
  }

  async stop(): Promise<void> {
    await this.postgres.stop()
    rmSync(this.dataDir, { recursive: true, force: true })
  }
}

async function startOn(dataDir: string, version: EmbeddedVersion): Promise<EmbeddedPostgres> {
  return await EmbeddedPostgres.start({
    dataDir, version, adminPassword: 'admin secret', direct: null, logger: silentLogger,
    section: NO_POSTGRES_SECTION, clients: LOCAL_CLIENTS, login: null,
  })
}

/** Everything that was committed between its making and `upToNow`. */
export class Recorder {
  readonly messages: ReplicationMessage[] = []
  readonly #source: PostgresReplicationSource
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #sent: Lsn = LSN_ZERO

  constructor(source: PostgresReplicationSource, from: Lsn = LSN_ZERO) {
    this.#source = source
    this.#running = this.#run(from)
    this.#running.catch(() => {}) // reported by stop, ended and upToNow
  }

  async #run(from: Lsn): Promise<void> {
    for await (const batch of this.#source.stream(from, this.#stop.signal)) {
      for (const message of batch) {
        this.messages.push(message)
        if (message.kind === 'keepalive' && message.walEnd > this.#sent) this.#sent = message.walEnd
        if (message.kind === 'commit') this.#sent = message.endLsn
      }
    }
  }

  /** Waits until all that `client` committed has arrived; takes what is recorded. */
  async upToNow(client: Client): Promise<ReplicationMessage[]> {
    const { rows } = await client.query<{ lsn: string }>(
      'select pg_current_wal_insert_lsn()::text as lsn')
    const target = parseLsn(rows[0]?.lsn ?? '')
    await this.#source.forceFlush()
    while (this.#sent < target) {
      this.#source.requestKeepalive()
      await Promise.race([
        new Promise((resolve) => setTimeout(resolve, 5)), this.#running,
      ])
    }
    return this.messages.splice(0)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** Settles when the stream ends by itself. */
  async ended(): Promise<void> {
    await this.#running
  }
}

/** The DDL messages, and only they, decoded. */
export function ddlOf(messages: readonly ReplicationMessage[]): DdlMessage[] {
  return messages.flatMap((message) =>
    message.kind === 'message' && message.prefix === 'slipway.ddl'
      ? [JSON.parse(message.content.toString('utf8')) as DdlMessage] : [])
}

/** Row changes as short texts; UNCHANGED is an unchanged TOAST value. */
export function changesOf(messages: readonly ReplicationMessage[]): string[] {
  const names = new Map<number, string>()
  const text = (tuple: readonly unknown[] | null): string => tuple === null ? '-'
    : `(${tuple.map((value) => value === null ? 'NULL'
      : Buffer.isBuffer(value) ? value.toString('utf8') : 'UNCHANGED').join(',')})`
  return messages.flatMap((message) => {
    switch (message.kind) {
      case 'relation': names.set(message.relid, message.name); return []
      case 'begin': case 'commit': return [message.kind]
      case 'insert': return [`insert ${names.get(message.relid)} ${text(message.newTuple)}`]
      case 'update': return [`update ${names.get(message.relid)} ${text(message.oldTuple)}`
        + `${message.oldIsKeyOnly ? 'key' : ''} ${text(message.newTuple)}`]
      case 'delete': return [`delete ${names.get(message.relid)} ${text(message.oldTuple)}`]
      case 'truncate':
        return [`truncate ${message.relids.map((relid) => names.get(relid)).sort().join(' ')}`]
      default: return []
    }
  })
}
