/**
 * Problem: errors as RFC 9457 problem documents with a `sqlstate`.
 *
 * O1  PostgreSQL's own errors keep their SQLSTATE and text; ours come from the catalog;
 *     anything else is `internal` and shows nothing of itself.
 */
import pg from 'pg'
import { ERROR_CATALOG, SlipwayError } from '../base/errors.ts'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly sqlstate: string
  readonly hint?: string
  /** 1-based character in the statement, where PostgreSQL names one. */
  readonly position?: number
}

/** HTTP status by SQLSTATE, longest prefix first; 400 where none fits. */
const STATUS_BY_SQLSTATE: readonly (readonly [string, number])[] = [
  ['28', 401], ['3D000', 401], ['42501', 403], ['42P01', 404], ['23', 409], ['40', 409],
  ['53', 503], ['55', 409], ['57014', 504], ['57', 503], ['58', 503], ['08P01', 400],
  ['08', 503], ['0A', 422], ['XX', 500], ['P0', 422],
]
const STATUS_DEFAULT = 400

export function problemOf(error: unknown): Problem {
  if (error instanceof SlipwayError) {
    const { sqlState, httpStatus, meaning } = error.entry
    return {
      type: `urn:slipway:error:${error.code}`, title: meaning, status: httpStatus,
      detail: error.message, sqlstate: sqlState, hint: error.hint,
    }
  }
  if (error instanceof pg.DatabaseError) return databaseProblem(error)
  const status = clientErrorStatus(error)
  if (status !== null) {
    return {
      type: 'about:blank', title: ERROR_CATALOG.usage.meaning, status,
      detail: (error as Error).message, sqlstate: ERROR_CATALOG.usage.sqlState,
    }
  }
  return problemOf(new SlipwayError('internal', 'the request failed'))
}

function databaseProblem(error: pg.DatabaseError): Problem {
  const sqlstate = error.code ?? 'XX000'
  const position = Number(error.position)
  return {
    type: `urn:postgresql:sqlstate:${sqlstate}`,
    title: 'PostgreSQL refused the statement.',
    status: STATUS_BY_SQLSTATE.find(([prefix]) => sqlstate.startsWith(prefix))?.[1]
      ?? STATUS_DEFAULT,
    detail: error.detail === undefined ? error.message : `${error.message}. ${error.detail}`,
    sqlstate,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(Number.isInteger(position) ? { position } : {}),
  }
}

/** fastify's own refusals: a body too large, not JSON, of another media type. */
function clientErrorStatus(error: unknown): number | null {
  if (!(error instanceof Error)) return null
  const { statusCode } = error as { readonly statusCode?: unknown }
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
    ? statusCode
    : null
}
