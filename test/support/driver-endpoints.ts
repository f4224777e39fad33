/**
 * DriverEndpoints: PostgreSQL and the gateway before it, reached in every way that a driver can,
 * so that one session is played to each and what the driver saw is compared.
 *
 * D1  `direct` is PostgreSQL itself. `certificate` is the gateway with TLS, its certificate
 *     verified, the client's shown, two processes, and every statement routed that can be.
 *     `password` is the instance that all tests share: in clear, SCRAM, routing as users have it.
 * D2  Each play finds the same schema with the same table `items`, mirrored.
 */
import { rmSync } from 'node:fs'
import { inject } from 'vitest'
import { selfSigned, signedBy, type Certificate } from './certificates.ts'
import { freePort } from './free-port.ts'
import { mirrored } from './mirror.ts'
import { Slipway, temporaryFolder } from './slipway.ts'
import { SqlClient, type Address } from './sql-client.ts'

export type Way = 'direct' | 'certificate' | 'password'

/** What a session is given; the Python and Java ones get it as JSON. */
export interface DriverEndpoint extends Address {
  readonly schema: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null
}

/** What a driver saw, by step; values as JSON has them or as the driver's language writes them. */
export type Transcript = Readonly<Record<string, unknown>>

/** Its aggregates are columnar under --route-cost-min 0, and by slipway.route. */
const ITEMS = `CREATE TABLE items (id int PRIMARY KEY, g int NOT NULL, big bigint,
    n numeric(12,2), f float8, ok bool, t text, d date, at timestamptz, u uuid, tags text[],
    marks int[], raw bytea);
  INSERT INTO items SELECT i, i % 7, i * 1000000007::bigint, i * 1.25, i / 8.0, i % 3 = 0,
    'text ' || i, date '2024-01-01' + i % 400, timestamptz '2024-01-01 00:00:00Z' + i * '1 min'
      ::interval, md5(i::text)::uuid, ARRAY['a' || i, 'b,"' || i, NULL], ARRAY[i, NULL, -i],
    decode(md5(i::text), 'hex') FROM generate_series(1, 5000) i;
  ANALYZE items`

export class DriverEndpoints implements AsyncDisposable {
  readonly schema: string
  readonly #slipway: Slipway
  readonly #folder: string
  readonly #directPort: number
  readonly #authority: Certificate
  readonly #client: Certificate

  private constructor(parts: { readonly schema: string; readonly slipway: Slipway
    readonly folder: string; readonly directPort: number; readonly authority: Certificate
    readonly client: Certificate }) {
    this.schema = parts.schema
    this.#slipway = parts.slipway
    this.#folder = parts.folder
    this.#directPort = parts.directPort
    this.#authority = parts.authority
    this.#client = parts.client
  }

  static async start(schema: string): Promise<DriverEndpoints> {
    const folder = temporaryFolder('drivers')
    const authority = selfSigned(folder, 'authority',
      ['subjectAltName=IP:127.0.0.1,DNS:localhost'])
    const client = signedBy(authority, folder, 'slipway')
    const directPort = await freePort()
    const slipway = await Slipway.start({ cwd: folder, args: ['--tls-cert', authority.certFile,
      '--tls-key', authority.keyFile, '--tls-client-ca', authority.certFile,
      '--gateway-processes', '2', '--route-cost-min', '0', '--engine-memory', '1GB',
      '--direct-port', String(directPort)] })
    return new DriverEndpoints({ schema, slipway, folder, directPort, authority, client })
  }

  /** Made anew: whoever was there before is gone. */
  async endpoint(way: Way): Promise<DriverEndpoint> {
    const address = way === 'password' ? inject('slipway').address : this.#slipway.address
    await using client = await this.#owner(way)
    await client.query(`DROP SCHEMA IF EXISTS ${this.schema} CASCADE;
      CREATE SCHEMA ${this.schema}; SET search_path = ${this.schema}; ${ITEMS}`)
    await mirrored(client, ['items'], { schema: this.schema })
    const { certFile, keyFile } = this.#client
    return { ...address, schema: this.schema,
      port: way === 'direct' ? this.#directPort : address.port,
      password: way === 'certificate' ? '' : address.password,
      tls: way === 'certificate'
        ? { ca: this.#authority.certFile, cert: certFile, key: keyFile } : null }
  }

  /** The gateway as somebody sees it who trusts another authority. */
  distrusted(): DriverEndpoint {
    const ca = selfSigned(this.#folder, 'another').certFile
    return { ...this.#slipway.address, password: '', schema: this.schema,
      tls: { ca, cert: this.#client.certFile, key: this.#client.keyFile } }
  }

  /** Statements of the gateway with certificates that columns answered so far. */
  columnarCount(): Promise<number> {
    return this.#slipway.metric('slipway_gateway_statement_seconds_count{route="columnar"}')
  }

  #owner(way: Way): Promise<SqlClient> {
    return way === 'password' ? SqlClient.connect(inject('slipway').address)
      : SqlClient.connect({ ...this.#slipway.address, port: this.#directPort })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#slipway[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
