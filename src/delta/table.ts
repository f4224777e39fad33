/**
 * DeltaTable: one Delta table, read and written through a storage.
 *
 * D1  `snapshot` only moves forward, and is whole at every moment.
 * D2  A table that we make is (3,7) with deletion vectors and in-commit timestamps, and no
 *     feature that none of its columns or properties needs.
 * D3  An error names the table.
 */
import { randomUUID } from 'node:crypto'
import { systemClock, type Clock } from '../base/clock.ts'
import { SlipwayError } from '../base/errors.ts'
import { tableName, type Storage } from '../storage/storage.ts'
import type { Action, AddFile, Metadata } from './actions.ts'
import { enableColumnMapping, mappingMode, MAPPING_MODE } from './column-mapping.ts'
import { commitInfoOf, txnIdOf } from './commit-info.ts'
import { Committer } from './committer.ts'
import { writeChecksum } from './crc-writer.ts'
import { readHistory, versionAt, type HistoryEntry } from './history.ts'
import { readLastCheckpoint } from './log-segment.ts'
import { loadSnapshot, readCommit } from './log-reader.ts'
import { requireNewFiles } from './new-file-rules.ts'
import { requirePartitionValues } from './partitioning.ts'
import { protocolFor } from './protocol.ts'
import { checkPartitioning, checkSchema, parseSchema, printSchema, type StructType }
  from './schema.ts'
import { SnapshotBuilder, type Snapshot } from './snapshot.ts'
import { setProperties } from './table-properties.ts'
import { Transaction, type TransactionOptions } from './transaction.ts'
import { commitPath, nextVersion, version, type Version } from './version.ts'

export interface TableOptions {
  readonly storage: Storage
  readonly clock?: Clock
}

export interface CreateOptions extends TableOptions {
  readonly schema: StructType
  readonly partitionColumns?: readonly string[]
  /** Added to the properties of D2. */
  readonly configuration?: Readonly<Record<string, string>>
  readonly name?: string
  readonly description?: string
  readonly txn?: { readonly appId: string; readonly version: bigint }
  readonly adds?: readonly AddFile[]
  /** The commit's time is not before this (milliseconds). */
  readonly notBeforeMs?: number
}

export class DeltaTable {
  readonly storage: Storage
  readonly #clock: Clock
  #snapshot: Snapshot

  private constructor(storage: Storage, clock: Clock, snapshot: Snapshot) {
    this.storage = storage
    this.#clock = clock
    this.#snapshot = snapshot
  }

  /**
   * `version`: the snapshot to begin with, absent the newest; nothing later is read for it, so
   * that damage in later commits does not matter. Throws `not-found` when there is no log, or no
   * such version; `delta-corrupt`, `delta-unsupported`.
   */
  static async open(options: TableOptions & { readonly version?: Version })
    : Promise<DeltaTable> {
    const table = await DeltaTable.openIfExists(options)
    if (table === null) {
      throw new SlipwayError('not-found', `there is no Delta table in ${options.storage.root}`)
    }
    return table
  }

  /** null when there is no log. */
  static async openIfExists(options: TableOptions & { readonly version?: Version })
    : Promise<DeltaTable | null> {
    const { storage, version: at = null } = options
    const snapshot = await namingTable(storage, () => loadSnapshot(storage, at))
    return snapshot === null ? null
      : new DeltaTable(storage, options.clock ?? systemClock, snapshot)
  }

  /** D2. Writes version 0. Throws `delta-conflict` when there is a log already. */
  static async create(options: CreateOptions): Promise<DeltaTable> {
    const { storage, clock = systemClock } = options
    checkSchema(options.schema)
    // Nothing is written that nobody could read: a type that Delta does not have.
    parseSchema(printSchema(options.schema))
    checkPartitioning(options.schema, options.partitionColumns ?? [])
    const timestampMs = Math.max(clock.now(), options.notBeforeMs ?? 0)
    const metadata = newMetadata(options, timestampMs)
    requirePartitionValues(metadata, options.adds ?? [])
    requireNewFiles({ schema: parseSchema(metadata.schemaString), clustering: [],
      partitionColumns: metadata.partitionColumns }, options.adds ?? [])
    const actions: Action[] = [
      { commitInfo: commitInfoOf({ operation: 'CREATE TABLE', operationParameters: {},
        timestampMs, isBlindAppend: true, metadata }) },
      { protocol: protocolFor(options.schema, metadata.configuration) },
      { metaData: metadata },
      ...options.txn === undefined ? []
        : [{ txn: { ...options.txn, lastUpdated: timestampMs } }],
      ...(options.adds ?? []).map((add) => ({ add })),
    ]
    const first = version(0)
    const result = await new Committer({ storage }).commit(first, actions, { timestampMs })
    if (result.kind === 'conflict') {
      throw new SlipwayError('delta-conflict', `a Delta table exists already in ${storage.root}`)
    }
    const builder = new SnapshotBuilder()
    builder.commit({ version: first, mtimeMs: timestampMs, actions })
    const snapshot = builder.build()
    await writeChecksum(storage, snapshot, txnIdOf(actions))
    return new DeltaTable(storage, clock, snapshot)
  }

  /** The newest that this object knows; no I/O. */
  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /**
   * Looks for newer commits first. Costs what they hold, whatever the table's age. Throws
   * `delta-corrupt` when the log goes on behind a missing commit.
   */
  async latest(): Promise<Snapshot> {
    return namingTable(this.storage, async () => {
      let snapshot = this.#snapshot
      for (;;) {
        const commit = await readCommit(this.storage, nextVersion(snapshot.version))
        if (commit === null) break
        snapshot = snapshot.next(commit)
      }
      // No next commit: the newest, unless clean-up took it and a checkpoint stands for it. Then
      // it took the one before, too.
      const hint = await readLastCheckpoint(this.storage)
      if (hint !== null && hint > snapshot.version
        || await this.storage.stat(commitPath(snapshot.version)) === null
        || await goesOn(this.storage, snapshot.version)) {
        snapshot = await loadSnapshot(this.storage, null) ?? snapshot
      }
      this.advance(snapshot)
      return this.#snapshot
    })
  }

  /** Throws `not-found` for a version that is not there (any more). */
  async at(wanted: Version): Promise<Snapshot> {
    if (wanted === this.#snapshot.version) return this.#snapshot
    return namingTable(this.storage, async () => {
      const snapshot = await loadSnapshot(this.storage, wanted)
      if (snapshot === null) throw new SlipwayError('not-found', 'there is no log')
      return snapshot
    })
  }

  /**
   * The state at a moment; H2 of history.ts. Throws `not-found` for one before the oldest
   * version that can still be read, and for one after the newest.
   */
  async atTimestamp(timestampMs: number): Promise<Snapshot> {
    const latest = await this.latest()
    return await this.at(await namingTable(this.storage,
      () => versionAt(this.storage, latest, timestampMs)))
  }

  /** Newest first. */
  history(): AsyncGenerator<HistoryEntry> {
    return readHistory(this.storage, this.#snapshot)
  }

  /** A transaction on `snapshot`. */
  begin(options: TransactionOptions): Transaction {
    return new Transaction({ table: this, clock: this.#clock, options })
  }

  /** D1. For Transaction: `snapshot` is a state that the log has reached. */
  advance(snapshot: Snapshot): void {
    if (snapshot.version > this.#snapshot.version) this.#snapshot = snapshot
  }
}

/** How far behind a missing commit others are looked for. */
const GAP_DOUBLINGS = 8

/**
 * Whether there are commits behind the missing one after `last`. Listing a log costs its whole
 * length; each look goes twice as far as the one before, so that no gap of fewer than 256 commits
 * is passed over that as many follow.
 */
async function goesOn(storage: Storage, last: Version): Promise<boolean> {
  const ahead = Array.from({ length: GAP_DOUBLINGS + 2 }, (_, power) => 1 + 2 ** power)
  const found = await Promise.all(ahead.map((step) =>
    storage.stat(commitPath(version(last + step)))))
  return found.some((file) => file !== null)
}

function newMetadata(options: CreateOptions, timestampMs: number): Metadata {
  const { [MAPPING_MODE]: mapping = 'none', ...configuration } = options.configuration ?? {}
  const metadata = setProperties({
    id: randomUUID(),
    ...options.name === undefined ? {} : { name: options.name },
    ...options.description === undefined ? {} : { description: options.description },
    format: { provider: 'parquet', options: {} },
    schemaString: printSchema(options.schema),
    partitionColumns: options.partitionColumns ?? [],
    configuration: { 'delta.enableDeletionVectors': 'true',
      'delta.enableInCommitTimestamps': 'true' },
    createdTime: timestampMs,
  }, configuration)
  if (mapping === 'none') return metadata
  const mapped = enableColumnMapping(metadata)
  const created = { ...mapped, configuration: { ...mapped.configuration,
    [MAPPING_MODE]: mapping } }
  mappingMode(created)
  return created
}

/** D3. */
async function namingTable<T>(storage: Storage, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    const name = tableName(storage)
    if (error.message.startsWith(name)) throw error
    throw new SlipwayError(error.code, `${name}: ${error.message}`,
      { cause: error, hint: error.hint })
  }
}
