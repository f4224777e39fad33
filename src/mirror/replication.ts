/**
 * What flows from PostgreSQL to delta-sync: typed logical replication messages, the DDL
 * messages of our event triggers, and the port through which delta-sync asks for them.
 *
 * Source of the messages: PostgreSQL documentation, "Logical Replication Message Formats",
 * proto_version 1..2 without streaming: transactions arrive whole, in commit order.
 * Values are in text format, on a session with datestyle ISO, intervalstyle postgres,
 * timezone UTC, extra_float_digits 1, bytea_output hex.
 */
import type { Readable } from 'node:stream'
import type { Lsn } from '../base/lsn.ts'
import type { Oid } from '../base/oid.ts'

/** A column of a tuple: text bytes, SQL NULL, or unchanged TOAST (not sent). */
export type TupleValue = Buffer | null | typeof UNCHANGED_TOAST
export const UNCHANGED_TOAST: unique symbol = Symbol('unchanged TOAST')
export type Tuple = readonly TupleValue[]

export interface RelationColumn {
  readonly isKey: boolean
  readonly name: string
  readonly typeOid: Oid
  readonly typmod: number
}

export type ReplicationMessage =
  | { readonly kind: 'begin'; readonly finalLsn: Lsn; readonly commitTimeUs: bigint
      readonly xid: number }
  /** `endLsn` is the transaction's place in our order; times are µs since 1970-01-01. */
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn
      readonly commitTimeUs: bigint }
  | { readonly kind: 'relation'; readonly relid: Oid; readonly schema: string
      readonly name: string; readonly replicaIdentity: string
      readonly columns: readonly RelationColumn[] }
  | { readonly kind: 'insert'; readonly relid: Oid; readonly newTuple: Tuple }
  /** `oldTuple`: null when the key did not change under the default replica identity. */
  | { readonly kind: 'update'; readonly relid: Oid; readonly oldTuple: Tuple | null
      readonly oldIsKeyOnly: boolean; readonly newTuple: Tuple }
  | { readonly kind: 'delete'; readonly relid: Oid; readonly oldTuple: Tuple
      readonly oldIsKeyOnly: boolean }
  | { readonly kind: 'truncate'; readonly relids: readonly Oid[] }
  | { readonly kind: 'message'; readonly transactional: boolean; readonly lsn: Lsn
      readonly prefix: string; readonly content: Buffer }
  /** Type and Origin messages: nothing to do. */
  | { readonly kind: 'other' }
  /** Not pgoutput: the walsender's keepalive. Everything up to `walEnd` has been sent. */
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn }

/** A table as our event trigger describes it, in the WAL and from `slipway.describe()`. */
export interface TableDescription {
  readonly relid: number
  readonly schema: string
  readonly name: string
  /** null: can be mirrored. Else why not, in words, and what to do. */
  readonly refusal: { readonly reason: string; readonly cure: string } | null
  readonly columns: readonly {
    readonly attnum: number
    readonly name: string
    /** Base type of a domain. */
    readonly typeOid: number
    readonly typmod: number
    readonly elementOid: number
    readonly notNull: boolean
    /** ADD COLUMN with a constant default: existing rows hold a value that no message carries. */
    readonly hasMissing: boolean
  }[]
  readonly primaryKey: readonly number[]
}

/** JSON content of a transactional message with prefix `slipway.ddl`. */
export type DdlMessage =
  | { readonly op: 'table'; readonly table: TableDescription
      /** The command rewrote the heap: what pgoutput sent before no longer holds. */
      readonly rewritten: boolean }
  | { readonly op: 'drop'; readonly relid: number }

/** Which transactions a copy's snapshot already shows (pg_current_snapshot()). */
export interface CopyVisibility {
  /** 64-bit transaction ids, epoch included. */
  readonly xmin: bigint
  readonly xmax: bigint
  readonly inProgress: ReadonlySet<bigint>
}

export interface TableCopy {
  readonly visibility: CopyVisibility
  /** Insert LSN read after the snapshot: later commits are all invisible to it. */
  readonly lsn: Lsn
  /** The table as the copy's own snapshot sees it; column order is that of the CSV. */
  readonly description: TableDescription
  /** CSV, UTF-8, no header; unquoted empty is NULL, "" is the empty string. */
  readonly csv: Readable
  /** Ends the transaction; rejects when the COPY failed. Call after `csv` ended. */
  close(): Promise<void>
}

/** delta-sync's view of PostgreSQL; oltp implements it. */
export interface ReplicationSource {
  /** System identifier and database OID: the appId of our txn actions. */
  readonly systemIdentifier: string
  readonly databaseOid: number
  /** Ordered, one at a time, with backpressure. Ends when `signal` aborts, throws when lost. */
  stream(from: Lsn, signal: AbortSignal): AsyncIterable<readonly ReplicationMessage[]>
  /** Reports `lsn` as durable: PostgreSQL may drop the WAL before it for ever. */
  confirm(lsn: Lsn): void
  /** Asks the walsender for a keepalive now. */
  requestKeepalive(): void
  /** The slot's confirmed_flush_lsn: where a new stream begins. */
  confirmedLsn(): Promise<Lsn>
  /** Forces the WAL up to now to disk, so that the walsender sends it. */
  forceFlush(): Promise<void>
  /** Every table of the database that could be mirrored or says why it is not. */
  describeTables(): Promise<readonly TableDescription[]>
  copyTable(relid: Oid, signal: AbortSignal): Promise<TableCopy>
  /** Replaces the rows that slipway.tables shows for mirrored tables. */
  publishStatus(rows: readonly TableStatusRow[]): Promise<void>
}

export interface TableStatusRow {
  readonly relid: number
  readonly state: string
  readonly reason: string | null
  readonly cure: string | null
  readonly deltaPath: string
  readonly deltaVersion: number | null
  readonly durableLsn: Lsn | null
  readonly appliedLsn: Lsn | null
  readonly rows: number
  readonly files: number
  readonly tailRows: number
}
