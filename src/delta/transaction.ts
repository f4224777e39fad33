/**
 * Transaction: changes to one snapshot that become one version, or none.
 *
 * X1  A remove carries the file's old deletion vector: without it readers disagree on what is
 *     left (facts: 193, 197, 192 rows instead of 96, and no error).
 * X2  At most one add and one remove a path, one metaData, one protocol, one txn an application.
 * X3  The commit's time is above every earlier commit's, and not before `notBeforeMs`.
 * X4  Commits of others that do not conflict are rebased over; a conflict is a value.
 * X5  A feature that the metadata needs comes into the protocol with the same commit.
 * X6  What the table's rules forbid is refused before anything is written: files of another
 *     partitioning, removals from an append-only table, vectors where they are not enabled, NULLs
 *     in columns that have none (new-file-rules.ts).
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import { failpoint } from '../base/failpoint.ts'
import type { Action, AddFile, ChangeFile, DeletionVectorDescriptor, DomainMetadata, Metadata,
  Protocol, RemoveFile } from './actions.ts'
import { CLUSTERING_DOMAIN, clusteringColumns, requireClusterable } from './clustering.ts'
import { physicalName } from './column-mapping.ts'
import { commitInfoOf, txnIdOf } from './commit-info.ts'
import { Committer } from './committer.ts'
import { conflictWith, type ConflictReason, type Footprint } from './conflict.ts'
import { writeChecksum } from './crc-writer.ts'
import { pathIdentity } from './data-path.ts'
import { readCommit } from './log-reader.ts'
import { requireNewFiles } from './new-file-rules.ts'
import { partitionFields, requirePartitionValues } from './partitioning.ts'
import { hasFeature, protocolCovering, requireWritable, withFeatures } from './protocol.ts'
import { requireRowIds, rowIdColumns, tracksRows, withRowIds } from './row-tracking.ts'
import { checkPartitioning, checkSchema, parseSchema, printSchema, type StructType }
  from './schema.ts'
import type { Snapshot } from './snapshot.ts'
import { loosenStats } from './stats.ts'
import type { DeltaTable } from './table.ts'
import { nextVersion, type Version } from './version.ts'

export interface TransactionOptions {
  /** As DESCRIBE HISTORY shows it: WRITE, DELETE, OPTIMIZE … */
  readonly operation: string
  readonly operationParameters?: Readonly<Record<string, string>>
  /** As DESCRIBE HISTORY shows them: `numOutputRows` … */
  readonly operationMetrics?: Readonly<Record<string, string>>
  /** The changes were decided by all of the table's rows. */
  readonly readsWholeTable?: boolean
  /** The files that it adds hold rows of the table as they were: OPTIMIZE. */
  readonly movesRows?: boolean
}

export type CommitOutcome =
  | { readonly kind: 'committed'; readonly version: Version; readonly snapshot: Snapshot
      readonly timestampMs: number; readonly sizeBytes: number }
  /** `version`: the other writer's commit that cannot be reconciled with this one. */
  | { readonly kind: 'conflict'; readonly version: Version; readonly reason: ConflictReason }

/** Rebases before giving up: another writer would have to win each of them. */
const ATTEMPTS_MAX = 1000

const ICT_ENABLED = 'delta.enableInCommitTimestamps'

export class Transaction {
  readonly snapshot: Snapshot
  readonly #table: DeltaTable
  readonly #clock: Clock
  readonly #options: TransactionOptions
  readonly #adds = new Map<string, { readonly file: AddFile; readonly isNew: boolean }>()
  readonly #removes = new Map<string, { readonly file: AddFile; readonly dataChange: boolean }>()
  readonly #changes: ChangeFile[] = []
  readonly #txns = new Map<string, bigint>()
  readonly #domains = new Map<string, DomainMetadata>()
  #metadata: Metadata | null = null
  #protocol: Protocol | null = null
  #done = false

  /** Made by `DeltaTable.begin`. */
  constructor(init: { readonly table: DeltaTable; readonly clock: Clock
    readonly options: TransactionOptions }) {
    this.#table = init.table
    this.#clock = init.clock
    this.#options = init.options
    this.snapshot = init.table.snapshot
  }

  get isEmpty(): boolean {
    return this.#adds.size + this.#removes.size + this.#changes.length + this.#txns.size
      + this.#domains.size === 0
      && this.#metadata === null && this.#protocol === null
  }

  /** `file.path` percent-encoded; the file must be durable already. Row ids are given here. */
  add(file: AddFile): this {
    return this.#place(file, true)
  }

  /** A file that the table had before, as it was then. */
  addAgain(file: AddFile): this {
    return this.#place(file, false)
  }

  #place(file: AddFile, isNew: boolean): this {
    const path = pathIdentity(file.path)
    assert(!this.#adds.has(path), 'X2: one add a path')
    this.#adds.set(path, { file, isNew })
    return this
  }

  /** X1. `file`: as the snapshot holds it. */
  remove(file: AddFile, options: { readonly dataChange?: boolean } = {}): this {
    const path = pathIdentity(file.path)
    assert(!this.#removes.has(path), 'X2: one remove a path')
    this.#removes.set(path, { file, dataChange: options.dataChange ?? true })
    return this
  }

  /** X6. The file with more rows deleted: its old form is removed, its new one added. */
  replaceDeletionVector(file: AddFile, deletionVector: DeletionVectorDescriptor): this {
    if (this.metadata.configuration['delta.enableDeletionVectors'] !== 'true') {
      throw new SlipwayError('usage', 'the table does not allow deletion vectors: '
        + 'delta.enableDeletionVectors is not true')
    }
    assert(file.stats !== undefined, 'a file with a deletion vector says its numRecords')
    this.remove(file)
    return this.addAgain({ ...file, dataChange: true, stats: loosenStats(file.stats),
      deletionVector })
  }

  /** Every live file. */
  removeAll(): this {
    for (const file of this.snapshot.files()) this.remove(file)
    return this
  }

  /** Once a commit has any, they alone are its change feed (change-feed.ts writes them). */
  addChangeFile(file: ChangeFile): this {
    this.#changes.push(file)
    return this
  }

  /** `null` removes the domain. Domains that begin with `delta.` belong to table features. */
  setDomain(domain: string, configuration: string | null): this {
    this.#domains.set(domain, { domain, configuration: configuration ?? '',
      removed: configuration === null })
    return this
  }

  /** X5. Throws `usage` for a schema with two columns of one name, ignoring case. */
  setSchema(schema: StructType): this {
    checkSchema(schema)
    const metadata = this.#metadata ?? this.snapshot.metadata
    return this.setMetadata({ ...metadata, schemaString: printSchema(schema) })
  }

  /**
   * X5. What column-mapping.ts, type-widening.ts and table-properties.ts make of `metadata`.
   * Throws `usage` for metadata that no table may have.
   */
  setMetadata(metadata: Metadata): this {
    const schema = parseSchema(metadata.schemaString)
    checkSchema(schema)
    checkPartitioning(schema, metadata.partitionColumns)
    this.#metadata = metadata
    return this
  }

  /** Only to add features by hand: those that the metadata needs come by themselves. */
  setProtocol(protocol: Protocol): this {
    this.#protocol = protocol
    return this
  }

  /** The metadata that the table will have. */
  get metadata(): Metadata {
    return this.#metadata ?? this.snapshot.metadata
  }

  /** Makes replay harmless: `snapshot.txn(appId)` says how far the application has come. */
  setTxn(appId: string, version: bigint): this {
    this.#txns.set(appId, version)
    return this
  }

  /**
   * X3, X4. Durable when it returns `committed`. If it throws, the outcome is unknown: read
   * the log (`snapshot.txn`) before trying again. Once only.
   */
  async commit(options: { readonly notBeforeMs?: number } = {}): Promise<CommitOutcome> {
    assert(!this.#done, 'a transaction commits once')
    this.#done = true
    let base = this.snapshot
    requireWritable(base.protocol, base.metadata)
    this.#requireAllowed(base)
    const committer = new Committer({ storage: this.#table.storage })
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const version = nextVersion(base.version)
      const timestampMs = Math.max(this.#clock.now(), options.notBeforeMs ?? 0,
        base.timestampMs + 1)
      const actions = this.#actions(base, version, timestampMs)
      failpoint('commit.before-link')
      const result = await committer.commit(version, actions, { timestampMs })
      if (result.kind === 'committed') {
        const snapshot = base.next({ version, mtimeMs: timestampMs, actions })
        this.#table.advance(snapshot)
        failpoint('commit.after-link')
        await writeChecksum(this.#table.storage, snapshot, txnIdOf(actions))
        return { kind: 'committed', version, snapshot, timestampMs, sizeBytes: result.sizeBytes }
      }
      const rebased = await this.#rebase(base)
      if ('reason' in rebased) return rebased
      base = rebased.snapshot
    }
    throw new SlipwayError('delta-conflict',
      `${ATTEMPTS_MAX} other commits came before this one; giving up`)
  }

  /** X4. Over every commit that is there by now. */
  async #rebase(from: Snapshot): Promise<{ readonly snapshot: Snapshot }
    | Extract<CommitOutcome, { kind: 'conflict' }>> {
    const footprint = this.#footprint()
    let snapshot = from
    for (;;) {
      const version = nextVersion(snapshot.version)
      const winner = await readCommit(this.#table.storage, version)
      if (winner === null) break
      const reason = conflictWith(footprint, winner.actions)
      if (reason !== null) return { kind: 'conflict', version, reason }
      snapshot = snapshot.next(winner)
    }
    if (snapshot === from) {
      throw new SlipwayError('delta-corrupt', 'the commit that came before ours is gone')
    }
    return { snapshot }
  }

  #footprint(): Footprint {
    return { removes: new Set(this.#removes.keys()), adds: new Set(this.#adds.keys()),
      appIds: new Set(this.#txns.keys()),
      // The statistics that a new file must have hang on it.
      domains: new Set([...this.#domains.keys(),
        ...this.#adds.size === 0 ? [] : [CLUSTERING_DOMAIN]]),
      readsWholeTable: this.#options.readsWholeTable === true }
  }

  /** X6. */
  #requireAllowed(base: Snapshot): void {
    const appendOnly = base.metadata.configuration['delta.appendOnly'] === 'true'
    if (appendOnly && [...this.#removes.values()].some((remove) => remove.dataChange)) {
      throw new SlipwayError('usage', 'the table is append-only: its rows cannot be removed')
    }
    const adds = [...this.#adds.values()]
    requirePartitionValues(this.metadata, [...adds.map(({ file }) => file), ...this.#changes])
    const clustering = this.#clustering(base)
    requireClusterable(clustering, this.metadata)
    // Parsed for every commit it would cost more than the rest of a small one.
    const schema = this.#metadata === null ? base.schema : parseSchema(this.#metadata.schemaString)
    const { partitionColumns } = this.metadata
    requireNewFiles({ schema, partitionColumns, clustering }, adds
      .filter(({ file, isNew }) => isNew && file.dataChange).map(({ file }) => file))
    if (this.#metadata !== null) this.#requireAlterable(base, this.#metadata, schema)
  }

  /** The columns that the table will be clustered by. */
  #clustering(base: Snapshot): readonly (readonly string[])[] {
    const own = this.#domains.get(CLUSTERING_DOMAIN)
    if (own === undefined) return clusteringColumns(base.domain(CLUSTERING_DOMAIN))
    return clusteringColumns(own.removed ? null : own.configuration)
  }

  /** X6, of new metadata over the files that stay, which are looked at only where it matters. */
  #requireAlterable(base: Snapshot, metadata: Metadata, schema: StructType): void {
    requireRowIds(base, metadata, this.#staying(base))
    const names = (of: Metadata): string => partitionFields(of).map(physicalName).join('\0')
    const moves = names(metadata) !== names(base.metadata)
    const tightened = tightenedField(base.schema, schema)
    if ((!moves && tightened === null) || this.#staying(base).next().done === true) return
    throw new SlipwayError('usage', moves
      ? 'the partition columns of a table change only when all of its files are removed'
      : `${tightened ?? ''} cannot become NOT NULL: files of before may hold NULLs there`)
  }

  * #staying(base: Snapshot): Generator<AddFile, void> {
    for (const file of base.files()) {
      if (!this.#removes.has(pathIdentity(file.path))) yield file
    }
  }

  #actions(base: Snapshot, version: Version, timestampMs: number): Action[] {
    const metadata = this.#metadata === null ? null
      : withEnablement(base.metadata, this.#metadata, version, timestampMs)
    const covering = protocolCovering(this.#protocol ?? base.protocol, metadata ?? base.metadata)
    const wanted = this.#domains.size === 0 || hasFeature(covering, 'domainMetadata') ? covering
      : withFeatures(covering, ['domainMetadata'], { restate: true })
    requireWritable(wanted, metadata ?? base.metadata)
    const tracked = this.#tracked(base, version, wanted)
    const isBlindAppend = this.#removes.size === 0 && metadata === null
      && this.#options.readsWholeTable !== true
    return [
      { commitInfo: commitInfoOf({ operation: this.#options.operation,
        operationParameters: this.#options.operationParameters ?? {}, timestampMs,
        ...this.#options.operationMetrics === undefined ? {}
          : { operationMetrics: this.#options.operationMetrics },
        isBlindAppend, metadata: metadata ?? base.metadata,
        ...tracked.tags === undefined ? {} : { tags: tracked.tags } }) },
      ...wanted === base.protocol ? [] : [{ protocol: wanted }],
      ...metadata === null ? [] : [{ metaData: metadata }],
      ...[...this.#txns].map(([appId, at]) =>
        ({ txn: { appId, version: at, lastUpdated: timestampMs } })),
      ...[...this.#domains.values(), ...tracked.domain === null ? [] : [tracked.domain]]
        .map((domainMetadata) => ({ domainMetadata })),
      ...[...this.#removes.values()].map(({ file, dataChange }) =>
        ({ remove: removeOf(file, dataChange, timestampMs) })),
      ...tracked.adds.map((add) => ({ add })),
      ...this.#changes.map((cdc) => ({ cdc })),
    ]
  }

  /** The adds with row ids, where the table tracks rows. */
  #tracked(base: Snapshot, version: Version, protocol: Protocol)
    : ReturnType<typeof withRowIds> & { readonly tags?: Readonly<Record<string, string>> } {
    const adds = [...this.#adds.values()]
    if (!tracksRows(protocol, this.metadata)) {
      return { adds: adds.map(({ file }) => file), domain: null }
    }
    const copies = this.#removes.size > 0 && adds.some(({ isNew }) => isNew)
    const keeps = this.#options.movesRows === true && rowIdColumns(this.metadata) !== null
    return { ...withRowIds(base, version, adds),
      tags: { 'delta.rowTracking.preserved': String(!copies || keeps) } }
  }
}

function removeOf(file: AddFile, dataChange: boolean, deletionTimestamp: number): RemoveFile {
  return {
    path: file.path,
    deletionTimestamp,
    dataChange,
    extendedFileMetadata: true,
    partitionValues: file.partitionValues,
    size: file.size,
    ...file.tags === undefined ? {} : { tags: file.tags },
    ...file.deletionVector === undefined ? {} : { deletionVector: file.deletionVector },
    ...file.baseRowId === undefined ? {} : { baseRowId: file.baseRowId },
    ...file.defaultRowCommitVersion === undefined ? {}
      : { defaultRowCommitVersion: file.defaultRowCommitVersion },
  }
}

/** The name of a column that had, or could have had, NULLs before and is NOT NULL now. */
function tightenedField(before: StructType, after: StructType): string | null {
  for (const field of after.fields) {
    const old = before.fields.find((one) => physicalName(one) === physicalName(field))
    if (!field.nullable && old?.nullable !== false) return field.name
    if (typeof field.type !== 'object' || field.type.type !== 'struct'
      || typeof old?.type !== 'object' || old.type.type !== 'struct') continue
    const inside = tightenedField(old.type, field.type)
    if (inside !== null) return inside
  }
  return null
}

/** In-commit time on an existing table says from where on it is kept (PROTOCOL.md). */
function withEnablement(old: Metadata, metadata: Metadata, version: Version, timestampMs: number)
  : Metadata {
  const enabling = metadata.configuration[ICT_ENABLED] === 'true'
    && old.configuration[ICT_ENABLED] !== 'true'
  if (!enabling) return metadata
  return { ...metadata, configuration: { ...metadata.configuration,
    'delta.inCommitTimestampEnablementVersion': String(version),
    'delta.inCommitTimestampEnablementTimestamp': String(timestampMs) } }
}
