/**
 * Rewritten files: live files as sources of a ParquetRewriter, and its files as the table's.
 *
 * RF1  A source is read less the rows that its deletion vector names.
 * RF2  A new file is durable and has its final name before a commit can name it. Until then it
 *      lies in the staging directory, or is one that VACUUM removes.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { AddFile, Metadata, PartitionValues } from './actions.ts'
import { mappingMode } from './column-mapping.ts'
import { encodeDataPath, parseDataPath } from './data-path.ts'
import { readDeletionVector } from './deletion-vector.ts'
import type { ParquetRewriter, RewriteSource, RewrittenFile } from './parquet-rewriter.ts'
import { partitionFolder } from './partitioning.ts'
import type { RowIdColumns } from './row-tracking.ts'
import { parseSchema, type StructField } from './schema.ts'
import { statsColumns } from './stats-columns.ts'
import { asWriteFailure } from './write-failure.ts'

/** RF1. Throws `delta-unsupported` for a file that is not a local one under the table. */
export function rewriteSource(storage: Storage, file: AddFile): RewriteSource {
  const parsed = parseDataPath(file.path)
  const path = parsed.kind === 'relative' ? storage.localPath(parsed.path) : null
  if (path === null) {
    throw new SlipwayError('delta-unsupported',
      'a data file lies outside of its table, which is not rewritten')
  }
  const { deletionVector, baseRowId, defaultRowCommitVersion } = file
  return { path, rows: deletionVector === undefined ? { kind: 'all' } : { kind: 'all-but',
    positions: () => readDeletionVector(storage, deletionVector) },
  ...baseRowId === undefined ? {} : { baseRowId },
  ...defaultRowCommitVersion === undefined ? {} : { defaultRowCommitVersion } }
}

/** The table's columns that files hold: all but the partition columns. */
export function fileFields(metadata: Metadata): readonly StructField[] {
  return parseSchema(metadata.schemaString).fields
    .filter((field) => !metadata.partitionColumns.includes(field.name))
}

/** Rows of the sources in new files of a directory of their own, which `dispose` removes. */
export async function rewriteStaged(options: {
  readonly storage: Storage
  readonly rewriter: ParquetRewriter
  readonly metadata: Metadata
  readonly sources: readonly RewriteSource[]
  readonly clusterBy: readonly string[]
  readonly fileBytes: number
  readonly rowGroupRows: number | null
  /** Ids that rows of a table with row tracking take along. */
  readonly rowIds: RowIdColumns | null
  readonly signal?: AbortSignal | undefined
}): Promise<StagedFiles> {
  const { storage, metadata, signal } = options
  const directory = join(storage.stagingDirectory, randomUUID())
  await asWriteFailure('a data file', () => mkdir(directory, { recursive: true }))
  try {
    const files = await options.rewriter.rewrite({
      sources: options.sources, fields: fileFields(metadata), mapping: mappingMode(metadata),
      stats: statsColumns(metadata, options.clusterBy), clusterBy: options.clusterBy,
      fileBytes: options.fileBytes, rowGroupRows: options.rowGroupRows,
      rowIds: options.rowIds, directory,
      ...signal === undefined ? {} : { signal },
    })
    return new StagedFiles(storage, directory, files)
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

export class StagedFiles implements AsyncDisposable {
  readonly files: readonly RewrittenFile[]
  readonly #storage: Storage
  readonly #directory: string

  constructor(storage: Storage, directory: string, files: readonly RewrittenFile[]) {
    this.#storage = storage
    this.#directory = directory
    this.files = files
  }

  /** RF2. The same files under their names in the table. `folder`: ends with `/`, or empty. */
  async adopt(folder: string): Promise<readonly { readonly path: string
    readonly file: RewrittenFile }[]> {
    const adopted = []
    for (const file of this.files) {
      const name = `${folder}part-${randomUUID()}.parquet`
      await this.#storage.adopt(file.path, name)
      adopted.push({ path: encodeDataPath(name), file })
    }
    return adopted
  }

  /** RF2, as adds. */
  async addFiles(metadata: Metadata, partitionValues: PartitionValues, own: {
    readonly dataChange: boolean; readonly tags?: Readonly<Record<string, string>>
    readonly clusteringProvider?: string })
    : Promise<readonly AddFile[]> {
    const adopted = await this.adopt(partitionFolder(metadata, partitionValues))
    return adopted.map(({ path, file }) => ({ path, partitionValues, size: file.sizeBytes,
      modificationTime: Date.now(), stats: file.stats, ...own }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Removes files that no commit names. */
export async function discardFiles(storage: Storage, files: Iterable<{ readonly path: string }>)
  : Promise<void> {
  for (const { path } of files) {
    const parsed = parseDataPath(path)
    if (parsed.kind === 'relative') await storage.delete(parsed.path)
  }
}
