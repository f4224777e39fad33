/**
 * SessionProbe: asks PostgreSQL, on the request's own connection and in one round trip, what
 * the router must know of a statement (query/probe-sql.ts).
 */
import { ProbeMismatch, TREE_NOTICE, parseProbe, type Probe } from '../query/probe.ts'
import { EXPLAIN_PREFIX, PROBE_BEGIN_SQL, PROBE_END_SQL, PROBE_QUIET_SQL,
} from '../query/probe-sql.ts'
import { oid } from '../base/oid.ts'
import { Deferred } from '../base/deferred.ts'
import type { EventEmitter } from 'node:events'
import type pg from 'pg'
import type { Connection, Submittable } from 'pg'

type Row = readonly (string | null)[]

interface Answers {
  readonly columns: readonly WireField[]
  readonly stateRow: Row
  readonly explain: string
}

interface WireField {
  readonly name: string
  readonly dataTypeID: number
  readonly dataTypeModifier: number
}

/**
 * null when the statement cannot be probed: PostgreSQL then runs it and tells the true error.
 */
export async function probeStatement(
  client: pg.Client, sql: string, params: readonly (string | null)[],
): Promise<Probe | null> {
  const { connection } = client as unknown as { readonly connection: EventEmitter }
  let tree: string | null = null
  let parameterTypes: readonly number[] = []
  const onNotice = (notice: { readonly message?: string; readonly detail?: string }): void => {
    if (notice.message === TREE_NOTICE && tree === null) tree = notice.detail ?? null
  }
  const onParameters = (message: { readonly dataTypeIDs: readonly number[] }): void => {
    parameterTypes = message.dataTypeIDs
  }
  connection.on('notice', onNotice)
  connection.on('parameterDescription', onParameters)
  try {
    const { columns, stateRow, explain } = await client.query(new ProbeQuery(sql, params)).answers
    return parseProbe({
      sql, tree, stateRow, explain,
      columns: columns.map((field) => ({
        name: field.name, typeOid: oid(field.dataTypeID), typmod: field.dataTypeModifier,
      })),
      parameters: parameterTypes.map((typeOid, index) => {
        const text = params[index] ?? null
        return { typeOid: oid(typeOid), format: 0, value: text === null ? null : Buffer.from(text) }
      }),
    })
  } catch (error) {
    if (error instanceof ProbeMismatch || isServerError(error)) return null
    throw error
  } finally {
    connection.off('notice', onNotice)
    connection.off('parameterDescription', onParameters)
  }
}

/** An error that PostgreSQL sent has a SQLSTATE. */
function isServerError(error: unknown): boolean {
  return error instanceof Error && /^[0-9A-Z]{5}$/.test(String((error as { code?: unknown }).code))
}

/** pg's connection as it is; the published types ask for an argument that is ignored. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(query: { readonly text: string; readonly name: string }): void
  bind(config: {
    readonly portal: string; readonly statement: string
    readonly values: readonly (string | null)[]
  }): void
  describe(what: { readonly type: 'S'; readonly name: string }): void
  execute(config: { readonly portal: string; readonly rows: number }): void
  sync(): void
}

/** Places of the executed statements among the CommandComplete messages. */
const STATE_AT = 2
const EXPLAIN_AT = 3

class ProbeQuery implements Submittable {
  readonly #sql: string
  readonly #params: readonly (string | null)[]
  readonly #answers = new Deferred<Answers>()
  #columns: readonly WireField[] = []
  #completed = 0
  #stateRow: Row = []
  #explain = ''

  constructor(sql: string, params: readonly (string | null)[]) {
    this.#sql = sql
    this.#params = params
  }

  get answers(): Promise<Answers> {
    return this.#answers.promise
  }

  submit(connection: Connection): void {
    const wire = connection as unknown as Wire
    const run = (text: string, values: readonly (string | null)[]): void => {
      wire.parse({ text, name: '' })
      wire.bind({ portal: '', statement: '', values })
      wire.execute({ portal: '', rows: 0 })
    }
    wire.stream.cork()
    run(PROBE_BEGIN_SQL, [])
    wire.parse({ text: this.#sql, name: '' })
    wire.describe({ type: 'S', name: '' })
    run(PROBE_QUIET_SQL, [])
    run(PROBE_END_SQL, [])
    run(EXPLAIN_PREFIX + this.#sql, this.#params)
    wire.sync()
    wire.stream.uncork()
  }

  handleRowDescription(message: { readonly fields: readonly WireField[] }): void {
    this.#columns = message.fields
  }

  handleDataRow(message: { readonly fields: Row }): void {
    if (this.#completed === STATE_AT) this.#stateRow = message.fields
    if (this.#completed === EXPLAIN_AT) this.#explain += message.fields[0] ?? ''
  }

  handleCommandComplete(): void {
    this.#completed++
  }

  handleError(error: Error): void {
    this.#answers.reject(error)
  }

  handleReadyForQuery(): void {
    this.#answers.resolve({
      columns: this.#columns, stateRow: this.#stateRow, explain: this.#explain,
    })
  }
}
