/**
 * CheckpointWriter: the port through which checkpoints become Parquet (olap: DuckDB's COPY).
 */
export interface CheckpointWriter {
  /**
   * Turns one action a line into the one Parquet file that Delta calls a checkpoint, with the
   * columns txn, add, remove, metaData, protocol, domainMetadata; an absent action is a null
   * struct. Both are absolute paths of local files; `parquetPath` does not exist yet.
   */
  write(ndjsonPath: string, parquetPath: string): Promise<void>
}
