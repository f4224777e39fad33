/**
 * ScratchGateway: a gateway of a test's own before a scratch PostgreSQL, with the engine of
 * postgres-engine.ts behind it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import type { NetConnectOpts } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../src/base/logger.ts'
import { GatewayServer, type CertificateLogin, type SocketIo }
  from '../../src/gateway/gateway-server.ts'
import { LinkServer } from '../../src/gateway/link-server.ts'
import type { TlsFiles } from '../../src/gateway/tls-acceptor.ts'
import { socketPath } from '../../src/oltp/target.ts'
import {
  SCRATCH_DATABASE, startScratchPostgres, type ScratchPostgres,
} from '../support/scratch-postgres.ts'
import { poll } from '../support/poll.ts'
import { PostgresEngine } from './postgres-engine.ts'
import { WireClient } from './wire-client.ts'

/** A superuser whom PostgreSQL trusts. */
export const LOGIN = { user: 'wire', database: SCRATCH_DATABASE } as const

export const NO_CERTIFICATES: CertificateLogin = { identLines: [], identMap: null, target: null }

export class ScratchGateway implements AsyncDisposable {
  readonly postgres: ScratchPostgres
  readonly engine: PostgresEngine
  readonly gateway: GatewayServer
  readonly port: number
  readonly linkPath: string
  readonly folder: string
  #link: LinkServer | null = null

  private constructor(parts: Pick<ScratchGateway,
    'postgres' | 'engine' | 'gateway' | 'port' | 'linkPath' | 'folder'>) {
    this.postgres = parts.postgres
    this.engine = parts.engine
    this.gateway = parts.gateway
    this.port = parts.port
    this.linkPath = parts.linkPath
    this.folder = parts.folder
  }

  static async start(options: { readonly tls?: TlsFiles
    readonly socketIo?: SocketIo } = {}): Promise<ScratchGateway> {
    const postgres = await startScratchPostgres()
    await trustWireRole(postgres)
    const folder = mkdtempSync(join(tmpdir(), 'slipway-gw-'))
    const linkPath = join(folder, 'engine.sock')
    const gateway = new GatewayServer({ host: '127.0.0.1', port: 0, target: postgres.target,
      linkPath, tls: options.tls ?? null, certificates: NO_CERTIFICATES,
      slowStatementMs: null, socketIo: options.socketIo ?? 'auto', logger: silentLogger })
    const port = await gateway.listen()
    const scratch = new ScratchGateway({ postgres, gateway, port, linkPath, folder,
      engine: new PostgresEngine(directAddress(postgres), LOGIN) })
    await scratch.startEngine()
    return scratch
  }

  get direct(): NetConnectOpts { return directAddress(this.postgres) }
  get address(): NetConnectOpts { return { host: '127.0.0.1', port: this.port } }

  connect(): Promise<WireClient> { return WireClient.connect(this.address, LOGIN) }

  /** Resolves when the gateway has noticed. */
  async restartEngine(): Promise<void> {
    await this.startEngine()
    await using client = await this.connect()
    await poll('a statement is diverted again', 5_000, async () => {
      const before = this.engine.probes.length
      await client.query('SELECT count(*) FROM pg_class')
      return this.engine.probes.length > before ? true : null
    })
    this.engine.answered.length = 0
  }

  async startEngine(): Promise<void> {
    this.#link = await LinkServer.listen({ path: this.linkPath, queryService: this.engine,
      logger: silentLogger })
  }

  async stopEngine(): Promise<void> {
    await this.#link?.[Symbol.asyncDispose]()
    this.#link = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.stop(0)
    await this.stopEngine()
    await this.postgres[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function directAddress({ target }: ScratchPostgres): NetConnectOpts {
  if (target.kind !== 'socket') throw new Error('a scratch PostgreSQL listens on a socket')
  return { path: socketPath(target) }
}

async function trustWireRole({ client }: ScratchPostgres): Promise<void> {
  await client.query('CREATE ROLE wire SUPERUSER LOGIN')
  const { rows } = await client.query<{ setting: string }>(
    `SELECT setting FROM pg_settings WHERE name = 'hba_file'`)
  const lines = `unnest(ARRAY['local all wire trust', 'local all all scram-sha-256'])`
  await client.query(`COPY (SELECT ${lines}) TO '${rows[0]?.setting ?? ''}'`)
  await client.query('SELECT pg_reload_conf()')
}
