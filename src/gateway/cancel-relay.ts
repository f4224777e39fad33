/**
 * CancelRelay: brings a CancelRequest to whoever runs the statement.
 *
 * C1  A statement in the engine is stopped there and PostgreSQL does not hear of it: its
 *     session is idle there, and a late signal would hit the next statement.
 * C2  Otherwise PostgreSQL gets the request with the key as the client sent it, and the
 *     client's connection ends only after PostgreSQL's has: the signal is sent by then.
 * C3  Sessions of other gateway processes are reached through the engine, which knows the key.
 */
import type { Socket } from 'node:net'
import type { PostgresTarget } from '../oltp/target.ts'
import { cancelRequest } from '../pgwire/startup-packet.ts'
import type { CancelKeys } from './cancel-keys.ts'
import type { EngineLink } from './engine-link.ts'
import { dialPostgres } from './postgres-dialer.ts'

const POSTGRES_MS_MAX = 10_000

export class CancelRelay {
  readonly #keys: CancelKeys
  readonly #link: EngineLink
  readonly #target: PostgresTarget

  constructor(options: {
    readonly keys: CancelKeys
    readonly link: EngineLink
    readonly target: PostgresTarget
  }) {
    this.#keys = options.keys
    this.#link = options.link
    this.#target = options.target
  }

  /** Never rejects: the protocol has no answer to a cancel. Ends `socket`. */
  async relay(key: Buffer, socket: Socket): Promise<void> {
    try {
      await this.#send(key)
    } finally {
      socket.destroySoon()
    }
  }

  async #send(key: Buffer): Promise<void> {
    const name = key.toString('hex')
    const session = this.#keys.find(name)
    if (session !== null) {
      if (session.cancelDiverted()) return
    } else if (await this.#link.cancel(name)) {
      return
    }
    const dialled = await dialPostgres(this.#target, null)
    if (dialled.kind === 'unreachable') return
    const { channel } = dialled
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => channel.destroy(), POSTGRES_MS_MAX)
      channel.handler = {
        onBytes: () => 'taken', onEnd: () => channel.destroy(), onDrain: () => {},
        onClose: () => { clearTimeout(timer); resolve() },
      }
      channel.resume()
      channel.write(cancelRequest(key))
    })
  }
}
