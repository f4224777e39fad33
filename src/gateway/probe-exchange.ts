/**
 * ProbeExchange: one probe on the client's own connection, pipelined in one round trip.
 *
 * X1  Between `request` and ReadyForQuery every message of the server is the exchange's; what
 *     the client would have got at any time (notifications, parameter changes) goes to
 *     `onAside` at once; what comes behind a refusal stays behind it.
 * X2  The client's named statements are not touched; its unnamed one is gone afterwards, unless
 *     the target says that it must stay: then a statement named PROBE_STATEMENT serves, which is
 *     closed at the end, or by the next probe where PostgreSQL refused this one.
 * X3  The answer says how far the client's own Parse came, so that nothing is sent twice.
 * X4  Unless the target waits for locks, a lock that is not free is a refusal: a statement that
 *     would wait does so in PostgreSQL, with what it has seen by then.
 *
 * Source: facts/resolved-tree.md, "One round trip".
 */
import type { Oid } from '../base/oid.ts'
import {
  parseParameterDescription, parseReport, parseRowDescription, parseTextRow,
  type FieldDescription,
} from '../pgwire/backend-message.ts'
import type { Frame } from '../pgwire/frame-assembler.ts'
import {
  writeCloseStatement, writeCloseUnnamedPortal, writeDescribeStatement, writeParse, writeSync,
  writeUnnamedPortal,
} from '../pgwire/frontend-message.ts'
import {
  BACKEND, HEADER_BYTES, transactionStatus, type TransactionStatus,
} from '../pgwire/message-code.ts'
import { MessageWriter } from '../pgwire/message-writer.ts'
import { parseProbe, ProbeMismatch, TREE_NOTICE, type Probe } from '../query/probe.ts'
import {
  EXPLAIN_PREFIX, PROBE_BEGIN_SQL, PROBE_BEGIN_UNWAITING_SQL, PROBE_END_SQL, PROBE_QUIET_SQL,
} from '../query/probe-sql.ts'
import type { RouterParameter } from '../router/plan.ts'

export interface ProbeTarget {
  readonly sql: Buffer
  readonly parameterTypes: readonly Oid[]
  readonly parameterFormats: readonly number[]
  readonly values: readonly (Buffer | null)[]
  /** The client's own Parse of a named statement, which must reach the server: whole. */
  readonly clientParse: Buffer | null
  /** A named statement that the client executes: must still stand, with the same result. */
  readonly statement: string | null
  readonly keepsUnnamed: boolean
  readonly waitsForLocks: boolean
}

/** A name that a client will hardly give. */
export const PROBE_STATEMENT = 'slipway probe'

export type ProbeStep = 'client-parse' | 'begin' | 'candidate' | 'check' | 'quiet' | 'end'
  | 'explain' | 'close'

export type ProbeOutcome = {
  readonly status: TransactionStatus
  readonly clientParseDone: boolean
} & (
  | { readonly kind: 'probed'; readonly probe: Probe
      readonly rowDescription: Buffer; readonly parameterDescription: Buffer
      /** What planning had to say to the client. */
      readonly notices: readonly Buffer[] }
  /** PostgreSQL refused: `error` is its whole message. */
  | { readonly kind: 'refused'; readonly step: ProbeStep; readonly error: Buffer
      readonly sqlState: string
      /** What the client would have got behind the error. */
      readonly late: readonly Buffer[]
      readonly rowDescription: Buffer | null; readonly parameterDescription: Buffer | null }
  /** It answered, but not as a SELECT is answered. */
  | { readonly kind: 'mismatch' }
)

export class ProbeExchange {
  readonly request: Buffer
  readonly #target: ProbeTarget
  readonly #onAside: (message: Buffer) => void
  readonly #steps: readonly ProbeStep[]
  #step = 0
  #tree: string | null = null
  #rowDescription: Buffer | null = null
  #parameterDescription: Buffer | null = null
  #stateRow: readonly (string | null)[] | null = null
  #explain: string | null = null
  #notices: Buffer[] = []
  #late: Buffer[] = []
  #refusal: { readonly step: ProbeStep; readonly error: Buffer } | null = null

  constructor(target: ProbeTarget, onAside: (message: Buffer) => void) {
    this.#target = target
    this.#onAside = onAside
    this.#steps = [
      ...(target.clientParse === null ? [] : ['client-parse'] as const),
      'begin', 'candidate', ...(target.statement === null ? [] : ['check'] as const),
      'quiet', 'end', 'explain', 'close',
    ]
    this.request = this.#pipeline()
  }

  /** The last error of the server, when it ended the connection instead of answering. */
  get lastError(): Buffer | null { return this.#refusal?.error ?? null }

  /** Null until ReadyForQuery. Throws ProtocolViolation when the server talks nonsense. */
  onFrame(frame: Frame): ProbeOutcome | null {
    if (frame.code === BACKEND.readyForQuery) {
      return this.#outcome(transactionStatus(frame.bytes[HEADER_BYTES]))
    }
    this.#onAnswer(frame)
    return null
  }

  #pipeline(): Buffer {
    const { sql, parameterTypes, parameterFormats, values, clientParse, statement } = this.#target
    const out = new MessageWriter(4096 + 2 * sql.length)
    const name = this.#target.keepsUnnamed ? PROBE_STATEMENT : ''
    const parse = (text: Buffer | string, types: readonly Oid[]): void => {
      if (name !== '') writeCloseStatement(out, name)
      writeParse(out, { name, sql: text, parameterTypes: types })
    }
    const own = (text: string): void => {
      parse(text, [])
      writeUnnamedPortal(out, { statement: name, parameterFormats: [], values: [] })
    }
    if (clientParse !== null) out.bytes(clientParse)
    own(this.#target.waitsForLocks ? PROBE_BEGIN_SQL : PROBE_BEGIN_UNWAITING_SQL)
    parse(sql, parameterTypes)
    writeDescribeStatement(out, name)
    if (statement !== null) writeDescribeStatement(out, statement)
    own(PROBE_QUIET_SQL)
    own(PROBE_END_SQL)
    parse(Buffer.concat([EXPLAIN_BYTES, sql]), parameterTypes)
    writeUnnamedPortal(out, { statement: name, parameterFormats, values })
    writeCloseStatement(out, name)
    // Inside a block it would outlive the Sync.
    writeCloseUnnamedPortal(out)
    writeSync(out)
    return out.take()
  }

  #onAnswer({ code, bytes }: Frame): void {
    const step = this.#steps[this.#step] ?? 'close'
    switch (code) {
      case BACKEND.notification: case BACKEND.parameterStatus:
        if (this.#refusal === null) this.#onAside(Buffer.from(bytes))
        else this.#late.push(Buffer.from(bytes))
        return
      case BACKEND.notice:
        this.#onNotice(step, bytes)
        return
      case BACKEND.error:
        this.#refusal = { step, error: Buffer.from(bytes) }
        return
      case BACKEND.parseComplete:
        if (step === 'client-parse') this.#step++
        return
      case BACKEND.parameterDescription:
        if (step === 'candidate') this.#parameterDescription = Buffer.from(bytes)
        return
      case BACKEND.rowDescription:
        if (step === 'candidate') this.#rowDescription = Buffer.from(bytes)
        if (step === 'candidate' || step === 'check') this.#step++
        return
      case BACKEND.noData:
        this.#step++
        return
      case BACKEND.dataRow:
        if (step === 'end') this.#stateRow = parseTextRow(bytes)
        if (step === 'explain') this.#explain = parseTextRow(bytes)[0] ?? null
        return
      case BACKEND.commandComplete:
        this.#step++
        return
      case BACKEND.closeComplete:
        if (step === 'close') this.#step++
        return
      default:
    }
  }

  #onNotice(step: ProbeStep, bytes: Buffer): void {
    const fields = parseReport(bytes)
    if (step === 'candidate' && fields.get('V') === 'LOG' && fields.get('M') === TREE_NOTICE) {
      this.#tree ??= fields.get('D') ?? null
    } else if (step === 'explain') {
      // Parsing the candidate said the same before: each is passed on once.
      this.#notices.push(Buffer.from(bytes))
    }
  }

  #outcome(status: TransactionStatus): ProbeOutcome {
    const clientParseDone = this.#target.clientParse !== null && this.#step > 0
    const reached = { status, clientParseDone }
    const descriptions = {
      rowDescription: this.#rowDescription, parameterDescription: this.#parameterDescription,
    }
    if (this.#refusal !== null) {
      const sqlState = parseReport(this.#refusal.error).get('C') ?? ''
      return { kind: 'refused', ...this.#refusal, sqlState, late: this.#late, ...descriptions,
        ...reached }
    }
    const { rowDescription, parameterDescription } = descriptions
    if (rowDescription === null || parameterDescription === null
      || this.#stateRow === null || this.#explain === null) return { kind: 'mismatch', ...reached }
    try {
      const probe = parseProbe({
        sql: this.#target.sql.toString('utf8'), tree: this.#tree,
        columns: parseRowDescription(rowDescription).map(probeColumn),
        parameters: this.#parameters(parseParameterDescription(parameterDescription)),
        stateRow: this.#stateRow, explain: this.#explain,
      })
      return { kind: 'probed', probe, rowDescription, parameterDescription,
        notices: this.#notices, ...reached }
    } catch (error) {
      if (error instanceof ProbeMismatch) return { kind: 'mismatch', ...reached }
      throw error
    }
  }

  #parameters(types: readonly Oid[]): readonly RouterParameter[] {
    const { parameterFormats, values } = this.#target
    return types.map((typeOid, index) => ({
      typeOid, value: values[index] ?? null,
      format: formatAt(parameterFormats, index) === 1 ? 1 : 0,
    }))
  }
}

const EXPLAIN_BYTES = Buffer.from(EXPLAIN_PREFIX)

/** Bind's rule: none means text, one stands for all, else one each. */
function formatAt(formats: readonly number[], index: number): number {
  return (formats.length === 1 ? formats[0] : formats[index]) ?? 0
}

function probeColumn({ name, typeOid, typmod }: FieldDescription): Probe['columns'][number] {
  return { name, typeOid, typmod }
}
