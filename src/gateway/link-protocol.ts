/**
 * LinkProtocol: what a gateway and the engine say to each other over the engine's socket.
 *
 * L1  Frames are PostgreSQL's: a letter, a length that counts itself, a body. Bodies are JSON
 *     but for `rows`, which are DataRow messages ready for the client, and `cancel`'s key.
 * L2  A connection carries one statement at a time; closing it cancels the statement.
 * L3  Exactly one final frame answers a request: declined, rejected, fallback, complete,
 *     failed, report or, for a cancel, cancelled. Only `failed` may come after `rows`.
 * L4  A frame is at most LINK_FRAME_BYTES_MAX long.
 */
import { parseLsn, formatLsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import type { SlipwayError } from '../base/errors.ts'
import { HEADER_BYTES } from '../pgwire/message-code.ts'
import { ProtocolViolation } from '../pgwire/message-reader.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'
import type { Frame } from '../pgwire/frame-assembler.ts'
import type { Probe } from '../query/probe.ts'

export const LINK_FRAME_BYTES_MAX = 64 * 1024 * 1024

export interface LinkRequest {
  readonly probe: Probe
  readonly resultFormats: readonly (0 | 1)[]
  /** 0: all. */
  readonly rowsMax: number
  /** PostgreSQL's own key of the session, in hexadecimal: a cancel names it. */
  readonly cancelKey: string
  /** EXPLAIN (ROUTE): a report instead of the rows. */
  readonly explain: boolean
}

export interface LinkError {
  readonly sqlState: string
  readonly message: string
  readonly detail: string | null
  readonly hint: string | null
}

export type ToEngine =
  | { readonly kind: 'run'; readonly request: LinkRequest }
  | { readonly kind: 'cancel'; readonly key: string }

export type FromEngine =
  /** The statement goes to the columnar engine; what follows may take its time. */
  | { readonly kind: 'accepted' }
  /** PostgreSQL shall answer. `transient`: may be decided otherwise in a moment. */
  | { readonly kind: 'declined'; readonly reason: string; readonly transient: boolean }
  /** Nobody shall answer: this is the error. */
  | { readonly kind: 'rejected'; readonly error: LinkError }
  /** The engine gave up before the first row: PostgreSQL shall answer. */
  | { readonly kind: 'fallback'; readonly reason: string }
  | { readonly kind: 'rows'; readonly bytes: Buffer }
  | { readonly kind: 'complete'; readonly rows: number }
  /** The engine gave up after the first row. */
  | { readonly kind: 'failed'; readonly error: LinkError }
  | { readonly kind: 'report'; readonly lines: readonly string[] }
  | { readonly kind: 'cancelled'; readonly found: boolean }

const CODES = {
  run: 0x72, cancel: 0x63,
  accepted: 0x41, declined: 0x44, rejected: 0x4a, fallback: 0x46, rows: 0x57, complete: 0x4b,
  failed: 0x58, report: 0x54, cancelled: 0x59,
} as const

type Kind = keyof typeof CODES

const KINDS: ReadonlyMap<number, Kind> = new Map(
  (Object.keys(CODES) as Kind[]).map((kind) => [CODES[kind], kind]))

export function encodeLinkFrame(message: ToEngine | FromEngine): Buffer {
  const body = message.kind === 'rows' ? message.bytes
    : Buffer.from(JSON.stringify(message.kind === 'run' ? flatRequest(message.request) : message))
  return new MessageWriter(HEADER_BYTES + body.length).begin(CODES[message.kind]).bytes(body)
    .finish().take()
}

/** Throws ProtocolViolation on a letter that is not the engine's. `bytes` is a view. */
export function decodeFromEngine(frame: Frame): FromEngine {
  const kind = KINDS.get(frame.code)
  if (kind === undefined || kind === 'run' || kind === 'cancel') {
    throw new ProtocolViolation('not a message of the engine')
  }
  const body = frame.bytes.subarray(HEADER_BYTES)
  return kind === 'rows' ? { kind, bytes: body } : parseJson<FromEngine>(body)
}

/** Throws ProtocolViolation on a letter that is not the gateway's. */
export function decodeToEngine(frame: Frame): ToEngine {
  const kind = KINDS.get(frame.code)
  const body = frame.bytes.subarray(HEADER_BYTES)
  switch (kind) {
    case 'cancel': return parseJson<ToEngine>(body)
    case 'run': return { kind, request: deepRequest(parseJson<FlatRequest>(body)) }
    default: throw new ProtocolViolation('not a message of a gateway')
  }
}

export function linkError(error: SlipwayError): LinkError {
  return {
    sqlState: error.entry.sqlState, message: error.message, detail: error.detail,
    hint: error.hint === '' ? null : error.hint,
  }
}

/** Both ends are of one build: the shape is trusted, the syntax is not. */
function parseJson<T>(body: Buffer): T {
  try {
    return JSON.parse(body.toString('utf8')) as T
  } catch {
    throw new ProtocolViolation('a link message is not JSON')
  }
}

/** What JSON has no form for, in one that it has. */
interface FlatRequest extends Omit<LinkRequest, 'probe'> {
  readonly probe: Omit<Probe, 'parameters' | 'insertLsn' | 'transactionTimeUs'> & {
    readonly parameters: readonly { readonly typeOid: Oid; readonly format: 0 | 1
      readonly value: string | null }[]
    readonly insertLsn: string
    readonly transactionTimeUs: string
  }
}

function flatRequest(request: LinkRequest): FlatRequest {
  const { probe } = request
  return { ...request, probe: {
    ...probe,
    parameters: probe.parameters.map((parameter) => ({
      ...parameter, value: parameter.value?.toString('base64') ?? null,
    })),
    insertLsn: formatLsn(probe.insertLsn),
    transactionTimeUs: probe.transactionTimeUs.toString(),
  } }
}

function deepRequest(request: FlatRequest): LinkRequest {
  const { probe } = request
  return { ...request, probe: {
    ...probe,
    parameters: probe.parameters.map((parameter) => ({
      ...parameter,
      value: parameter.value === null ? null : Buffer.from(parameter.value, 'base64'),
    })),
    insertLsn: parseLsn(probe.insertLsn),
    transactionTimeUs: BigInt(probe.transactionTimeUs),
  } }
}
