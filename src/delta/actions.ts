/**
 * Actions: the lines of a Delta commit, typed as PROTOCOL.md ("Actions") has them.
 *
 * A1  64-bit numbers keep every digit: what may pass 2^53 is a bigint.
 * A2  `path` is as in the log: a URI reference, percent-encoded (see data-path.ts).
 * A3  Fields that we do not know are read over, as the protocol demands.
 */
import type { JsonValue } from './exact-json.ts'

export interface DeletionVectorDescriptor {
  /** `u`: file named by UUID beside the data; `i`: inline; `p`: absolute path. */
  readonly storageType: 'u' | 'i' | 'p'
  readonly pathOrInlineDv: string
  /** Where the size field stands in the file; absent for `i`. */
  readonly offset?: number
  /** Of the data alone, magic included. */
  readonly sizeInBytes: number
  readonly cardinality: number
}

export type PartitionValues = Readonly<Record<string, string | null>>
export type Tags = Readonly<Record<string, string | null>>

export interface AddFile {
  readonly path: string
  readonly partitionValues: PartitionValues
  readonly size: number
  readonly modificationTime: number
  readonly dataChange: boolean
  /** A JSON document as a string, see stats.ts. */
  readonly stats?: string
  readonly tags?: Tags
  readonly deletionVector?: DeletionVectorDescriptor
  readonly baseRowId?: number
  readonly defaultRowCommitVersion?: number
  readonly clusteringProvider?: string
}

export interface RemoveFile {
  readonly path: string
  readonly deletionTimestamp?: number
  readonly dataChange: boolean
  readonly extendedFileMetadata?: boolean
  readonly partitionValues?: PartitionValues
  readonly size?: number
  readonly tags?: Tags
  /** The one that the file had: without it readers keep the file (Trino #24648). */
  readonly deletionVector?: DeletionVectorDescriptor
  readonly baseRowId?: number
  readonly defaultRowCommitVersion?: number
}

export interface ChangeFile {
  readonly path: string
  readonly partitionValues: PartitionValues
  readonly size: number
  readonly dataChange: false
  readonly tags?: Tags
}

export interface Metadata {
  readonly id: string
  readonly name?: string
  readonly description?: string
  readonly format: { readonly provider: string
    readonly options: Readonly<Record<string, string>> }
  readonly schemaString: string
  readonly partitionColumns: readonly string[]
  readonly configuration: Readonly<Record<string, string>>
  readonly createdTime?: number
}

export interface Protocol {
  readonly minReaderVersion: number
  readonly minWriterVersion: number
  /** Present exactly when minReaderVersion is 3. */
  readonly readerFeatures?: readonly string[]
  /** Present exactly when minWriterVersion is 7. */
  readonly writerFeatures?: readonly string[]
}

export interface Txn {
  readonly appId: string
  readonly version: bigint
  readonly lastUpdated?: number
}

export interface DomainMetadata {
  readonly domain: string
  readonly configuration: string
  readonly removed: boolean
}

/** Free-form but for these. */
export interface CommitInfo {
  readonly timestamp?: number
  readonly inCommitTimestamp?: number
  readonly operation?: string
  readonly operationParameters?: Readonly<Record<string, JsonValue>>
  readonly engineInfo?: string
  readonly isBlindAppend?: boolean
  readonly txnId?: string
  readonly operationMetrics?: Readonly<Record<string, string>>
  readonly [other: string]: JsonValue | undefined
}

export interface CheckpointMetadata {
  readonly version: number
}

export interface Sidecar {
  readonly path: string
  readonly sizeInBytes: number
  readonly modificationTime: number
}

export type Action =
  | { readonly commitInfo: CommitInfo }
  | { readonly protocol: Protocol }
  | { readonly metaData: Metadata }
  | { readonly txn: Txn }
  | { readonly domainMetadata: DomainMetadata }
  | { readonly add: AddFile }
  | { readonly remove: RemoveFile }
  | { readonly cdc: ChangeFile }
  | { readonly checkpointMetadata: CheckpointMetadata }
  | { readonly sidecar: Sidecar }
