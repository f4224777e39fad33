/**
 * FileIndexer: puts a data file's rows into the key index.
 *
 * FX1  Dead rows are left out: the key's living row may be in another file.
 */
import type { TableSchema } from '../mirror/table-schema.ts'
import { rowPosition } from '../mirror/epoch.ts'
import type { TableIndex } from './key-index.ts'
import type { ParquetFilesPort } from './live-store-port.ts'
import { rowKey, type RowKey } from './row-key.ts'

/** Entries of one lmdb transaction, which costs a sync of the disk. */
const PUT_ROWS = 50_000

/** `dead`: rows to leave out, or null for none. The file is not registered by this. */
export async function indexFile(options: {
  readonly files: ParquetFilesPort
  readonly index: TableIndex
  readonly schema: TableSchema
  readonly path: string
  readonly fileNo: number
  readonly dead: { has(row: number): boolean } | null
}): Promise<void> {
  const { schema, dead, fileNo } = options
  const columns = schema.primaryKey.flatMap((attnum) =>
    schema.columns.filter((column) => column.attnum === attnum))
  const keyAt = columns.map((_, at) => at)
  let entries: (readonly [RowKey, number])[] = []
  for await (const { firstRow, rows } of options.files.scan(options.path, columns)) {
    rows.forEach((row, at) => {
      if (dead?.has(firstRow + at) === true) return
      entries.push([rowKey(row, keyAt), rowPosition(fileNo, firstRow + at)])
    })
    if (entries.length < PUT_ROWS) continue
    await options.index.put(entries)
    entries = []
  }
  await options.index.put(entries)
}
