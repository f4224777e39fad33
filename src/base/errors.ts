/**
 * The error catalog: every error a user can see, said once.
 *
 * E1  A code has one SQLSTATE, one HTTP status, one retry rule.
 * E2  `message`, `detail` and `hint` are safe to show: no row value, parameter or secret.
 * E3  docs/errors.md is generated from this table and a test holds it to it.
 */
export type Retry = 'never' | 'later' | 'at-once'

export interface CatalogEntry {
  /** PostgreSQL's SQLSTATE, or one of class SW, which is Slipway's own. */
  readonly sqlState: string
  readonly httpStatus: number
  readonly retry: Retry
  /** What happened, in the manual's words. */
  readonly meaning: string
  /** What the user can do about it. */
  readonly cure: string
}

export const ERROR_CATALOG = {
  usage: {
    sqlState: '22023', httpStatus: 400, retry: 'never',
    meaning: 'An option, a setting or a request is not of the form it must have.',
    cure: 'Correct what the message names; `slipway up --help` lists every option.',
  },
  'data-dir-held': {
    sqlState: '55006', httpStatus: 503, retry: 'later',
    meaning: 'Another Slipway already runs on this data directory.',
    cure: 'Stop the process that the message names, or choose another --data-dir.',
  },
  'data-dir-unusable': {
    sqlState: '58030', httpStatus: 503, retry: 'never',
    meaning: 'The data directory cannot be written, or was made by another version.',
    cure: 'Mend its rights, or choose another --data-dir.',
  },
  'port-taken': {
    sqlState: '58000', httpStatus: 503, retry: 'never',
    meaning: 'A port that Slipway was told to listen on is in use.',
    cure: 'Choose another port, or 0 for a free one.',
  },
  'postgres-unfit': {
    sqlState: '55000', httpStatus: 503, retry: 'never',
    meaning: 'The PostgreSQL server cannot be mirrored as it is set up.',
    cure: 'Do what the message says (wal_level, version, rights), then start again.',
  },
  'postgres-unreachable': {
    sqlState: '57P03', httpStatus: 503, retry: 'later',
    meaning: 'PostgreSQL does not answer.',
    cure: 'Wait for it to come back, or look into the log that the message names.',
  },
  'engine-unreachable': {
    sqlState: 'SW001', httpStatus: 503, retry: 'later',
    meaning: 'The columnar engine is down or starting; transactions are not affected.',
    cure: 'Try again in a moment; with slipway.route = auto PostgreSQL answers meanwhile.',
  },
  'not-columnar': {
    sqlState: 'SW002', httpStatus: 422, retry: 'never',
    meaning: 'slipway.route is columnar and the statement cannot be answered there.',
    cure: 'Set slipway.route to auto, or change what the message names.',
  },
  'table-not-mirrored': {
    sqlState: 'SW003', httpStatus: 422, retry: 'later',
    meaning: 'A table of the statement is not mirrored, or not yet.',
    cure: 'See state and reason in slipway.tables.',
  },
  'freshness-timeout': {
    sqlState: 'SW004', httpStatus: 503, retry: 'later',
    meaning: 'The mirror did not reach the statement\'s read LSN in time.',
    cure: 'Try again, or allow older answers with slipway.freshness.',
  },
  'columnar-failed': {
    sqlState: 'SW005', httpStatus: 500, retry: 'at-once',
    meaning: 'The columnar engine failed in the middle of an answer.',
    cure: 'Send the statement again.',
  },
  'query-canceled': {
    sqlState: '57014', httpStatus: 504, retry: 'never',
    meaning: 'The statement was cancelled, or ran longer than statement_timeout allows.',
    cure: 'Raise statement_timeout if the statement may take that long.',
  },
  overloaded: {
    sqlState: '53300', httpStatus: 503, retry: 'later',
    meaning: 'More requests run at once than the server takes.',
    cure: 'Send the request again when others are done.',
  },
  'value-unmirrorable': {
    sqlState: 'SW006', httpStatus: 422, retry: 'never',
    meaning: 'A column holds a value that the lake\'s type cannot hold exactly.',
    cure: 'Change the value or the column\'s type, then call slipway.include on the table.',
  },
  'lake-write-failed': {
    sqlState: 'SW007', httpStatus: 503, retry: 'later',
    meaning: 'The lake could not be written; nothing was confirmed and nothing is lost.',
    cure: 'Free disk space or mend rights; Slipway tries again by itself.',
  },
  'delta-unsupported': {
    sqlState: '0A000', httpStatus: 422, retry: 'never',
    meaning: 'A Delta table needs a feature that is not supported.',
    cure: 'docs/delta.md lists what is supported.',
  },
  'delta-corrupt': {
    sqlState: 'XX001', httpStatus: 500, retry: 'never',
    meaning: 'A Delta table\'s log or a file it names is missing or damaged.',
    cure: 'Restore the file that the message names, or an earlier version of the table.',
  },
  'delta-conflict': {
    sqlState: '40001', httpStatus: 409, retry: 'at-once',
    meaning: 'Another writer changed the Delta table first.',
    cure: 'Read the table again and retry.',
  },
  'not-found': {
    sqlState: '42P01', httpStatus: 404, retry: 'never',
    meaning: 'The thing that the message names does not exist.',
    cure: 'Check its name.',
  },
  'auth-failed': {
    sqlState: '28P01', httpStatus: 401, retry: 'never',
    meaning: 'The role or its password was refused by PostgreSQL.',
    cure: 'Send the name and password of a PostgreSQL role.',
  },
  internal: {
    sqlState: 'XX000', httpStatus: 500, retry: 'never',
    meaning: 'A fault in Slipway itself.',
    cure: 'Report it with the log line that carries the same code.',
  },
} as const satisfies Record<string, CatalogEntry>

export type ErrorCode = keyof typeof ERROR_CATALOG

export class SlipwayError extends Error {
  override readonly name = 'SlipwayError'
  readonly code: ErrorCode
  readonly detail: string | null
  readonly hint: string

  constructor(code: ErrorCode, message: string, options: {
    readonly detail?: string
    /** Replaces the catalog's cure where the place knows a better one. */
    readonly hint?: string
    readonly cause?: unknown
  } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail ?? null
    this.hint = options.hint ?? ERROR_CATALOG[code].cure
  }

  get entry(): CatalogEntry {
    return ERROR_CATALOG[this.code]
  }
}
