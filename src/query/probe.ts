/**
 * Probe: what PostgreSQL says about a statement before it runs.
 *
 * P1  Everything comes from PostgreSQL itself, in the session and transaction of the
 *     statement: names, types, rights, cost and settings are those it would run with.
 * P2  `insertLsn` was read before the statement runs and after every commit that was
 *     acknowledged before it was sent.
 * P3  Pure: texts in, a value out. An answer of another shape throws ProbeMismatch.
 */
import { parseLsn, type Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'
import type { RouterParameter } from '../router/plan.ts'
import { PROBE_STATE_KEYS, type ProbeStateKey } from './probe-sql.ts'

export interface ProbeColumn {
  readonly name: string
  readonly typeOid: Oid
  readonly typmod: number
}

export interface ProbeSettings {
  readonly timeZone: string
  readonly dateStyle: string
  readonly intervalStyle: string
  readonly extraFloatDigits: number
  readonly byteaOutput: string
  readonly clientEncoding: string
  /** 0: no limit. */
  readonly statementTimeoutMs: number
  /** Empty when never set. */
  readonly route: string
  readonly freshness: string
  readonly asOf: string
}

export interface Probe {
  readonly sql: string
  /** The rewritten query tree, as nodes/print.c writes it. */
  readonly tree: string
  readonly columns: readonly ProbeColumn[]
  readonly parameters: readonly RouterParameter[]
  readonly totalCost: number
  readonly planRows: number
  /** The transaction has an id: its own changes are invisible to every other reader. */
  readonly hasWritten: boolean
  readonly isolation: string
  readonly insertLsn: Lsn
  /** transaction_timestamp(), µs since 1970-01-01 UTC. */
  readonly transactionTimeUs: bigint
  /** Major version. */
  readonly serverVersion: number
  readonly settings: ProbeSettings
}

/** PostgreSQL answered something else than a probe's answers: the statement runs there. */
export class ProbeMismatch extends Error {
  override readonly name = 'ProbeMismatch'
}

/** Message of the notice (severity LOG) whose detail is the tree. */
export const TREE_NOTICE = 'rewritten parse tree:'

export interface ProbeAnswers {
  readonly sql: string
  /** DETAIL of the notice TREE_NOTICE that came first; null when none came. */
  readonly tree: string | null
  readonly columns: readonly ProbeColumn[]
  readonly parameters: readonly RouterParameter[]
  /** The one row of PROBE_END_SQL, as text. */
  readonly stateRow: readonly (string | null)[]
  /** The one value of EXPLAIN. */
  readonly explain: string
}

export function parseProbe(answers: ProbeAnswers): Probe {
  const { tree } = answers
  if (tree === null) throw new ProbeMismatch('no query tree came')
  const { totalCost, planRows } = parseCost(answers.explain)
  const state = stateOf(answers.stateRow)
  return {
    sql: answers.sql, tree, columns: answers.columns, parameters: answers.parameters,
    totalCost, planRows,
    hasWritten: state('hasWritten') === 't',
    isolation: state('isolation'),
    insertLsn: parseLsn(state('insertLsn')),
    transactionTimeUs: BigInt(state('transactionTimeUs')),
    serverVersion: Math.floor(Number(state('serverVersion')) / 10_000),
    settings: {
      timeZone: state('timeZone'), dateStyle: state('dateStyle'),
      intervalStyle: state('intervalStyle'), extraFloatDigits: Number(state('extraFloatDigits')),
      byteaOutput: state('byteaOutput'), clientEncoding: state('clientEncoding'),
      statementTimeoutMs: parseTimeoutMs(state('statementTimeout')),
      route: state('route'), freshness: state('freshness'), asOf: state('asOf'),
    },
  }
}

function stateOf(row: readonly (string | null)[]): (key: ProbeStateKey) => string {
  return (key) => {
    const value = row[PROBE_STATE_KEYS.indexOf(key)]
    if (value === null || value === undefined) throw new ProbeMismatch(`no ${key} came back`)
    return value
  }
}

function parseCost(explain: string): { readonly totalCost: number; readonly planRows: number } {
  const parsed = parseJson(explain)
  const plan = Array.isArray(parsed)
    ? (parsed[0] as { Plan?: Record<string, unknown> } | undefined)?.Plan : undefined
  const totalCost = plan?.['Total Cost']
  const planRows = plan?.['Plan Rows']
  if (typeof totalCost !== 'number' || typeof planRows !== 'number') {
    throw new ProbeMismatch('EXPLAIN gave no cost')
  }
  return { totalCost, planRows }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ProbeMismatch('EXPLAIN gave no JSON')
  }
}

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['', 1], ['ms', 1], ['s', 1000], ['min', 60_000], ['h', 3_600_000], ['d', 86_400_000],
])

/** statement_timeout as SHOW writes it: `0`, `1500ms`, `30s`, `5min`. */
export function parseTimeoutMs(text: string): number {
  const match = /^(\d+)(ms|s|min|h|d|)$/.exec(text)
  const unit = UNIT_MS.get(match?.[2] ?? 'none')
  if (match === null || unit === undefined) throw new ProbeMismatch('statement_timeout has no unit')
  return Number(match[1]) * unit
}
