/**
 * TableKeeper: what happens to a table besides its rows: DDL, truncation, suspension.
 *
 * TK1  Everything here runs inside a batch, in order with the data.
 * TK2  A table that cannot go on is suspended with reason and cure; the others go on.
 * TK3  What must not be forgotten after a crash (a suspension, a copy that has to be made
 *      anew) is in `suspensions` until the lake says it.
 * TK4  A transaction too large to be held in memory is not applied: its table is copied anew.
 */
import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { oid, type Oid } from '../base/oid.ts'
import type { DdlMessage, ReplicationMessage, TableDescription } from '../mirror/replication.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import type { Batch } from './batch.ts'
import { ChangeSpool, type SpooledChange } from './change-spool.ts'
import type { LakeFolders } from './lake-folders.ts'
import type { LakeTable } from './lake-table.ts'
import type { Suspension } from './lake-schema.ts'
import { MirroredTable, type TableBody } from './mirrored-table.ts'
import type { MirrorTables } from './mirror-tables.ts'
import { schemaChange, schemaOf } from './table-description.ts'
import { tableFault } from './table-fault.ts'

export interface TableKeeperOptions {
  readonly tables: MirrorTables
  readonly batch: Batch
  readonly folders: LakeFolders
  readonly spoolDirectory: string
  /** TK4. */
  readonly layerRowsMax: number
  readonly logger: Logger
  /** The table waits for its copy. */
  readonly onCopyWanted: (table: MirroredTable) => void
  /** Its copy, waiting or running, is not wanted any more. */
  readonly onCopyUnwanted: (table: MirroredTable) => void
  /** How many transactions the stream has delivered. */
  readonly delivered: () => number
  /** The columns that the stream last described for the table. */
  readonly relation: (relid: Oid) => SpooledRelation
}

type SpooledRelation = MirroredTable['relation']

export class TableKeeper {
  readonly #options: TableKeeperOptions
  /** TK3, by folder. */
  readonly suspensions = new Map<string, { readonly lake: LakeTable
    readonly suspension: Suspension }>()
  #spools = 0

  constructor(options: TableKeeperOptions) {
    this.#options = options
  }

  /** One change of one table. null when it is done without asking DuckDB. */
  apply(table: MirroredTable, change: SpooledChange): Promise<void> | null {
    const { message } = change
    try {
      switch (message.kind) {
        case 'relation': table.setRelation(message.columns); return null
        case 'insert': table.insert(message.newTuple); break
        case 'update': table.update(message.oldTuple, message.newTuple); break
        case 'delete': table.delete(message.oldTuple); break
        case 'truncate': return this.#truncate(table, change.commitTimeUs)
        case 'message': return this.#applyDdl(table, parseTable(message), change.commitTimeUs)
        default: return null
      }
      table.noteCommit(change.commitTimeUs)
      if (table.layer.keys.size > this.#options.layerRowsMax) this.restart(table, table.schema)
      else this.#options.batch.touch(table)
    } catch (error) {
      const fault = tableFault(error)
      if (fault === null) throw error
      this.suspend(table, fault)
    }
    return null
  }

  ddl(ddl: DdlMessage, message: ReplicationMessage,
    transaction: { readonly xid: number; readonly commitTimeUs: bigint
      readonly finalLsn: bigint }): Promise<void> | null {
    const relid = oid(ddl.op === 'drop' ? ddl.relid : ddl.table.relid)
    const table = this.#options.tables.get(relid)
    if (ddl.op === 'drop') {
      if (table !== null) this.drop(table)
      return null
    }
    if (table === null) {
      if (ddl.table.refusal === null) this.create(schemaOf(ddl.table))
      return null
    }
    if (transaction.finalLsn < table.lakeLsn) return null
    if (table.spool !== null) {
      table.spool.add({ xid: transaction.xid, commitTimeUs: transaction.commitTimeUs, message })
      return null
    }
    return this.#applyDdl(table, ddl, transaction.commitTimeUs)
  }

  /** A table that is not mirrored yet: changes are kept from now on, and a copy is asked for. */
  create(schema: TableSchema, relation: SpooledRelation = null): MirroredTable {
    const { tables, spoolDirectory } = this.#options
    const table = new MirroredTable(schema)
    table.setRelation(relation ?? this.#options.relation(schema.relid))
    table.spool = new ChangeSpool(join(spoolDirectory, `${schema.relid}-${++this.#spools}`))
    table.spoolSince = this.#options.delivered()
    tables.set(table)
    this.#options.onCopyWanted(table)
    return table
  }

  /** TK2. */
  suspend(table: MirroredTable, fault: { readonly reason: string; readonly cure: string }): void {
    const { logger } = this.#options
    logger.warn({ relid: table.relid, reason: fault.reason }, 'a table is suspended')
    this.#options.onCopyUnwanted(table)
    table.move({ kind: 'failed', ...fault })
    this.#abandon(table, { ...fault, recopy: false })
  }

  /** The table as it is mirrored is not to be relied on: copied anew. */
  restart(table: MirroredTable, schema: TableSchema): void {
    this.#options.logger.info({ relid: table.relid }, 'a table is copied anew')
    this.#options.onCopyUnwanted(table)
    this.#abandon(table, { reason: 'it is being copied anew', cure: 'Wait.', recopy: true })
    this.create(schema, table.relation)
  }

  drop(table: MirroredTable): void {
    this.#options.onCopyUnwanted(table)
    this.#abandon(table, null)
    this.#options.tables.delete(table.relid)
    const lake = table.body?.lake
    if (lake !== undefined) this.suspensions.delete(lake.folder)
    this.#options.folders.remove(lake?.folder ?? this.#options.folders.folder(table.schema))
    table.body?.index.drop().catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, 'a dropped table\'s keys stay in the index')
    })
  }

  #abandon(table: MirroredTable, suspension: Suspension | null): void {
    table.buffer.clear()
    table.spool?.[Symbol.dispose]()
    table.spool = null
    const { body } = table
    if (body === null) return
    if (!table.abandoned) this.#options.batch.discard({ live: body.liveName, dead: body.deadName })
    table.abandoned = true
    // A flush under way may make the table's log only after this.
    if (suspension !== null && (body.lake.version !== null || table.frozen !== null)) {
      this.suspensions.set(body.lake.folder, { lake: body.lake, suspension })
    }
  }

  async #truncate(table: MirroredTable, commitTimeUs: bigint): Promise<void> {
    const { batch, tables } = this.#options
    const { body } = table
    if (body === null) return
    table.truncate()
    table.noteCommit(commitTimeUs)
    const store = await batch.opened()
    const liveName = tables.liveName(table.relid)
    const deadName = tables.deadName(table.relid)
    await store.createLive(liveName, table.columns)
    await store.createDead(deadName)
    batch.discard({ live: body.liveName, dead: body.deadName })
    table.replaceBody({ liveName, deadName })
  }

  #applyDdl(table: MirroredTable, ddl: DdlMessage | null, commitTimeUs: bigint)
    : Promise<void> | null {
    if (ddl === null || ddl.op === 'drop') return null
    if (ddl.table.refusal !== null) {
      this.suspend(table, ddl.table.refusal)
      return null
    }
    if (table.state.kind === 'errored' || table.body === null) {
      this.restart(table, schemaOf(ddl.table))
      return null
    }
    switch (schemaChange(table.schema, ddl.table, ddl.rewritten)) {
      case 'none': return null
      case 'copy': this.restart(table, schemaOf(ddl.table)); return null
      case 'moved': this.#move(table, ddl.table); return null
      case 'restated': this.#restate(table, schemaOf(ddl.table)); return null
      case 'evolved': return this.#evolve(table, ddl.table, commitTimeUs)
    }
  }

  /** Another path is another Delta table: it is copied there, and the old folder goes. */
  #move(table: MirroredTable, description: TableDescription): void {
    const { body } = table
    this.restart(table, schemaOf(description))
    if (body === null) return
    this.suspensions.delete(body.lake.folder)
    this.#options.folders.remove(body.lake.folder)
  }

  #restate(table: MirroredTable, schema: TableSchema): void {
    const { body } = table
    if (body === null) return
    table.replaceBody({ record: { ...body.record, table: schema } })
    table.layer.metadataChanged = true
  }

  async #evolve(table: MirroredTable, description: TableDescription, commitTimeUs: bigint)
    : Promise<void> {
    const { batch, tables } = this.#options
    const { body } = table
    if (body === null) return
    const moved = description.name !== table.schema.name
      || description.schema !== table.schema.schema
    if (moved) { this.#move(table, description); return }
    if (isUnlogged(body) && (table.uncommitted.length > 0 || table.frozen !== null)) {
      // Files are named by no commit yet: no log says what their columns were called.
      this.restart(table, schemaOf(description))
      return
    }
    const store = await batch.opened()
    await table.send(store)
    const fromColumns = table.columns
    const record = body.lake.nextRecord(body.record, schemaOf(description))
    const liveName = tables.liveName(table.relid)
    await store.moveTail({ from: body.liveName, fromColumns, to: liveName,
      columns: record.table.columns, afterSeq: -1 })
    batch.discard({ live: body.liveName, dead: null })
    table.replaceBody({ record, liveName })
    // pgoutput describes the table again before its next row.
    table.setRelation(null)
    table.layer.metadataChanged = true
    table.noteCommit(commitTimeUs)
  }
}

/** No commit says anything of the table as it was copied last. */
function isUnlogged(body: TableBody): boolean {
  return body.lake.record?.incarnation !== body.record.incarnation
}

function parseTable(message: Extract<ReplicationMessage, { kind: 'message' }>): DdlMessage | null {
  return JSON.parse(message.content.toString('utf8')) as DdlMessage
}
