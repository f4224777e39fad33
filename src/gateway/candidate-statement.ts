/**
 * CandidateStatement: a statement that may be answered elsewhere, and the form of its answer.
 *
 * C1  The answer has the messages that PostgreSQL would have sent for the same bytes, in the
 *     same order, RowDescription in PostgreSQL's own words.
 */
import type { Oid } from '../base/oid.ts'
import {
  commandComplete, emptyMessage, textColumnDescription, withFormats,
} from '../pgwire/backend-message.ts'
import { BACKEND } from '../pgwire/message-code.ts'
import type { ExtendedBatch } from './extended-batch.ts'
import type { PreparedStatement } from './prepared-statements.ts'
import type { ProbeTarget } from './probe-exchange.ts'

export type CandidateShape =
  /** A Query message; `sql` as PreparedStatement has it. */
  | { readonly kind: 'simple' }
  | { readonly kind: 'extended'; readonly batch: ExtendedBatch }

export interface CandidateStatement {
  readonly shape: CandidateShape
  /** The client's messages as they came: a copy of our own. */
  readonly original: Buffer
  readonly statement: PreparedStatement
  /** The server's unnamed statement is the client's, and of another text: it must stay. */
  readonly keepsUnnamed: boolean
  /** A refusal of the probe would be the answer, so that it must not be for a lock. */
  readonly waitsForLocks: boolean
}

/** What PostgreSQL described in the probe. */
export interface Descriptions {
  readonly rowDescription: Buffer
  readonly parameterDescription: Buffer
}

const NO_TYPES: readonly Oid[] = []

export function probeTargetOf(candidate: CandidateStatement): ProbeTarget {
  const { shape, statement } = candidate
  const sql = statementProper(statement)
  if (shape.kind === 'simple') {
    return { sql, parameterTypes: NO_TYPES, parameterFormats: [], values: [],
      clientParse: null, statement: null, keepsUnnamed: false,
      waitsForLocks: candidate.waitsForLocks }
  }
  const { parse, bind } = shape.batch
  const isNamed = bind.statement !== ''
  return {
    sql, parameterTypes: statement.parameterTypes, parameterFormats: bind.parameterFormats,
    values: bind.values,
    clientParse: isNamed ? parse?.bytes ?? null : null,
    statement: isNamed && parse === null ? bind.statement : null,
    keepsUnnamed: candidate.keepsUnnamed,
    waitsForLocks: candidate.waitsForLocks,
  }
}

/** The text without EXPLAIN (ROUTE). */
export function statementProper(statement: PreparedStatement): Buffer {
  return statement.sql.subarray(statement.explainPrefix ?? 0)
}

export function isExplain(candidate: CandidateStatement): boolean {
  return candidate.statement.explainPrefix !== null
}

export function resultFormatsOf(candidate: CandidateStatement): readonly (0 | 1)[] {
  const { shape } = candidate
  return shape.kind === 'simple' ? [] : shape.batch.bind.resultFormats.map((format) =>
    (format === 1 ? 1 : 0))
}

/** Everything before the first row. */
export function answerOpening(candidate: CandidateStatement, told: Descriptions): Buffer {
  const row = isExplain(candidate) ? EXPLAIN_DESCRIPTION : told.rowDescription
  const { shape } = candidate
  if (shape.kind === 'simple') return row
  const { batch } = shape
  return Buffer.concat([
    parsedOpening(candidate, { ...told, rowDescription: row }),
    emptyMessage(BACKEND.bindComplete),
    ...(batch.describesPortal ? [withFormats(row, batch.bind.resultFormats)] : []),
  ])
}

/** What came before a Bind that failed: null where PostgreSQL did not get as far. */
export function parsedOpening(candidate: CandidateStatement, told: {
  readonly rowDescription: Buffer | null
  readonly parameterDescription: Buffer | null
}): Buffer {
  const { shape } = candidate
  const { rowDescription, parameterDescription } = told
  if (shape.kind === 'simple' || rowDescription === null || parameterDescription === null) {
    return NOTHING
  }
  return Buffer.concat([
    ...(shape.batch.parse === null ? [] : [emptyMessage(BACKEND.parseComplete)]),
    ...(shape.batch.describesStatement ? [parameterDescription, rowDescription] : []),
  ])
}

/** 0: all. */
export function rowsMaxOf({ shape }: CandidateStatement): number {
  return shape.kind === 'simple' ? 0 : shape.batch.rowsMax
}

/** PostgreSQL does not look whether a row follows the last one that was asked for. */
export function answerEnd(candidate: CandidateStatement, rows: number): Buffer {
  const rowsMax = rowsMaxOf(candidate)
  if (rowsMax > 0 && rows >= rowsMax) return emptyMessage(BACKEND.portalSuspended)
  return commandComplete(isExplain(candidate) ? 'EXPLAIN' : `SELECT ${rows}`)
}

const NOTHING = Buffer.alloc(0)
const EXPLAIN_DESCRIPTION = textColumnDescription('QUERY PLAN')
