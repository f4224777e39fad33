/**
 * WireClient: a client that sees every message, for tests of the protocol itself. Logs in by
 * trust; sends what it is told and collects what comes.
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { FrameAssembler } from '../../src/pgwire/frame-assembler.ts'
import {
  writeDescribeStatement, writeParse, writeQuery, writeSync,
} from '../../src/pgwire/frontend-message.ts'
import { parseReport, parseTextRow } from '../../src/pgwire/backend-message.ts'
import { BACKEND, FRONTEND } from '../../src/pgwire/message-code.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'

export interface Message { readonly code: string; readonly bytes: Buffer }

export class WireClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #frames = new FrameAssembler({ bytesMax: 1 << 30 })
  #messages: Message[] = []
  #wake: (() => void) | null = null
  isClosed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      for (const { code, bytes } of this.#frames.push(chunk)) {
        this.#messages.push({ code: String.fromCharCode(code), bytes: Buffer.from(bytes) })
      }
      this.#wake?.()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      this.#wake?.()
    })
  }

  static async connect(
    address: NetConnectOpts, parameters: Readonly<Record<string, string>>,
  ): Promise<WireClient> {
    const client = await WireClient.silent(address)
    client.send(startupPacket(parameters))
    await client.until('Z')
    return client
  }

  /** Connected, nothing sent. */
  static async silent(address: NetConnectOpts): Promise<WireClient> {
    const socket = connect(address)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    socket.setNoDelay(true)
    return new WireClient(socket)
  }

  send(bytes: Buffer): void { this.#socket.write(bytes) }

  /** One byte a packet, as far as the kernel lets us. */
  async trickle(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at++) {
      this.#socket.write(bytes.subarray(at, at + 1))
      if (at % 8 === 0) await new Promise((resolve) => { setImmediate(resolve) })
    }
  }

  end(): void { this.#socket.end() }
  pause(): void { this.#socket.pause() }
  resume(): void { this.#socket.resume() }

  /** Everything up to the `times`th message with this letter; rejects when the end comes first. */
  async until(code: string, times = 1): Promise<readonly Message[]> {
    let found = 0
    for (let at = 0; ;) {
      for (; at < this.#messages.length; at++) {
        if (this.#messages[at]?.code !== code || ++found < times) continue
        const rest = this.#messages.splice(at + 1)
        const told = this.#messages
        this.#messages = rest
        return told
      }
      if (this.isClosed) {
        throw new Error(`closed after ${this.#messages.map(({ code }) => code).join('')}`)
      }
      await new Promise<void>((resolve) => { this.#wake = resolve })
    }
  }

  /** What is left when the other side has closed. */
  async untilClosed(): Promise<readonly Message[]> {
    while (!this.isClosed) await new Promise<void>((resolve) => { this.#wake = resolve })
    return this.#messages.splice(0)
  }

  async query(sql: string): Promise<readonly Message[]> {
    this.send(queryMessage(sql))
    return this.until('Z')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
  }
}

export function startupPacket(
  parameters: Readonly<Record<string, string>>, protocol = 196608,
): Buffer {
  const out = new MessageWriter().beginUntyped().uint32(protocol)
  for (const [name, value] of Object.entries(parameters)) out.cstring(name).cstring(value)
  return out.byte(0).finish().take()
}

export function queryMessage(sql: string): Buffer {
  const out = new MessageWriter()
  writeQuery(out, sql)
  return out.take()
}

export function parseMessage(name: string, sql: string, types: readonly number[] = []): Buffer {
  const out = new MessageWriter()
  writeParse(out, { name, sql, parameterTypes: types })
  return out.take()
}

export function bindMessage(options: {
  readonly statement: string
  readonly portal?: string
  readonly values?: readonly (string | null)[]
  readonly resultFormats?: readonly number[]
}): Buffer {
  const { statement, portal = '', values = [], resultFormats = [] } = options
  const out = new MessageWriter().begin(FRONTEND.bind).cstring(portal).cstring(statement).int16(0)
  out.int16(values.length)
  for (const value of values) {
    if (value === null) out.int32(-1)
    else out.int32(Buffer.byteLength(value)).bytes(Buffer.from(value))
  }
  out.int16(resultFormats.length)
  for (const format of resultFormats) out.int16(format)
  return out.finish().take()
}

export function describeStatement(name: string): Buffer {
  const out = new MessageWriter()
  writeDescribeStatement(out, name)
  return out.take()
}

export function describePortal(name = ''): Buffer {
  return new MessageWriter().begin(FRONTEND.describe).byte(0x50).cstring(name).finish().take()
}

export function executeMessage(rowsMax = 0, portal = ''): Buffer {
  return new MessageWriter().begin(FRONTEND.execute).cstring(portal).int32(rowsMax).finish().take()
}

export function closeStatement(name: string): Buffer {
  return new MessageWriter().begin(FRONTEND.close).byte(0x53).cstring(name).finish().take()
}

export function syncMessage(): Buffer {
  const out = new MessageWriter()
  writeSync(out)
  return out.take()
}

export function flushMessage(): Buffer {
  return new MessageWriter().begin(FRONTEND.flush).finish().take()
}

export function letters(messages: readonly Message[]): string {
  return messages.map(({ code }) => code).join('')
}

/** Text values of the DataRows. */
export function rowsOf(messages: readonly Message[]): readonly (readonly (string | null)[])[] {
  return messages.filter(({ bytes }) => bytes[0] === BACKEND.dataRow)
    .map(({ bytes }) => parseTextRow(bytes))
}

/** SQLSTATE of the first ErrorResponse; null when there is none. */
export function sqlStateOf(messages: readonly Message[]): string | null {
  const error = messages.find(({ code }) => code === 'E')
  return error === undefined ? null : parseReport(error.bytes).get('C') ?? null
}

/** The transaction state that the last ReadyForQuery told. */
export function statusOf(messages: readonly Message[]): string {
  const ready = messages.findLast(({ code }) => code === 'Z')
  return String.fromCharCode(ready?.bytes[5] ?? 0)
}
