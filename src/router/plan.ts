/**
 * ColumnarPlan: a statement as the columnar engine shall run it, and how each result
 * column turns back into PostgreSQL's value.
 *
 * P1  A plan holds no user's identifier: relations are OIDs, columns `c<attnum>`, and all
 *     other names are the translator's own.
 * P2  The plan's answer equals PostgreSQL's, or running it raises an error and the statement
 *     runs in PostgreSQL.
 */
import type { Oid } from '../base/oid.ts'

/** Replaced by a parenthesised subquery that yields exactly these columns as c<attnum>. */
export interface RelationRef {
  readonly relid: Oid
  /** attnums needed; empty for count(*): then any one column named `c0`. */
  readonly columns: readonly number[]
  /**
   * Conjuncts over the relation's own columns for pruning files by statistics; always also
   * present in the SQL, so that ignoring them is right.
   */
  readonly prune: readonly PrunePredicate[]
}

export interface PrunePredicate {
  readonly attnum: number
  readonly op: '=' | '<' | '<=' | '>' | '>='
  /** Mirror value: number for int2/4 and date (days), bigint for int8 and µs, else text. */
  readonly value: number | bigint | string
}

/** Which DuckDB result columns (by index) make one PostgreSQL value. */
export type OutputValue =
  /** As it is; the encoder refuses a DuckDB type that it does not expect for the pg type. */
  | { readonly kind: 'plain'; readonly at: number }
  /** numeric: a DuckDB integer or DECIMAL shown with `scale` decimals. */
  | { readonly kind: 'numeric'; readonly at: number; readonly scale: number }
  /** numeric: unscaled HUGEINT at `at`, its display scale (INTEGER) at `scaleAt`. */
  | { readonly kind: 'scaled-numeric'; readonly at: number; readonly scaleAt: number }
  /**
   * numeric: PostgreSQL's division of two exact values, finished outside DuckDB.
   * A NULL dividend or divisor gives NULL; a zero divisor raises division_by_zero.
   */
  | { readonly kind: 'quotient'; readonly dividendAt: number; readonly dividendScale: number
      readonly divisorAt: number; readonly divisorScale: number }
  /** variance and standard deviation from count, sum(x) and sum(x*x) of unscaled values. */
  | { readonly kind: 'variance'; readonly countAt: number; readonly sumAt: number
      readonly sumOfSquaresAt: number; readonly scale: number; readonly sample: boolean
      readonly root: boolean }

export interface OutputColumn {
  readonly name: string
  readonly typeOid: Oid
  readonly typmod: number
  readonly value: OutputValue
}

/**
 * Rows under ORDER BY … LIMIT are PostgreSQL's only if no tie reaches over the limit or
 * stands between two rows: the plan fetches one row more, and these columns, appended to
 * the select list, must differ between neighbours.
 */
export interface TieCheck {
  readonly keysAt: readonly number[]
  /** Rows to return; the SQL fetches limit + 1. null: no LIMIT, order alone is checked. */
  readonly limit: number | null
}

export interface ColumnarPlan {
  /** SQL text with relation references between. */
  readonly parts: readonly (string | RelationRef)[]
  readonly relations: readonly Oid[]
  readonly output: readonly OutputColumn[]
  readonly tieCheck: TieCheck | null
}

export type RouterResult =
  | { readonly kind: 'columnar'; readonly plan: ColumnarPlan }
  /** Why not, in words a user can act on; never holds a literal of the statement. */
  | { readonly kind: 'postgres'; readonly reason: string }

export interface RouterParameter {
  readonly typeOid: Oid
  /** 0 text, 1 binary: as the client bound it. */
  readonly format: 0 | 1
  readonly value: Buffer | null
}

/** Values that are constant for the statement and known to PostgreSQL only. */
export interface RouterContext {
  /** TimeZone of the session, an IANA name, lower-case differences already PostgreSQL's. */
  readonly timeZone: string
  /** transaction_timestamp(), µs since 1970-01-01 UTC. */
  readonly transactionTimeUs: bigint
  /** Major version of the server whose tree this is: 16, 17, 18. */
  readonly serverVersion: number
  /** What the database's default collation (pg_collation OID 100) does. */
  readonly collation: {
    /** C, POSIX or C.UTF-8 of any provider: text orders by its UTF-8 bytes. */
    readonly binaryOrder: boolean
    /** C.UTF-8 of the builtin provider: upper and lower map all of Unicode. */
    readonly unicodeCase: boolean
  }
}
