/**
 * ProbeSql: the statements by which PostgreSQL itself analyses a candidate.
 *
 * In order, in one transaction: PROBE_BEGIN_SQL; Parse and Describe of the candidate, whose
 * tree arrives as a notice; PROBE_QUIET_SQL; PROBE_END_SQL; EXPLAIN_PREFIX and the candidate.
 *
 * S1  Settings that the probe changes are put back by PROBE_END_SQL, inside the client's own
 *     transaction too: the old values wait in placeholder settings of the same transaction.
 * S2  Every function and operator is named with its schema: no search_path changes a meaning.
 * S3  log_min_messages is changed only by a role that may; without it the tree goes to the
 *     server's log as well.
 */
const CHANGED = [
  { name: 'client_min_messages', value: 'log' },
  { name: 'debug_print_rewritten', value: 'on' },
  { name: 'debug_pretty_print', value: 'off' },
  { name: 'log_min_messages', value: 'fatal' },
] as const

function saved(name: string): string {
  return `slipway.saved_${name}`
}

/** CASE evaluates only the arm it takes, so that a role without the right gets no error. */
function guarded(name: string, expression: string): string {
  if (name !== 'log_min_messages') return expression
  return `case when pg_catalog.has_parameter_privilege('${name}', 'SET') then ${expression} end`
}

function setLocal(name: string, value: string): string {
  return `pg_catalog.set_config('${name}', ${value}, true)`
}

/** client_min_messages goes first: nothing else is reported before. */
const BEGIN = [
  ...CHANGED.map(({ name }) =>
    setLocal(saved(name), `pg_catalog.current_setting('${name}')`)),
  ...CHANGED.map(({ name, value }) => guarded(name, setLocal(name, `'${value}'`))),
]

/** One row of no interest. */
export const PROBE_BEGIN_SQL = `select ${BEGIN.join(', ')}`

/**
 * S4  The same, and no lock is waited for (55P03). Outside a transaction block only: what puts
 *     lock_timeout back is the end of the probe's own transaction.
 */
export const PROBE_BEGIN_UNWAITING_SQL =
  `select ${[...BEGIN, setLocal('lock_timeout', `'1ms'`)].join(', ')}`

/** Or the tree of PROBE_END_SQL, longer than most candidates', would come as well. */
export const PROBE_QUIET_SQL = `select ${setLocal('debug_print_rewritten', `'off'`)}`

/** What PROBE_END_SQL answers, in the order of its row; the rest of the row is of no interest. */
const STATE = {
  hasWritten: 'pg_catalog.pg_current_xact_id_if_assigned() is not null',
  insertLsn: 'pg_catalog.pg_current_wal_insert_lsn()',
  transactionTimeUs: `(extract(epoch from pg_catalog.now()) operator(pg_catalog.*) 1000000)
    ::pg_catalog.int8`,
  isolation: setting('transaction_isolation'),
  serverVersion: setting('server_version_num'),
  timeZone: setting('TimeZone'),
  dateStyle: setting('DateStyle'),
  intervalStyle: setting('IntervalStyle'),
  extraFloatDigits: setting('extra_float_digits'),
  byteaOutput: setting('bytea_output'),
  clientEncoding: setting('client_encoding'),
  statementTimeout: setting('statement_timeout'),
  route: ours('slipway.route'),
  freshness: ours('slipway.freshness'),
  asOf: ours('slipway.as_of'),
} as const

export type ProbeStateKey = keyof typeof STATE
export const PROBE_STATE_KEYS = Object.keys(STATE) as readonly ProbeStateKey[]

export const PROBE_END_SQL = `select ${[
  ...Object.values(STATE),
  ...CHANGED.map(({ name }) => guarded(name,
    setLocal(name, `pg_catalog.current_setting('${saved(name)}')`))),
].join(', ')}`

export const EXPLAIN_PREFIX = 'explain (format json) '

function setting(name: string): string {
  return `pg_catalog.current_setting('${name}')`
}

/** Unset placeholders read as empty. */
function ours(name: string): string {
  return `coalesce(pg_catalog.current_setting('${name}', true), '')`
}
