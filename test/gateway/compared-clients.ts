/** Two clients, through the gateway and direct, that must see the same. */
import { expect } from 'vitest'
import { LOGIN, type ScratchGateway } from './scratch-gateway.ts'
import {
  bindMessage, describePortal, executeMessage, letters, parseMessage, syncMessage, WireClient,
  type Message,
} from './wire-client.ts'

export const COUNT = 'SELECT count(*) AS n, max(v) FROM items WHERE id > $1'
export const GROUPS =
  'SELECT g, count(*), sum(id) * 1.5 AS s, min(v) FROM items GROUP BY g ORDER BY g'

/** The table that they read. */
export const ITEMS = `CREATE TABLE items (id int PRIMARY KEY, g int, v text);
  INSERT INTO items SELECT i, i % 5, 'v' || i FROM generate_series(1, 100) i`

export class ComparedClients implements AsyncDisposable {
  readonly through: WireClient
  readonly direct: WireClient

  private constructor(through: WireClient, direct: WireClient) {
    this.through = through
    this.direct = direct
  }

  static async connect(scratch: ScratchGateway): Promise<ComparedClients> {
    return new ComparedClients(await scratch.connect(),
      await WireClient.connect(scratch.direct, LOGIN))
  }

  /** Sends the same to both and expects the same messages, up to so many ReadyForQuery. */
  async both(bytes: Buffer, syncs = 1): Promise<readonly Message[]> {
    this.through.send(bytes)
    this.direct.send(bytes)
    return this.same(syncs)
  }

  async same(syncs = 1, code = 'Z'): Promise<readonly Message[]> {
    const [told, expected] = await Promise.all([
      this.through.until(code, syncs), this.direct.until(code, syncs)])
    expect(letters(told)).toBe(letters(expected))
    expect(told.map(({ bytes }) => bytes.toString('latin1')))
      .toEqual(expected.map(({ bytes }) => bytes.toString('latin1')))
    return told
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.through[Symbol.asyncDispose]()
    await this.direct[Symbol.asyncDispose]()
  }
}

export function oneShot(sql: string, resultFormats: readonly number[] = []): Buffer {
  return Buffer.concat([parseMessage('', sql), bindMessage({ statement: '', resultFormats }),
    describePortal(), executeMessage(), syncMessage()])
}
