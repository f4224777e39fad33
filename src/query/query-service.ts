/**
 * QueryService: the one path of a routed statement, for the gateway and for HTTP.
 *
 * Q1  `decide` and `run` never send a statement anywhere: they say `postgres` or `fallback`,
 *     and the caller, who holds the session, runs it there.
 * Q2  Until the first batch is handed out every failure is a `fallback`; after it, a
 *     SlipwayError. Under slipway.route = columnar a `fallback` is a `rejected` instead.
 * Q3  Reasons name settings, types and tables, never a value of the statement or of a row.
 * Q4  What is held before the first row is bounded by HEAD_BYTES_MAX, under a tie check by
 *     TIED_BYTES_MAX.
 */
import { SlipwayError } from '../base/errors.ts'
import { maxLsn, LSN_ZERO, type Lsn } from '../base/lsn.ts'
import { routeStatement } from '../router/route.ts'
import { parseFreshness, type Freshness } from './freshness.ts'
import { PG, elementOf } from './pg-types.ts'
import { RoutedRows, type ColumnarRows } from './routed-rows.ts'
import { hasBinaryFormat } from './scalar-binary.ts'
import { EncodingRefusal, sessionFormat, type SessionFormat } from './session-format.ts'
import { isUtc, UTC_OFFSETS, type ZoneCatalog, type ZoneOffsets } from './zone-offsets.ts'
import type { Logger } from '../base/logger.ts'
import type { Oid } from '../base/oid.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import type { ColumnarPlan, RouterContext } from '../router/plan.ts'
import type { Probe } from './probe.ts'

/** The columnar executor, as this room needs it. */
export interface ColumnarEngine {
  /** null unless the table is ready. */
  schema(relid: Oid): TableSchema | null
  /** Why `schema` is null, in words. */
  refusal(relid: Oid): string
  execute(request: {
    readonly parts: ColumnarPlan['parts']
    readonly timeZone: string
    readonly readLsn: Lsn
    readonly maxStalenessMs: number | null
    readonly timeoutMs: number
    readonly signal: AbortSignal
  }): Promise<ColumnarRows>
}

export type Decision =
  | { readonly kind: 'columnar'; readonly plan: ColumnarPlan }
  /** `transient`: the session or the tables' states say so, not the statement itself. */
  | { readonly kind: 'postgres'; readonly reason: string; readonly transient: boolean }
  | { readonly kind: 'rejected'; readonly error: SlipwayError }

export type RunResult =
  /** The caller reads `rows` to the end or disposes of it. */
  | { readonly kind: 'rows'; readonly rows: RoutedRows }
  | { readonly kind: 'fallback'; readonly reason: string }
  | { readonly kind: 'rejected'; readonly error: SlipwayError }

export interface RunOptions {
  /** As Bind has them: none = all text, one = for all, else one a column. */
  readonly resultFormats: readonly (0 | 1)[]
  /** As Execute has it: 0 = all. */
  readonly rowsMax: number
  readonly signal: AbortSignal
}

export interface QueryServiceOptions {
  readonly engine: ColumnarEngine
  readonly zones: ZoneCatalog
  /** Estimated cost below which a statement stays in PostgreSQL. */
  readonly routeCostMin: number
  /** Of the mirrored database: see databaseCollation(). */
  readonly collation: RouterContext['collation']
  readonly logger: Logger
}

/** After it PostgreSQL answers; a statement that may only go to the columns waits longer. */
const FRESHNESS_WAIT_MS_MAX = 10_000
const FORCED_WAIT_MS_MAX = 60_000
const NO_LIMIT_MS = 2 ** 31 - 1
const ROUTES = new Set(['', 'auto', 'postgres', 'columnar'])

export class QueryService {
  readonly #options: QueryServiceOptions

  constructor(options: QueryServiceOptions) {
    this.#options = options
  }

  /** Pure but for the tables' states at this moment. */
  decide(probe: Probe): Decision {
    const { route, asOf, freshness } = probe.settings
    if (!ROUTES.has(route)) {
      return rejected(new SlipwayError('usage',
        'slipway.route must be auto, postgres or columnar', { hint: 'Set it to one of them.' }))
    }
    if (parseFreshness(freshness) === null) {
      return rejected(new SlipwayError('usage',
        'slipway.freshness must be latest or an interval such as 5s or 1 minute',
        { hint: 'Set it to one of them.' }))
    }
    if (asOf !== '') {
      return rejected(new SlipwayError('usage', 'slipway.as_of is not supported yet', {
        hint: 'Reset slipway.as_of; older versions are read from the Delta tables themselves.',
      }))
    }
    if (route === 'postgres') return postgres('slipway.route is postgres', true)
    const decision = this.#sessionRefusal(probe) ?? this.#translate(probe)
    if (decision.kind === 'postgres' && route === 'columnar') {
      return rejected(new SlipwayError('not-columnar',
        `the statement cannot be answered by the columnar engine: ${decision.reason}`))
    }
    return decision
  }

  async run(plan: ColumnarPlan, probe: Probe, options: RunOptions): Promise<RunResult> {
    const forced = probe.settings.route === 'columnar'
    const deadline = new Deadline(probe.settings.statementTimeoutMs, options.signal)
    try {
      return { kind: 'rows', rows: await this.#start(plan, probe, options, deadline) }
    } catch (error) {
      const stopped = deadline.error()
      deadline[Symbol.dispose]()
      if (stopped !== null) return { kind: 'rejected', error: stopped }
      const reason = fallbackReason(error)
      this.#options.logger.debug({ reason, err: errorClass(error) }, 'columnar run gave up')
      if (!forced) return { kind: 'fallback', reason }
      return { kind: 'rejected', error: error instanceof SlipwayError
        ? error
        : new SlipwayError('not-columnar', `the columnar engine gave up: ${reason}`) }
    }
  }

  async #start(
    plan: ColumnarPlan, probe: Probe, options: RunOptions, deadline: Deadline,
  ): Promise<RoutedRows> {
    const { settings } = probe
    refuseFormats(plan, options.resultFormats)
    const session = this.#session(plan, probe, options.resultFormats)
    // Awaited below; until then its failure must not count as unhandled.
    session.catch(() => {})
    const freshness = parseFreshness(settings.freshness)
    if (freshness === null) throw new EncodingRefusal('slipway.freshness is not valid')
    const longestWait = settings.route === 'columnar' ? FORCED_WAIT_MS_MAX
      : FRESHNESS_WAIT_MS_MAX
    const answer = await this.#options.engine.execute({
      parts: plan.parts, timeZone: settings.timeZone, ...reading(freshness, probe),
      timeoutMs: Math.min(longestWait, deadline.limitMs), signal: deadline.signal,
    })
    return RoutedRows.start({
      plan, answer, session: () => session, resultFormats: options.resultFormats,
      rowsMax: options.rowsMax, deadline,
    })
  }

  /** The zone's table is loaded only where a timestamptz is printed. */
  async #session(
    plan: ColumnarPlan, probe: Probe, formats: readonly (0 | 1)[],
  ): Promise<SessionFormat> {
    const { settings } = probe
    const printed = plan.output.some((column, index) => {
      const type = elementOf(column.typeOid) ?? column.typeOid
      return type === PG.timestamptz && formatAt(formats, index) === 0
    })
    const zone: ZoneOffsets = isUtc(settings.timeZone) ? UTC_OFFSETS
      : printed ? await this.#options.zones.offsets(settings.timeZone)
        : UNLOADED_ZONE
    return sessionFormat(settings, zone)
  }

  #sessionRefusal(probe: Probe): Decision | null {
    const { settings, isolation, totalCost } = probe
    if (probe.hasWritten) return postgres('the transaction has written', true)
    if (isolation !== 'read committed') {
      return postgres(`the isolation level is ${isolation}`, true)
    }
    if (settings.clientEncoding.toUpperCase() !== 'UTF8') {
      return postgres('client_encoding is not UTF8', true)
    }
    const { routeCostMin } = this.#options
    if (settings.route === 'columnar' || totalCost >= routeCostMin) return null
    return postgres(`the estimated cost ${Math.round(totalCost)} is below route-cost-min ` +
      `${routeCostMin}`, false)
  }

  /** A cache of decisions, keyed by text, role, search_path and schema version, goes here. */
  #translate(probe: Probe): Decision {
    const { engine } = this.#options
    const missing: Oid[] = []
    const context: RouterContext = {
      timeZone: probe.settings.timeZone,
      transactionTimeUs: probe.transactionTimeUs,
      serverVersion: probe.serverVersion,
      collation: this.#options.collation,
    }
    const result = routeStatement({
      tree: probe.tree, columns: probe.columns, parameters: probe.parameters, context,
      table: (relid: Oid) => {
        const schema = engine.schema(relid)
        if (schema === null) missing.push(relid)
        return schema
      },
    })
    if (result.kind === 'columnar') return result
    const [first] = missing
    return first === undefined ? postgres(result.reason, false)
      : postgres(engine.refusal(first), true)
  }
}

/** Cancels at the statement's own limit, or when the caller does. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal
  readonly limitMs: number
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal
  readonly #timer: NodeJS.Timeout | null
  readonly #forward = (): void => this.#controller.abort()
  #timedOut = false

  /** `timeoutMs` 0: no limit. */
  constructor(timeoutMs: number, caller: AbortSignal) {
    this.limitMs = timeoutMs > 0 ? timeoutMs : NO_LIMIT_MS
    this.#caller = caller
    this.signal = this.#controller.signal
    this.#timer = timeoutMs > 0 ? setTimeout(() => this.#expire(), timeoutMs) : null
    if (caller.aborted) this.#controller.abort()
    else caller.addEventListener('abort', this.#forward, { once: true })
  }

  /** What the client is told when the statement was stopped; null when it was not. */
  error(): SlipwayError | null {
    if (this.#timedOut) {
      return new SlipwayError('query-canceled', 'canceling statement due to statement timeout')
    }
    return this.#caller.aborted
      ? new SlipwayError('query-canceled', 'canceling statement due to user request')
      : null
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#caller.removeEventListener('abort', this.#forward)
  }

  #expire(): void {
    this.#timedOut = true
    this.#controller.abort()
  }
}

const UNLOADED_ZONE: ZoneOffsets = { at: () => null }

function rejected(error: SlipwayError): Decision {
  return { kind: 'rejected', error }
}

function postgres(reason: string, transient: boolean): Decision {
  return { kind: 'postgres', reason, transient }
}

function reading(freshness: Freshness, probe: Probe): {
  readonly readLsn: Lsn
  readonly maxStalenessMs: number | null
} {
  const readLsn = maxLsn(probe.insertLsn, LSN_ZERO)
  return { readLsn, maxStalenessMs: freshness.kind === 'latest' ? null : freshness.ms }
}

/** Known before anything runs, so that no work is thrown away. */
function refuseFormats(plan: ColumnarPlan, formats: readonly (0 | 1)[]): void {
  for (const [index, column] of plan.output.entries()) {
    const type = elementOf(column.typeOid) ?? column.typeOid
    if (formatAt(formats, index) === 1 && !hasBinaryFormat(type)) {
      throw new EncodingRefusal(`type ${column.typeOid} was asked for in binary format`)
    }
  }
}

function formatAt(formats: readonly (0 | 1)[], index: number): 0 | 1 {
  return (formats.length === 1 ? formats[0] : formats[index]) ?? 0
}

/** Only our own errors speak for themselves: DuckDB's may quote a value (Q3). */
function fallbackReason(error: unknown): string {
  if (error instanceof EncodingRefusal || error instanceof SlipwayError) return error.message
  const kind = errorClass(error)
  return kind === null ? 'the columnar engine failed' : `the columnar engine: ${kind}`
}

/** DuckDB's messages open with their class: `Conversion Error: …`. */
function errorClass(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  return /^([A-Z][A-Za-z ]{2,40} Error): /.exec(error.message)?.[1] ?? error.name
}
