/**
 * Snapshot: a table's whole state at one version.
 *
 * N1  Immutable: what it answers never changes, however far the table goes on.
 * N2  The next snapshot is made from this one and the new commit alone, at the commit's price.
 * N3  At most one live file a path. A remove ends only the logical file that it names: the path
 *     with that deletion vector (PROTOCOL.md "Action Reconciliation").
 * N4  It exists only for tables that we read rightly: reader features, types and column mappings
 *     that we do not know are refused.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Action, AddFile, CommitInfo, DomainMetadata, Metadata, Protocol, RemoveFile, Txn }
  from './actions.ts'
import { mappingMode } from './column-mapping.ts'
import { pathIdentity } from './data-path.ts'
import { deletionVectorId } from './deletion-vector.ts'
import type { CheckpointPart } from './checkpoint-parquet.ts'
import { FileSet, type AddedFile, type FileSetEditor, type LiveBlock } from './file-set.ts'
import { PersistentMap, type MapEditor } from './persistent-map.ts'
import { requireReadable } from './protocol.ts'
import { parseSchema, type StructType } from './schema.ts'
import { TombstoneSet, type TombstoneSetEditor } from './tombstone-set.ts'
import type { Version } from './version.ts'

/** One commit as replay needs it, or several that were compacted into one. */
export interface CommitContent {
  readonly version: Version
  /** Of the versions folded together; absent: one. */
  readonly first?: Version
  /** Modification time of the commit's file. */
  readonly mtimeMs: number
  readonly actions: readonly Action[]
}

interface State {
  readonly version: Version
  readonly timestampMs: number
  readonly inCommitTimestamp: number | null
  readonly protocol: Protocol
  readonly metadata: Metadata
  readonly schema: StructType
  readonly files: FileSet
  readonly tombstones: TombstoneSet
  readonly txns: PersistentMap<Txn>
  readonly domains: PersistentMap<DomainMetadata>
  readonly sizeBytes: number
}

export class Snapshot {
  readonly #state: State
  #tombstoneCount: number | null = null

  private constructor(state: State) {
    this.#state = state
  }

  get version(): Version { return this.#state.version }
  get protocol(): Protocol { return this.#state.protocol }
  get metadata(): Metadata { return this.#state.metadata }
  /** Milliseconds; null when the table does not keep in-commit timestamps. */
  get inCommitTimestamp(): number | null { return this.#state.inCommitTimestamp }
  /** The in-commit timestamp, else the modification time of the commit's file. */
  get timestampMs(): number { return this.#state.timestampMs }
  get fileCount(): number { return this.#state.files.size }
  /** Of the live data files, deletion vectors not counted. */
  get sizeBytes(): number { return this.#state.sizeBytes }

  get schema(): StructType { return this.#state.schema }

  /** Live files, in no order to rely on. */
  files(): Iterable<AddFile> {
    return this.#state.files.values()
  }

  /** The live files that came with the checkpoint, as the columns they are. */
  fileBlocks(): Iterable<LiveBlock> {
    return this.#state.files.blocks()
  }

  /** The live files of the commits since: with `fileBlocks` they make up `files`. */
  filesSinceCheckpoint(): Iterable<AddedFile> {
    return this.#state.files.added()
  }

  file(path: string): AddFile | null {
    return this.#state.files.get(pathIdentity(path)) ?? null
  }

  /** Removed logical files that are not live again. */
  tombstones(): Iterable<RemoveFile> {
    const { tombstones, files } = this.#state
    return tombstones.values((path) => files.identity(path))
  }

  get tombstoneCount(): number {
    this.#tombstoneCount ??= [...this.tombstones()].length
    return this.#tombstoneCount
  }

  /** The newest txn version of the application, or null. */
  txn(appId: string): bigint | null {
    return this.#state.txns.get(appId)?.version ?? null
  }

  txns(): Iterable<Txn> {
    return this.#state.txns.values()
  }

  /** The configuration of the metadata domain, or null. */
  domain(name: string): string | null {
    return this.#state.domains.get(name)?.configuration ?? null
  }

  domains(): Iterable<DomainMetadata> {
    return this.#state.domains.values()
  }

  /** N2. `commit.version` must be the next one. Throws as `SnapshotBuilder.build`. */
  next(commit: CommitContent): Snapshot {
    const builder = new SnapshotBuilder(this.#state)
    builder.commit(commit)
    return builder.build()
  }

  /** The same state without tombstones older than `beforeMs`: what a checkpoint keeps. */
  withoutTombstones(beforeMs: number): Snapshot {
    return new Snapshot({ ...this.#state, tombstones: this.#state.tombstones.since(beforeMs) })
  }

  /** For SnapshotBuilder. */
  static of(state: State): Snapshot {
    return new Snapshot(state)
  }
}

/** Replays a checkpoint and commits, oldest first, into one snapshot. */
export class SnapshotBuilder {
  #version: Version | null
  #timestampMs: number
  #commitInfo: CommitInfo | null = null
  readonly #from: State | null
  #protocol: Protocol | null
  #metadata: Metadata | null
  #sizeBytes: number
  readonly #files: FileSetEditor
  readonly #tombstones: TombstoneSetEditor
  readonly #txns: MapEditor<Txn>
  readonly #domains: MapEditor<DomainMetadata>

  constructor(from: State | null = null) {
    this.#from = from
    this.#version = from?.version ?? null
    this.#timestampMs = from?.timestampMs ?? 0
    this.#protocol = from?.protocol ?? null
    this.#metadata = from?.metadata ?? null
    this.#sizeBytes = from?.sizeBytes ?? 0
    this.#files = (from?.files ?? FileSet.empty()).edit()
    this.#tombstones = (from?.tombstones ?? TombstoneSet.empty()).edit()
    this.#txns = (from?.txns ?? PersistentMap.empty<Txn>()).edit()
    this.#domains = (from?.domains ?? PersistentMap.empty<DomainMetadata>()).edit()
  }

  /** A part of the checkpoint of `version`; any order of parts. */
  checkpoint(version: Version, part: CheckpointPart): void {
    this.#version = version
    for (const action of part.actions) this.#apply(action)
    if (part.files !== null) this.#sizeBytes += this.#files.load(part.files)
    if (part.tombstones !== null) this.#tombstones.load(part.tombstones)
  }

  commit(commit: CommitContent): void {
    if (this.#version !== null && (commit.first ?? commit.version) !== this.#version + 1) {
      throw new SlipwayError('internal', 'commits are replayed in their order')
    }
    this.#version = commit.version
    this.#timestampMs = commit.mtimeMs
    this.#commitInfo = null
    for (const action of commit.actions) this.#apply(action)
  }

  /** The time of the commit that the replayed checkpoint ends with. */
  commitTime(commit: CommitContent): void {
    this.#timestampMs = commit.mtimeMs
    for (const action of commit.actions) {
      if ('commitInfo' in action) this.#commitInfo = action.commitInfo
    }
  }

  /** Throws `delta-corrupt` without protocol or metadata, `delta-unsupported` by N4. */
  build(): Snapshot {
    const { protocol, metadata, version } = this.#required()
    requireReadable(protocol)
    const keepsTime = metadata.configuration['delta.enableInCommitTimestamps'] === 'true'
    const inCommitTimestamp = keepsTime ? this.#commitInfo?.inCommitTimestamp ?? null : null
    return Snapshot.of({
      version, protocol, metadata, inCommitTimestamp, schema: this.#schemaOf(metadata),
      timestampMs: inCommitTimestamp ?? this.#timestampMs,
      files: this.#files.done(), tombstones: this.#tombstones.done(),
      txns: this.#txns.done(), domains: this.#domains.done(), sizeBytes: this.#sizeBytes,
    })
  }

  /** N4: a type or a mapping that we do not know is refused before anything is read by it. */
  #schemaOf(metadata: Metadata): StructType {
    if (this.#from?.metadata === metadata) return this.#from.schema
    mappingMode(metadata)
    return parseSchema(metadata.schemaString)
  }

  #required(): { protocol: Protocol; metadata: Metadata; version: Version } {
    if (this.#protocol === null) {
      throw new SlipwayError('delta-corrupt', 'the log has no protocol action')
    }
    // Before anything else is asked of the log: a newer protocol may change all of it.
    requireReadable(this.#protocol)
    if (this.#metadata === null) {
      throw new SlipwayError('delta-corrupt', 'the log has no metaData action')
    }
    if (this.#version === null) throw new SlipwayError('delta-corrupt', 'the log is empty')
    return { protocol: this.#protocol, metadata: this.#metadata, version: this.#version }
  }

  #apply(action: Action): void {
    if ('add' in action) this.#add(action.add)
    else if ('remove' in action) this.#remove(action.remove)
    else if ('txn' in action) this.#txns.set(action.txn.appId, action.txn)
    else if ('metaData' in action) this.#metadata = action.metaData
    else if ('protocol' in action) this.#protocol = action.protocol
    else if ('commitInfo' in action) this.#commitInfo = action.commitInfo
    else if ('domainMetadata' in action) {
      const { domain, removed } = action.domainMetadata
      if (removed) this.#domains.delete(domain)
      else this.#domains.set(domain, action.domainMetadata)
    }
  }

  #add(file: AddFile): void {
    const path = pathIdentity(file.path)
    this.#sizeBytes += file.size - (this.#files.identity(path)?.size ?? 0)
    this.#files.set(path, file)
    this.#tombstones.delete(file)
  }

  /** N3. */
  #remove(removed: RemoveFile): void {
    const path = pathIdentity(removed.path)
    const live = this.#files.identity(path)
    if (live !== undefined
      && deletionVectorId(live.deletionVector) === deletionVectorId(removed.deletionVector)) {
      this.#files.delete(path)
      this.#sizeBytes -= live.size
    }
    this.#tombstones.set(removed)
  }
}
