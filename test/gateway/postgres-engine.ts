/**
 * PostgresEngine: an engine for tests of the gateway, which answers what it is given from the
 * same PostgreSQL, over a connection of its own. So a diverted answer must be byte for byte
 * what PostgreSQL would have said, and `answered` tells that it was diverted.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { NetConnectOpts } from 'node:net'
import { SlipwayError } from '../../src/base/errors.ts'
import type { AnswerRows, StatementService } from '../../src/gateway/link-server.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import { FRONTEND } from '../../src/pgwire/message-code.ts'
import type { Probe } from '../../src/query/probe.ts'
import type { Decision, RunOptions } from '../../src/query/query-service.ts'
import type { ColumnarPlan } from '../../src/router/plan.ts'
import {
  executeMessage, parseMessage, syncMessage, WireClient,
} from './wire-client.ts'

const PLAN: ColumnarPlan = { parts: ['SELECT 1'], relations: [], output: [], tieCheck: null }

export class PostgresEngine implements StatementService {
  readonly #address: NetConnectOpts
  readonly #login: Readonly<Record<string, string>>
  /** Texts that were answered here. */
  readonly answered: string[] = []
  readonly probes: Probe[] = []
  behaviour: 'answer' | 'decline' | 'fall-back' | 'reject' | 'hang' | 'fail-late' | 'stall'
    = 'answer'
  aborted = 0

  constructor(address: NetConnectOpts, login: Readonly<Record<string, string>>) {
    this.#address = address
    this.#login = login
  }

  decide(probe: Probe): Decision {
    this.probes.push(probe)
    if (this.behaviour === 'decline') {
      return { kind: 'postgres', reason: 'told to decline', transient: true }
    }
    if (this.behaviour === 'reject') {
      return { kind: 'rejected', error: new SlipwayError('not-columnar', 'told to reject') }
    }
    if (probe.hasWritten) return { kind: 'postgres', reason: 'has written', transient: true }
    return { kind: 'columnar', plan: PLAN }
  }

  async run(_plan: ColumnarPlan, probe: Probe, options: RunOptions): Promise<
    { readonly kind: 'rows'; readonly rows: AnswerRows }
    | { readonly kind: 'fallback'; readonly reason: string }> {
    if (this.behaviour === 'fall-back') return { kind: 'fallback', reason: 'told to' }
    if (this.behaviour === 'hang') {
      await delay(60_000, undefined, { signal: options.signal }).catch(() => { this.aborted++ })
      return { kind: 'fallback', reason: 'aborted' }
    }
    this.answered.push(probe.sql)
    const rows = await this.#rows(probe, options)
    const { behaviour } = this
    return { kind: 'rows', rows: {
      readLsn: probe.insertLsn, waitedMs: 0, sql: 'SELECT 1',
      scan: { filesRead: 1, filesPruned: 0, tailRows: 0 },
      async * batches() {
        const middle = Math.ceil(rows.length / 2)
        yield { rows: middle, bytes: Buffer.concat(rows.slice(0, middle)) }
        if (behaviour === 'fail-late') throw new SlipwayError('columnar-failed', 'told to fail')
        if (behaviour === 'stall') {
          await delay(60_000, undefined, { signal: options.signal }).catch(() => {})
        }
        yield { rows: rows.length - middle, bytes: Buffer.concat(rows.slice(middle)) }
      },
      [Symbol.asyncDispose]: async () => {},
    } }
  }

  async #rows(probe: Probe, options: RunOptions): Promise<readonly Buffer[]> {
    const { resultFormats: formats, rowsMax } = options
    await using client = await WireClient.connect(this.#address, this.#login)
    const bind = new MessageWriter().begin(FRONTEND.bind).cstring('').cstring('')
      .int16(probe.parameters.length)
    for (const { format } of probe.parameters) bind.int16(format)
    bind.int16(probe.parameters.length)
    for (const { value } of probe.parameters) {
      if (value === null) bind.int32(-1)
      else bind.int32(value.length).bytes(value)
    }
    bind.int16(formats.length)
    for (const format of formats) bind.int16(format)
    client.send(Buffer.concat([
      parseMessage('', probe.sql, probe.parameters.map(({ typeOid }) => typeOid)),
      bind.finish().take(), executeMessage(rowsMax), syncMessage(),
    ]))
    return (await client.until('Z')).filter(({ code }) => code === 'D').map(({ bytes }) => bytes)
  }
}
