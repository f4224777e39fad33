/**
 * ScriptedPostgres: a replication source whose database is a few maps in memory. It sends what
 * PostgreSQL would send, so that tests can ask for any order of events.
 */
import { Readable } from 'node:stream'
import { LSN_ZERO, type Lsn } from '../../src/base/lsn.ts'
import { oid, type Oid } from '../../src/base/oid.ts'
import { Deferred } from '../../src/base/deferred.ts'
import { SlipwayError } from '../../src/base/errors.ts'
import {
  UNCHANGED_TOAST, type ReplicationMessage, type ReplicationSource, type TableCopy,
  type TableDescription, type TableStatusRow, type Tuple,
} from '../../src/mirror/replication.ts'

export type Values = readonly (string | null)[]

export interface ScriptedTable {
  description: TableDescription
  readonly rows: Map<string, Values>
}

interface Entry { readonly endLsn: Lsn; readonly messages: readonly ReplicationMessage[] }

export class ScriptedPostgres implements ReplicationSource {
  readonly systemIdentifier = '7'
  readonly databaseOid = 5
  readonly tables = new Map<number, ScriptedTable>()
  statusRows: readonly TableStatusRow[] = []
  confirmed: Lsn = LSN_ZERO
  /** Awaited by copyTable after its snapshot is taken. */
  copyGate: Promise<void> = Promise.resolve()
  /** Entries of one stream batch; more are parted. */
  chunk = 100
  readonly #log: Entry[] = []
  #lsn = 1000n
  #xid = 100
  #wake = new Deferred<void>()
  #keepalives = 0
  #lose = false

  create(description: TableDescription, options: { readonly announce: boolean }): ScriptedTable {
    const table = { description, rows: new Map<string, Values>() }
    this.tables.set(description.relid, table)
    if (options.announce) {
      this.commit((t) => { t.ddl({ op: 'table', table: description, rewritten: false }) })
    }
    return table
  }

  get lsn(): Lsn { return this.#lsn as Lsn }

  commit(work: (transaction: ScriptedTransaction) => void): Lsn {
    const transaction = new ScriptedTransaction(this)
    work(transaction)
    const finalLsn = (this.#lsn += 10n) as Lsn
    const endLsn = (this.#lsn += 10n) as Lsn
    const commitTimeUs = BigInt(Date.now()) * 1000n
    this.#log.push({ endLsn, messages: [
      { kind: 'begin', finalLsn, commitTimeUs, xid: this.#xid++ },
      ...transaction.messages,
      { kind: 'commit', commitLsn: finalLsn, endLsn, commitTimeUs }] })
    this.#wake.resolve()
    return endLsn
  }

  requestFlush(): Lsn {
    const lsn = (this.#lsn += 10n) as Lsn
    const endLsn = (this.#lsn += 10n) as Lsn
    this.#log.push({ endLsn, messages: [{ kind: 'message', transactional: false, lsn,
      prefix: 'slipway.flush', content: Buffer.alloc(0) }] })
    this.#wake.resolve()
    return lsn
  }

  /** The next read of the stream fails. */
  loseStream(): void {
    this.#lose = true
    this.#wake.resolve()
  }

  async * stream(from: Lsn, signal: AbortSignal): AsyncIterable<readonly ReplicationMessage[]> {
    let at = this.#log.findIndex((entry) => entry.endLsn > from)
    if (at < 0) at = this.#log.length
    const described = new Set<number>()
    const stop = (): void => { this.#wake.resolve() }
    signal.addEventListener('abort', stop)
    while (!signal.aborted) {
      if (this.#lose) {
        this.#lose = false
        throw new SlipwayError('postgres-unreachable', 'lost')
      }
      const messages: ReplicationMessage[] = []
      for (; at < this.#log.length && messages.length < this.chunk; at++) {
        for (const message of this.#log[at]?.messages ?? []) {
          if ('relid' in message && message.kind !== 'relation' && !described.has(message.relid)) {
            described.add(message.relid)
            messages.push(this.#relationAt(message.relid, at))
          }
          if (message.kind === 'truncate') {
            for (const relid of message.relids) {
              if (!described.has(relid)) messages.push(this.#relationAt(relid, at))
              described.add(relid)
            }
          }
          if (message.kind === 'message' && message.prefix === 'slipway.ddl') described.clear()
          messages.push(message)
        }
      }
      if (this.#keepalives > 0 && at === this.#log.length) {
        this.#keepalives = 0
        messages.push({ kind: 'keepalive', walEnd: this.lsn })
      }
      if (messages.length > 0) { yield messages; continue }
      this.#wake = new Deferred()
      await this.#wake.promise
    }
  }

  /** The description that was in force for the log's entry: DDL entries after it undone. */
  #relationAt(relid: number, at: number): ReplicationMessage {
    let description = this.tables.get(relid)?.description
    for (const entry of this.#log.slice(0, at + 1)) {
      for (const message of entry.messages) {
        if (message.kind !== 'message' || message.prefix !== 'slipway.ddl') continue
        const ddl = JSON.parse(message.content.toString()) as { table?: TableDescription }
        if (ddl.table?.relid === relid) description = ddl.table
      }
    }
    return { kind: 'relation', relid: oid(relid), schema: description?.schema ?? '',
      name: description?.name ?? '', replicaIdentity: 'd',
      columns: (description?.columns ?? []).map((column) => ({ name: column.name,
        isKey: description?.primaryKey.includes(column.attnum) ?? false,
        typeOid: oid(column.typeOid), typmod: column.typmod })) }
  }

  confirm(lsn: Lsn): void { if (lsn > this.confirmed) this.confirmed = lsn }
  requestKeepalive(): void { this.#keepalives++; this.#wake.resolve() }
  confirmedLsn(): Promise<Lsn> { return Promise.resolve(this.confirmed) }
  forceFlush(): Promise<void> { return Promise.resolve() }

  describeTables(): Promise<readonly TableDescription[]> {
    return Promise.resolve([...this.tables.values()].map((table) => table.description))
  }

  async copyTable(relid: Oid): Promise<TableCopy> {
    const table = this.tables.get(relid)
    if (table === undefined) throw new SlipwayError('not-found', 'the table was dropped')
    const csv = [...table.rows.values()].map((row) => `${row.map(csvField).join(',')}\n`).join('')
    const copy = { description: table.description, lsn: this.lsn,
      visibility: { xmin: BigInt(this.#xid), xmax: BigInt(this.#xid),
        inProgress: new Set<bigint>() } }
    await this.copyGate
    return { ...copy, csv: Readable.from(csv === '' ? [] : [Buffer.from(csv)]),
      close: () => Promise.resolve() }
  }

  publishStatus(rows: readonly TableStatusRow[]): Promise<void> {
    this.statusRows = rows
    return Promise.resolve()
  }
}

function csvField(value: string | null): string {
  return value === null ? '' : `"${value.replaceAll('"', '""')}"`
}

export class ScriptedTransaction {
  readonly messages: ReplicationMessage[] = []
  readonly #server: ScriptedPostgres

  constructor(server: ScriptedPostgres) {
    this.#server = server
  }

  insert(relid: number, row: Values): void {
    const table = this.#table(relid)
    table.rows.set(keyOf(table, row), row)
    this.messages.push({ kind: 'insert', relid: oid(relid), newTuple: tuple(row) })
  }

  /** `toast`: indexes of columns that are not sent because they are as before. */
  update(relid: number, before: Values, after: Values, toast: readonly number[] = []): void {
    const table = this.#table(relid)
    const [oldKey, newKey] = [keyOf(table, before), keyOf(table, after)]
    table.rows.delete(oldKey)
    table.rows.set(newKey, after)
    this.messages.push({ kind: 'update', relid: oid(relid), oldIsKeyOnly: true,
      oldTuple: oldKey === newKey ? null : keyTuple(table, before),
      newTuple: tuple(after).map((value, at) => toast.includes(at) ? UNCHANGED_TOAST : value) })
  }

  delete(relid: number, row: Values): void {
    const table = this.#table(relid)
    table.rows.delete(keyOf(table, row))
    this.messages.push({ kind: 'delete', relid: oid(relid), oldIsKeyOnly: true,
      oldTuple: keyTuple(table, row) })
  }

  truncate(relid: number): void {
    this.#table(relid).rows.clear()
    this.messages.push({ kind: 'truncate', relids: [oid(relid)] })
  }

  ddl(message: object): void {
    this.messages.push({ kind: 'message', transactional: true, lsn: this.#server.lsn,
      prefix: 'slipway.ddl', content: Buffer.from(JSON.stringify(message)) })
  }

  #table(relid: number): ScriptedTable {
    const table = this.#server.tables.get(relid)
    if (table === undefined) throw new Error('no such table')
    return table
  }
}

function keyAt(table: ScriptedTable): readonly number[] {
  return table.description.primaryKey.map((attnum) =>
    table.description.columns.findIndex((column) => column.attnum === attnum))
}

function keyOf(table: ScriptedTable, row: Values): string {
  return JSON.stringify(keyAt(table).map((at) => row[at]))
}

function tuple(row: Values): Tuple {
  return row.map((value) => value === null ? null : Buffer.from(value))
}

function keyTuple(table: ScriptedTable, row: Values): Tuple {
  const at = keyAt(table)
  return row.map((value, index) => at.includes(index) && value !== null ? Buffer.from(value) : null)
}

/** A description with a first column that is the key. Types: int4, text, int8, numeric(12,2) … */
export function describeTable(relid: number, name: string,
  columns: readonly { readonly name: string; readonly typeOid: number; readonly typmod?: number
    readonly elementOid?: number }[], primaryKey: readonly number[] = [1]): TableDescription {
  return { relid, schema: 'public', name, refusal: null, primaryKey,
    columns: columns.map((column, at) => ({ attnum: at + 1, name: column.name,
      typeOid: column.typeOid, typmod: column.typmod ?? -1, elementOid: column.elementOid ?? 0,
      notNull: primaryKey.includes(at + 1), hasMissing: false })) }
}
