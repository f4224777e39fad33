/**
 * SqlAnswer: one statement answered, by the columnar engine or by PostgreSQL.
 *
 * V1  Both ends of the choice have the same columns, types and text.
 * V2  A statement goes to PostgreSQL unless QueryService says otherwise; a fallback runs
 *     there on the same session.
 */
import { SlipwayError } from '../base/errors.ts'
import { isCandidate } from '../router/candidate.ts'
import { decodeDataRows, type ResultColumn, type TextRow } from '../query/text-rows.ts'
import { probeStatement } from './session-probe.ts'
import type { Lsn } from '../base/lsn.ts'
import type { QueryService } from '../query/query-service.ts'
import type { RoutedRows } from '../query/routed-rows.ts'
import type { RoleSession } from './role-session.ts'
import type { SqlRequest } from './sql-request.ts'

export interface SqlAnswer {
  readonly columns: readonly ResultColumn[]
  /** To be read once; the first batch is already there. */
  readonly batches: AsyncIterable<readonly TextRow[]>
  readonly route: 'columnar' | 'postgres'
  /** null when PostgreSQL answered. */
  readonly readLsn: Lsn | null
}

/** Throws PostgreSQL's error or a SlipwayError while nothing has been sent yet. */
export async function answerSql(
  session: RoleSession, request: SqlRequest, options: {
    readonly queryService: QueryService
    readonly signal: AbortSignal
  },
): Promise<SqlAnswer> {
  await applySettings(session, request)
  const columns = await session.prepare(request.sql)
  const routed = columns.length > 0 && isCandidate(request.sql)
    ? await tryColumnar(session, request, options)
    : null
  if (routed !== null) {
    const batches = await started(limited(textBatches(routed), request.maxRows))
    return { columns, batches, route: 'columnar', readLsn: routed.readLsn }
  }
  const batches = await started(limited(session.execute(request.params), request.maxRows))
  return { columns, batches, route: 'postgres', readLsn: null }
}

async function tryColumnar(
  session: RoleSession, request: SqlRequest, options: {
    readonly queryService: QueryService
    readonly signal: AbortSignal
  },
): Promise<RoutedRows | null> {
  const { queryService, signal } = options
  const probe = await probeStatement(session.client, request.sql, request.params)
  if (probe === null) return null
  const decision = queryService.decide(probe)
  if (decision.kind === 'rejected') throw decision.error
  if (decision.kind === 'postgres') return null
  const result = await queryService.run(decision.plan, probe, {
    resultFormats: [], rowsMax: 0, signal })
  if (result.kind === 'rejected') throw result.error
  return result.kind === 'fallback' ? null : result.rows
}

async function applySettings(session: RoleSession, request: SqlRequest): Promise<void> {
  const settings = [['slipway.freshness', request.freshness], ['slipway.as_of', request.asOf]]
  for (const [name, value] of settings) {
    if (value === null) continue
    await session.client.query('select pg_catalog.set_config($1, $2, false)', [name, value])
  }
}

async function * textBatches(rows: RoutedRows): AsyncGenerator<readonly TextRow[]> {
  for await (const batch of rows.batches()) yield decodeDataRows(batch.bytes)
}

async function * limited(
  batches: AsyncGenerator<readonly TextRow[]>, maxRows: number | null,
): AsyncGenerator<readonly TextRow[]> {
  let left = maxRows ?? Infinity
  for await (const rows of batches) {
    yield rows.length > left ? rows.slice(0, left) : rows
    left -= rows.length
    if (left <= 0) return
  }
}

/** Waits for the first batch, so that what fails before it can still be told as an error. */
async function started(
  batches: AsyncGenerator<readonly TextRow[]>,
): Promise<AsyncIterable<readonly TextRow[]>> {
  const first = await batches.next()
  return (async function * () {
    try {
      if (first.done === true) return
      yield first.value
      yield * batches
    } finally {
      await batches.return(undefined)
    }
  })()
}

export function refuseTimeTravel(request: SqlRequest): void {
  if (request.asOf === null || request.asOf === '') return
  throw new SlipwayError('usage', 'the request\'s asOf is not supported yet', {
    hint: 'Leave it out; older versions are read from the Delta tables themselves.',
  })
}
