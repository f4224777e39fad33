/**
 * The Delta project's own golden tables (../shared/golden, where the project is developed):
 * every one is opened at every version, or refused as listed here; physical rows less deleted
 * ones are as many as `expected/` holds.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseDataPath } from '../../src/delta/data-path.ts'
import { readDeletionVector } from '../../src/delta/deletion-vector.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import type { Snapshot } from '../../src/delta/snapshot.ts'
import { version } from '../../src/delta/version.ts'
import { literal } from '../../src/olap/sql-text.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

const GOLDEN = resolve('../shared/golden')

/** This list can only shrink: what we cannot read yet, and what is damaged on purpose. */
const REFUSED: Readonly<Record<string, string>> = {
  'deltalog-invalid-protocol-version': 'delta-unsupported: reader version 99',
  'deltalog-state-reconstruction-from-checkpoint-missing-protocol':
    'delta-corrupt: no protocol action',
  'deltalog-state-reconstruction-without-protocol': 'delta-corrupt: no protocol action',
  'table-with-geo': 'delta-unsupported: geospatial',
}
/** Logs whose data files were never part of the test data. */
const LOG_ONLY: ReadonlySet<string> = new Set(['checkpoint', 'app-txn-with-last-updated',
  'delete-re-add-same-file-different-transactions', 'log-replay-special-characters-b',
  'with_checkpoint_no_last_checkpoint', 'deltalog-commit-info', 'update-deleted-directory'])

interface Golden { readonly name: string; readonly archive: string }

function archives(): readonly Golden[] {
  if (!existsSync(GOLDEN)) return []
  return ['delta', 'delta-kernel'].flatMap((folder) => readdirSync(join(GOLDEN, folder))
    .filter((name) => name.endsWith('.tar.gz'))
    .map((name) => ({ name: name.slice(0, -'.tar.gz'.length),
      archive: join(GOLDEN, folder, name) })))
}

/** Folders with a log, not looking into what was expected of them. */
function tablesIn(folder: string): readonly string[] {
  const inside = readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory())
  if (inside.some((one) => one.name === '_delta_log')) return [folder]
  return inside.filter((one) => one.name !== 'expected')
    .flatMap((one) => tablesIn(join(folder, one.name)))
}

async function countRows(lab: DeltaLab, storage: LocalStorage, snapshot: Snapshot)
  : Promise<number> {
  const files: string[] = []
  let deleted = 0
  for (const file of snapshot.files()) {
    const path = parseDataPath(file.path)
    if (path.kind === 'remote') throw new Error('a golden table lies elsewhere')
    files.push(literal(path.kind === 'absolute' ? path.path : storage.localPath(path.path)))
    if (file.deletionVector !== undefined) {
      deleted += (await readDeletionVector(storage, file.deletionVector)).cardinality
    }
  }
  if (files.length === 0) return 0
  const rows = await lab.query('SELECT sum(num_rows) FROM '
    + `parquet_file_metadata([${files.join(', ')}])`)
  return Number(rows[0]?.[0]) - deleted
}

if (!existsSync(GOLDEN)) process.stdout.write(`skipped: golden tables: no ${GOLDEN}\n`)

describe.runIf(existsSync(GOLDEN))('golden tables', () => {
  let folder: string
  let lab: DeltaLab
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'slipway golden '))
    lab = await DeltaLab.open([folder])
  })
  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  it.each(archives())('$name', async ({ name, archive }) => {
    const place = mkdtempSync(join(folder, 'table '))
    execFileSync('tar', ['xzf', archive, '-C', place])
    for (const root of tablesIn(place)) {
      const storage = new LocalStorage({ root })
      const refusal = REFUSED[name]
      if (refusal !== undefined) {
        const [code = '', words = ''] = refusal.split(': ')
        await expect(DeltaTable.open({ storage })).rejects.toMatchObject({ code,
          message: expect.stringContaining(words) as string })
        continue
      }
      const table = await DeltaTable.open({ storage })
      for (let at = 0; at <= table.snapshot.version; at++) {
        expect((await table.at(version(at))).version).toBe(at)
      }
      if (LOG_ONLY.has(name)) continue
      const found = await countRows(lab, storage, table.snapshot)
      const expected = join(root, '..', 'expected')
      if (!existsSync(expected)) continue
      const [row] = await lab.query(existsSync(join(expected, '_SUCCESS'))
        ? `SELECT count(*) FROM read_parquet(${literal(`${expected}/**/*.parquet`)})`
        : 'SELECT 0')
      expect(found).toBe(Number(row?.[0]))
    }
  })
})
