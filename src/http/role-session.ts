/**
 * RoleSession: a PostgreSQL connection as the role of one request.
 *
 * U1  PostgreSQL checks the password: a server that lets the role in without asking for one
 *     is refused, so that a `trust` line cannot open the HTTP port to everybody.
 * U2  The settings that shape values' text are fixed, so that bodies do not depend on them.
 */
import { connect, type Socket } from 'node:net'
import type { EventEmitter } from 'node:events'
import pg, { type Connection, type Submittable } from 'pg'
import { Deferred } from '../base/deferred.ts'
import { SlipwayError } from '../base/errors.ts'
import { clientConfig, socketPath, type PostgresTarget } from '../oltp/target.ts'
import { typeName } from '../query/pg-types.ts'
import { PortalRows } from './portal-rows.ts'
import type { ResultColumn, TextRow } from '../query/text-rows.ts'
import type { BasicCredentials } from './sql-request.ts'

export interface RoleTarget {
  readonly postgres: PostgresTarget
  readonly database: string
}

const STATEMENT = 'slipway_http'
const SETTINGS = '-c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex ' +
  '-c extra_float_digits=1'
const CANCEL_REQUEST_CODE = 80_877_102
const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOENT', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND',
  'ECONNRESET', 'EPIPE'])
const AUTH_REQUESTS = ['authenticationSASL', 'authenticationMD5Password',
  'authenticationCleartextPassword']

export class RoleSession implements AsyncDisposable {
  readonly client: pg.Client
  readonly #target: RoleTarget

  private constructor(client: pg.Client, target: RoleTarget) {
    this.client = client
    this.#target = target
  }

  /** Throws 'postgres-unreachable', 'postgres-unfit' or PostgreSQL's own refusal. */
  static async open(target: RoleTarget, credentials: BasicCredentials): Promise<RoleSession> {
    const client = new pg.Client({
      ...clientConfig(target.postgres, {
        ...credentials, database: target.database, applicationName: 'slipway-http',
      }),
      options: SETTINGS,
    })
    // A lost connection fails the statement that runs; without one there is nothing to say.
    client.on('error', () => {})
    let asked = false
    const { connection } = client as unknown as { readonly connection: EventEmitter }
    for (const name of AUTH_REQUESTS) connection.on(name, () => { asked = true })
    try {
      await client.connect()
    } catch (error) {
      throw connectError(error)
    }
    if (!asked) {
      await client.end()
      throw new SlipwayError('postgres-unfit',
        'PostgreSQL let the role in without asking for its password', {
          hint: 'Use scram-sha-256 instead of trust or peer in pg_hba.conf.',
        })
    }
    return new RoleSession(client, target)
  }

  /** Prepares the statement and says what it returns; none for a statement without rows. */
  async prepare(sql: string): Promise<readonly ResultColumn[]> {
    const described = new Description(sql)
    this.client.query(described)
    const fields = await described.fields
    const names = await this.#typeNames(fields.map((field) => field.dataTypeID))
    return fields.map((field) => ({
      name: field.name, typeOid: field.dataTypeID, typmod: field.dataTypeModifier,
      typeName: names.get(field.dataTypeID) ?? String(field.dataTypeID),
    }))
  }

  /** Runs what `prepare` prepared. */
  execute(params: readonly (string | null)[]): AsyncGenerator<readonly TextRow[]> {
    return this.client.query(new PortalRows(STATEMENT, params)).pages()
  }

  /** Asks PostgreSQL to stop what runs; answers at once. */
  cancel(): void {
    const { processID, secretKey } = this.client as unknown as {
      readonly processID: number | null
      readonly secretKey: number | null
    }
    if (processID === null || secretKey === null) return
    const request = Buffer.alloc(16)
    request.writeInt32BE(16, 0)
    request.writeInt32BE(CANCEL_REQUEST_CODE, 4)
    request.writeInt32BE(processID, 8)
    request.writeInt32BE(secretKey, 12)
    const socket = this.#dial()
    // The statement ends by itself if this does not arrive.
    socket.on('error', () => {})
    socket.on('connect', () => { socket.end(request) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.end().catch(() => {})
  }

  /** The server does not ask for TLS before a CancelRequest. */
  #dial(): Socket {
    const { postgres } = this.#target
    return postgres.kind === 'socket'
      ? connect(socketPath(postgres))
      : connect(postgres.port, postgres.host)
  }

  async #typeNames(typeOids: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const names = new Map<number, string>()
    const unknown: number[] = []
    for (const typeOid of typeOids) {
      const name = typeName(typeOid)
      if (name === null) unknown.push(typeOid)
      else names.set(typeOid, name)
    }
    if (unknown.length === 0) return names
    const { rows } = await this.client.query<[number, string]>({
      text: 'select t, pg_catalog.format_type(t, null) from unnest($1::oid[]) t',
      values: [unknown], rowMode: 'array',
    })
    for (const [typeOid, name] of rows) names.set(Number(typeOid), name)
    return names
  }
}

interface WireField {
  readonly name: string
  readonly dataTypeID: number
  readonly dataTypeModifier: number
}

/** Parse and Describe of the session's one named statement. */
class Description implements Submittable {
  readonly #sql: string
  readonly #fields = new Deferred<readonly WireField[]>()
  #seen: readonly WireField[] = []

  constructor(sql: string) {
    this.#sql = sql
  }

  get fields(): Promise<readonly WireField[]> {
    return this.#fields.promise
  }

  submit(connection: Connection): void {
    const wire = connection as unknown as {
      parse(query: { readonly text: string; readonly name: string }): void
      describe(what: { readonly type: 'S'; readonly name: string }): void
      sync(): void
    }
    wire.parse({ text: this.#sql, name: STATEMENT })
    wire.describe({ type: 'S', name: STATEMENT })
    wire.sync()
  }

  handleRowDescription(message: { readonly fields: readonly WireField[] }): void {
    this.#seen = message.fields
  }

  handleError(error: Error): void {
    this.#fields.reject(error)
  }

  handleReadyForQuery(): void {
    this.#fields.resolve(this.#seen)
  }
}

function connectError(error: unknown): unknown {
  if (error instanceof pg.DatabaseError) {
    const refused = error.code?.startsWith('28') === true
    return refused
      ? new SlipwayError('auth-failed', 'PostgreSQL refused the role or its password',
        { cause: error })
      : error
  }
  const { code } = error as NodeJS.ErrnoException
  if (code !== undefined && UNREACHABLE.has(code)) {
    return new SlipwayError('postgres-unreachable', 'PostgreSQL does not answer', { cause: error })
  }
  return error
}
