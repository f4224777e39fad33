/**
 * TrustedSlipway: an instance of a test's own whose role `wire`, a superuser, PostgreSQL trusts,
 * so that WireClient can log in through the gateway and to the server's own socket alike.
 */
import type { NetConnectOpts } from 'node:net'
import { join } from 'node:path'
import { WireClient } from '../gateway/wire-client.ts'
import { serverSocket } from './server-socket.ts'
import { Slipway } from './slipway.ts'
import type { SqlClient } from './sql-client.ts'

export class TrustedSlipway implements AsyncDisposable {
  readonly slipway: Slipway
  readonly owner: SqlClient
  readonly through: NetConnectOpts
  readonly direct: NetConnectOpts

  private constructor(slipway: Slipway, owner: SqlClient) {
    this.slipway = slipway
    this.owner = owner
    const { host, port } = slipway.address
    this.through = { host, port }
    const { directory, port: number } = serverSocket(join(slipway.dataDir, 'postgres'))
    this.direct = { path: join(directory, `.s.PGSQL.${number}`) }
  }

  static async start(args: readonly string[]): Promise<TrustedSlipway> {
    const slipway = await Slipway.start({ args })
    const owner = await slipway.connect()
    await trust(owner)
    return new TrustedSlipway(slipway, owner)
  }

  get login(): Readonly<Record<string, string>> {
    return { user: 'wire', database: this.slipway.address.database }
  }

  connect(way: 'through' | 'direct', parameters: Readonly<Record<string, string>> = {}):
  Promise<WireClient> {
    return WireClient.connect(this[way], { ...this.login, ...parameters })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owner.end()
    await this.slipway[Symbol.asyncDispose]()
  }
}

async function trust(owner: SqlClient): Promise<void> {
  await owner.query('CREATE ROLE wire SUPERUSER LOGIN')
  const file = await owner.value('SHOW hba_file') ?? ''
  // Read before it is written: COPY empties the file first.
  const lines = await owner.value(`SELECT string_agg(line, chr(10) ORDER BY n) FROM
    regexp_split_to_table(pg_read_file('${file}'), chr(10)) WITH ORDINALITY AS f (line, n)
    WHERE line <> ''`) ?? ''
  await owner.query(`COPY (SELECT unnest(ARRAY['local all wire trust', ${lines.split('\n')
    .map((line) => `'${line}'`).join(', ')}])) TO '${file}'`)
  await owner.query('SELECT pg_reload_conf()')
}
