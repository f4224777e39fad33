/**
 * Change feed writer: what a commit did to rows, for readers of the table's change data feed.
 *
 * CF1  A commit without change files is read from its adds, removes and vectors: right for
 *      inserts and deletes. An update needs files, or it reads as a delete and an insert.
 * CF2  Once a commit has change files they alone are its feed: they must hold every change of
 *      the commit.
 *
 * Source: PROTOCOL.md "Change Data Files".
 */
import type { Storage } from '../storage/storage.ts'
import type { AddFile, ChangeFile, Metadata } from './actions.ts'
import type { RowSelection } from './parquet-reader.ts'
import type { ParquetRewriter, RewriteSource } from './parquet-rewriter.ts'
import { partitionFolder } from './partitioning.ts'
import { rewriteSource, rewriteStaged } from './rewritten-files.ts'
import { targetFileBytes } from './table-properties.ts'

export type ChangeType = 'insert' | 'delete' | 'update_preimage' | 'update_postimage'

export interface RowChanges {
  /** Where the rows lie: a file of before for what ends, a new one for what begins. */
  readonly file: AddFile
  readonly rows: RowSelection
  readonly changeType: ChangeType
}

/** Whether the table asks for a feed. */
export function keepsChangeFeed(metadata: Metadata): boolean {
  return metadata.configuration['delta.enableChangeDataFeed'] === 'true'
}

/** CF2. Durable files for `Transaction.addChangeFile`; none for a table that keeps no feed. */
export async function writeChangeFiles(options: {
  readonly storage: Storage
  readonly rewriter: ParquetRewriter
  readonly metadata: Metadata
  readonly changes: readonly RowChanges[]
  readonly signal?: AbortSignal
}): Promise<readonly ChangeFile[]> {
  const { storage, metadata } = options
  if (!keepsChangeFeed(metadata)) return []
  const partitions = new Map<string, RowChanges[]>()
  for (const change of options.changes) {
    const key = JSON.stringify(Object.entries(change.file.partitionValues).sort())
    partitions.set(key, [...partitions.get(key) ?? [], change])
  }
  const written: ChangeFile[] = []
  for (const inside of partitions.values()) {
    const partitionValues = inside[0]?.file.partitionValues ?? {}
    await using staged = await rewriteStaged({ storage, rewriter: options.rewriter, metadata,
      sources: inside.map((change) => sourceOf(storage, change)), clusterBy: [],
      fileBytes: targetFileBytes(metadata), rowGroupRows: null, rowIds: null,
      signal: options.signal })
    const folder = `_change_data/${partitionFolder(metadata, partitionValues)}`
    for (const { path, file } of await staged.adopt(folder)) {
      written.push({ path, partitionValues, size: file.sizeBytes, dataChange: false })
    }
  }
  return written
}

function sourceOf(storage: Storage, { file, rows, changeType }: RowChanges): RewriteSource {
  return { ...rewriteSource(storage, file), rows, changeType }
}
