/**
 * UnnamedPortal: the client's unnamed portal, while a diverted answer stands for it.
 *
 * P1  Inside a block PostgreSQL keeps the portal that it has run to its end: executed again it
 *     has no more rows, described again it has the same columns. After a diverted answer the
 *     server has none, so it is made and run to its end before a message that needs it.
 * P2  Whether one does is known before the first message of its batch is passed on, up to the
 *     Sync: later the server is busy with what came before.
 */
import {
  parseExecute, parseTargeted, writeCloseStatement, writeParse, writeSync, writeUnnamedPortal,
  type BindMessage,
} from '../pgwire/frontend-message.ts'
import { FRONTEND, HEADER_BYTES } from '../pgwire/message-code.ts'
import { ProtocolViolation } from '../pgwire/message-reader.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'
import { PROBE_STATEMENT } from './probe-exchange.ts'
import type { PreparedStatement } from './prepared-statements.ts'

/** What a batch does with the portal first. */
export type PortalUse = 'needs' | 'drops' | 'leaves' | 'unknown'

/** Of a batch that is looked through; longer ones are not. */
const BATCH_BYTES_MAX = 64 * 1024

type PortalStatement = Pick<PreparedStatement, 'sql' | 'parameterTypes'>

export class UnnamedPortal {
  #gone: { readonly statement: PortalStatement; readonly bind: BindMessage } | null = null

  /** The server lacks it. */
  get isGone(): boolean { return this.#gone !== null }

  stoodInFor(statement: PortalStatement, bind: BindMessage): void {
    this.#gone = { statement, bind }
  }

  forget(): void { this.#gone = null }

  /** Up to a Sync, what makes it again; the client may have closed its statement since. */
  take(): Buffer {
    const out = new MessageWriter()
    if (this.#gone !== null) {
      const { statement, bind } = this.#gone
      writeCloseStatement(out, PROBE_STATEMENT)
      writeParse(out, { ...statement, name: PROBE_STATEMENT })
      writeUnnamedPortal(out, { ...bind, statement: PROBE_STATEMENT })
      writeCloseStatement(out, PROBE_STATEMENT)
    }
    writeSync(out)
    this.#gone = null
    return out.take()
  }

  /** `chunk[at…]` begins with a message. */
  use(chunk: Buffer, at: number): PortalUse {
    let next = at
    let last: number | undefined
    while (chunk.length - next >= HEADER_BYTES) {
      const end = next + chunk.readInt32BE(next + 1) + 1
      if (end < next + HEADER_BYTES || end - at > BATCH_BYTES_MAX) return 'leaves'
      if (end > chunk.length) return 'unknown'
      const use = useOf(chunk.subarray(next, end))
      if (use !== null) return use
      last = chunk[next]
      next = end
    }
    // The client waits for an answer to what it has sent.
    return next === chunk.length && last === FRONTEND.flush ? 'leaves' : 'unknown'
  }
}

/** Of one whole message; null: it goes on. */
function useOf(message: Buffer): PortalUse | null {
  try {
    switch (message[0]) {
      case FRONTEND.query: return 'drops'
      case FRONTEND.bind: return message[HEADER_BYTES] === 0 ? 'drops' : null
      case FRONTEND.execute: return parseExecute(message).portal === '' ? 'needs' : null
      case FRONTEND.describe: case FRONTEND.close: {
        const { target, name } = parseTargeted(message)
        if (target === 'statement' || name !== '') return null
        return message[0] === FRONTEND.close ? 'drops' : 'needs'
      }
      case FRONTEND.sync: case FRONTEND.terminate: case FRONTEND.functionCall: return 'leaves'
      default: return null
    }
  } catch (error) {
    // PostgreSQL refuses it, and with it the block.
    if (error instanceof ProtocolViolation) return 'leaves'
    throw error
  }
}
