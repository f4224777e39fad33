/** delta-rs, asked through Python for what a table holds: one process a question. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PYTHON } from './cache.ts'

const SCRIPT = `
import json, sys
import deltalake, pyarrow as pa
path, version, query = sys.argv[1], sys.argv[2], sys.argv[3]
table = deltalake.DeltaTable(path, version=None if version == '' else int(version))
result = pa.table(deltalake.QueryBuilder().register('t', table).execute(query))
rows = [[None if v is None else str(v) for v in row.values()] for row in result.to_pylist()]
print(json.dumps({'version': table.version(), 'rows': rows}))
`

export interface DeltaRsAnswer {
  readonly version: number
  /** Values as Python prints them. */
  readonly rows: readonly (readonly (string | null)[])[]
}

/** `query` reads the table as `t`. Throws with delta-rs's own words. */
export async function queryDeltaRs(path: string, query: string, version?: number)
  : Promise<DeltaRsAnswer> {
  const { stdout } = await promisify(execFile)(PYTHON,
    ['-c', SCRIPT, path, version === undefined ? '' : String(version), query],
    { maxBuffer: 256 * 1024 * 1024 })
  return JSON.parse(stdout) as DeltaRsAnswer
}
