/**
 * LoginFilter: takes channel binding out of what a server offers over TLS.
 *
 * L1  The client's TLS, if it has any, ends here, so that a proof bound to it could not hold
 *     at the server: SCRAM-SHA-256-PLUS is not offered, everything else is passed on.
 *
 * Source: PostgreSQL documentation, "SASL Authentication"; RFC 5802, section 6.
 */
import { FrameAssembler } from '../pgwire/frame-assembler.ts'
import { BACKEND, HEADER_BYTES } from '../pgwire/message-code.ts'
import { MessageReader } from '../pgwire/message-reader.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'

const AUTHENTICATION_SASL = 10
const LOGIN_FRAME_BYTES_MAX = 64 * 1024

export class LoginFilter {
  readonly #frames = new FrameAssembler({ bytesMax: LOGIN_FRAME_BYTES_MAX })
  #isOver = false

  /** The mechanisms were offered: what follows needs no look. */
  get isOver(): boolean { return this.#isOver }

  /** What of the server's bytes goes to the client; memory of its own. */
  filter(chunk: Buffer): Buffer {
    const passed: Buffer[] = []
    for (const { code, bytes } of this.#frames.push(chunk)) {
      passed.push(isOffer(code, bytes) ? withoutBinding(bytes) : Buffer.from(bytes))
      if (code === BACKEND.authentication) this.#isOver = true
    }
    if (this.#isOver) passed.push(this.#frames.takeRest())
    return Buffer.concat(passed)
  }
}

function isOffer(code: number, bytes: Buffer): boolean {
  return code === BACKEND.authentication && bytes.length >= HEADER_BYTES + 4
    && bytes.readInt32BE(HEADER_BYTES) === AUTHENTICATION_SASL
}

function withoutBinding(offer: Buffer): Buffer {
  const reader = new MessageReader(offer, HEADER_BYTES + 4)
  const out = new MessageWriter(offer.length).begin(BACKEND.authentication)
    .int32(AUTHENTICATION_SASL)
  for (;;) {
    const mechanism = reader.cstring()
    if (mechanism === '') return out.byte(0).finish().take()
    if (!mechanism.endsWith('-PLUS')) out.cstring(mechanism)
  }
}
