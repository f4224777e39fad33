/**
 * WholeStream: the chunks of a streamed result, to its true end.
 *
 * WS1  A statement that fails after its first chunk throws here. DuckDB's bindings give a failed
 *      stream the same end as a finished one; only the transaction around it, aborted by the
 *      failure, tells them apart.
 */
import type { DuckDBDataChunk, DuckDBPreparedStatement, DuckDBResult } from '@duckdb/node-api'

/** `check`: STREAM_CHECK, prepared on the connection whose open transaction streams `result`. */
export async function * wholeStream(result: DuckDBResult, check: DuckDBPreparedStatement)
  : AsyncGenerator<DuckDBDataChunk, void> {
  for (;;) {
    const chunk = await result.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) break
    yield chunk
  }
  // WS1. Throws `TransactionContext Error` when the transaction is aborted.
  await check.run()
}

export const STREAM_CHECK = 'SELECT 1'
