/** TableStatus: the mirror's tables as slipway.tables shows them. */
import type { Lsn } from '../base/lsn.ts'
import type { TableStatusRow } from '../mirror/replication.ts'
import type { LakeFolders } from './lake-folders.ts'
import type { MirroredTable } from './mirrored-table.ts'

/** `lakeFault`: why the lake cannot be written now, or null. */
export function tableStatus(table: MirroredTable, options: { readonly folders: LakeFolders
  readonly applied: Lsn; readonly durable: Lsn; readonly lakeFault: string | null })
  : TableStatusRow {
  const { state, body } = table
  let rows = table.tailRows - table.deadRows
  for (const file of table.files.values()) rows += file.rows
  const fault = state.kind === 'ready' ? options.lakeFault : null
  return {
    relid: table.relid, state: state.kind,
    reason: state.kind === 'errored' ? state.reason : fault,
    cure: state.kind === 'errored' ? state.cure
      : fault === null ? null : 'Free disk space or mend rights; Slipway tries again by itself.',
    deltaPath: body?.lake.folder ?? options.folders.folder(table.schema),
    deltaVersion: body?.lake.version ?? null,
    durableLsn: state.kind === 'ready' && body?.lake.version !== null ? options.durable : null,
    appliedLsn: state.kind === 'ready' ? options.applied : null,
    rows: Math.max(rows, 0), files: table.files.size, tailRows: table.tailRows,
  }
}
