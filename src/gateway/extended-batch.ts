/**
 * ExtendedBatch: the one shape of an extended-protocol batch that may be answered elsewhere.
 *
 *   [Parse] [Describe statement] Bind [Describe portal] Execute Sync
 *
 * G1  Everything else is `other` and goes to PostgreSQL whole: several executes, named
 *     portals, Flush, Close.
 * G2  Looks at message heads until the shape is complete, and only then into bodies.
 */
import {
  parseBind, parseExecute, parseParse, parseTargeted, type BindMessage, type ParseMessage,
} from '../pgwire/frontend-message.ts'
import { FRONTEND, HEADER_BYTES } from '../pgwire/message-code.ts'
import { ProtocolViolation } from '../pgwire/message-reader.ts'

export interface ExtendedBatch {
  /** The whole Parse message and its fields; null when the statement was prepared before. */
  readonly parse: { readonly message: ParseMessage; readonly bytes: Buffer } | null
  readonly bind: BindMessage
  readonly describesStatement: boolean
  readonly describesPortal: boolean
  /** After so many rows the portal is suspended; 0: never. */
  readonly rowsMax: number
  /** Views of the buffer that was read: all messages, and those after Parse. */
  readonly bytes: Buffer
  readonly bytesAfterParse: Buffer
}

export type BatchReading =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'other' }
  | { readonly kind: 'batch'; readonly batch: ExtendedBatch }

/** Which message may stand at which place; a place may be left out unless it is needed. */
const ORDER = [
  { code: FRONTEND.parse, needed: false }, { code: FRONTEND.describe, needed: false },
  { code: FRONTEND.bind, needed: true }, { code: FRONTEND.describe, needed: false },
  { code: FRONTEND.execute, needed: true }, { code: FRONTEND.sync, needed: true },
] as const

/** `buffer[start…]` begins with a Parse or Bind. `bytesMax`: longer ones are `other`. */
export function readExtendedBatch(buffer: Buffer, start: number, bytesMax: number): BatchReading {
  const found: (Buffer | null)[] = []
  let at = start
  for (const place of ORDER) {
    if (buffer.length - at < HEADER_BYTES) {
      return at < buffer.length && !mayFollow(buffer[at] ?? 0, found.length)
        ? OTHER : INCOMPLETE
    }
    if (buffer[at] !== place.code) {
      if (place.needed) return OTHER
      found.push(null)
      continue
    }
    const length = buffer.readInt32BE(at + 1) + 1
    if (length < HEADER_BYTES || at - start + length > bytesMax) return OTHER
    if (at + length > buffer.length) return INCOMPLETE
    found.push(buffer.subarray(at, at + length))
    at += length
  }
  try {
    return readBodies(found, buffer.subarray(start, at))
  } catch (error) {
    if (error instanceof ProtocolViolation) return OTHER
    throw error
  }
}

const OTHER: BatchReading = { kind: 'other' }
const INCOMPLETE: BatchReading = { kind: 'incomplete' }

/** A message of this code may stand at place `from` or, where those are optional, later. */
function mayFollow(code: number, from: number): boolean {
  for (const place of ORDER.slice(from)) {
    if (place.code === code) return true
    if (place.needed) return false
  }
  return false
}

function readBodies(found: readonly (Buffer | null)[], bytes: Buffer): BatchReading {
  const [parse = null, early = null, bind, late = null, execute] = found
  if (bind === null || bind === undefined || execute === null || execute === undefined) return OTHER
  const bound = parseBind(bind)
  const { portal, rowsMax } = parseExecute(execute)
  if (bound.portal !== '' || portal !== '') return OTHER
  if (early !== null && !targets(early, 'statement', bound.statement)) return OTHER
  if (late !== null && !targets(late, 'portal', '')) return OTHER
  const parsed = parse === null ? null : { message: parseParse(parse), bytes: parse }
  if (parsed !== null && parsed.message.name !== bound.statement) return OTHER
  return { kind: 'batch', batch: {
    parse: parsed, bind: bound, describesStatement: early !== null,
    describesPortal: late !== null, rowsMax: Math.max(rowsMax, 0), bytes,
    bytesAfterParse: bytes.subarray(parse?.length ?? 0),
  } }
}

function targets(message: Buffer, target: 'statement' | 'portal', name: string): boolean {
  const told = parseTargeted(message)
  return told.target === target && told.name === name
}
