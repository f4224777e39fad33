/**
 * Startup packets: what a client sends before the first typed message.
 *
 * S1  A length below 8 or above STARTUP_BYTES_MAX (behind its own four bytes) is refused, as
 *     PostgreSQL refuses it.
 * S2  Parameters are read for our own use only; the packet itself is passed on as it came.
 *
 * Source: PostgreSQL documentation, "Message Formats"; MAX_STARTUP_PACKET_LENGTH in
 * src/include/libpq/pqcomm.h.
 */
import { MessageReader, ProtocolViolation } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'

export const STARTUP_BYTES_MAX = 10_000

const CANCEL = 80877102
const SSL = 80877103
const GSSENC = 80877104

export type StartupPacket =
  | { readonly kind: 'ssl' | 'gssenc' }
  /** `key`: process id and secret as they came; 8 bytes, longer from protocol 3.2 on. */
  | { readonly kind: 'cancel'; readonly key: Buffer }
  | { readonly kind: 'startup'; readonly protocol: number
      readonly parameters: ReadonlyMap<string, string> }

/** Bytes of the packet that begins the buffer; null while its length is not there yet. */
export function startupLength(buffer: Buffer): number | null {
  if (buffer.length < 4) return null
  const length = buffer.readInt32BE(0)
  if (length < 8 || length - 4 > STARTUP_BYTES_MAX) {
    throw new ProtocolViolation('invalid length of startup packet')
  }
  return length
}

/** Reads one whole packet. Parameters without an end are PostgreSQL's to refuse. */
export function parseStartupPacket(packet: Buffer): StartupPacket {
  const reader = new MessageReader(packet, 4)
  const protocol = reader.uint32()
  switch (protocol) {
    case SSL: return { kind: 'ssl' }
    case GSSENC: return { kind: 'gssenc' }
    case CANCEL: return { kind: 'cancel', key: Buffer.from(reader.bytes(reader.remaining)) }
    default: return { kind: 'startup', protocol, parameters: readParameters(reader, protocol) }
  }
}

/** Of another major version nothing is known: PostgreSQL answers it. */
function readParameters(
  reader: MessageReader, protocol: number,
): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  if (protocol >>> 16 !== 3) return parameters
  try {
    while (reader.remaining > 1) parameters.set(reader.cstring(), reader.cstring())
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error
  }
  return parameters
}

export function sslRequest(): Buffer {
  return new MessageWriter(8).beginUntyped().uint32(SSL).finish().take()
}

export function cancelRequest(key: Buffer): Buffer {
  return new MessageWriter(8 + key.length).beginUntyped().uint32(CANCEL).bytes(key).finish().take()
}
