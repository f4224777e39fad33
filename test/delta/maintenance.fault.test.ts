/**
 * Killed at every failpoint of what writes a table, it opens and holds what it held before or
 * after; what is left over goes with the next VACUUM. And twenty processes commit at once.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckpointWriter } from '../../src/delta/checkpoint-writer.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { vacuum } from '../../src/delta/vacuum.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { SUPPORT } from '../support/cache.ts'
import { DeltaLab } from '../support/delta-files.ts'

const SCHEMA: StructType = { type: 'struct', fields: [column('id', 'long')] }
const PROCESSES = 20
const COMMITS = 3

let lab: DeltaLab
let made: LocalStorage
beforeAll(async () => {
  lab = await DeltaLab.open()
  made = lab.storage('made')
  const table = await DeltaTable.create({ storage: made, schema: SCHEMA })
  for (let at = 0; at < 3; at++) {
    await table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(made, SCHEMA, `SELECT ${at * 10} + i FROM range(10) r(i)`)).commit()
  }
  const [file] = table.snapshot.files()
  const [vector] = await writeDeletionVectors(made, [RowBitmap.of([0, 7])])
  if (file === undefined || vector === undefined) throw new Error('nothing there')
  await table.begin({ operation: 'DELETE' }).replaceDeletionVector(file, vector).commit()
  await writeCheckpoint({ storage: made, snapshot: table.snapshot, nowMs: Date.now(),
    writer: new CheckpointWriter() })
  await table.begin({ operation: 'SET TBLPROPERTIES' }).setTxn('app', 1n).commit()
})
afterAll(async () => { await lab[Symbol.asyncDispose]() })

async function child(failpoint: string, ...words: string[]): Promise<string | number | null> {
  const started = spawn(process.execPath, [join(SUPPORT, 'delta-child.js'), ...words],
    { stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SLIPWAY_FAILPOINTS: failpoint } })
  const [code, signal] = await once(started, 'exit') as [number | null, string | null]
  return signal ?? code
}

async function rowsOf(storage: LocalStorage): Promise<readonly string[]> {
  return await lab.rows(storage, (await DeltaTable.open({ storage })).snapshot)
}

describe('killed at', () => {
  const CASES: readonly (readonly [string, ...string[]])[] = [
    ['commit.before-link', 'remove'], ['commit.after-link', 'remove'],
    ['checkpoint.after-write', 'checkpoint'], ['checkpoint.before-hint', 'checkpoint'],
    ['optimize.after-rewrite', 'optimize'], ['optimize.after-adopt', 'optimize'],
    ['optimize.before-commit', 'optimize'], ['restore.before-commit', 'restore', '1'],
    ['vacuum.after-deletes', 'vacuum'], ['clean-up.after-delete=2', 'clean-up'],
  ]
  it.each(CASES)('%s: before or after, and no litter stays', async (failpoint, operation,
    ...rest) => {
    const storage = lab.storage(`killed ${failpoint}`)
    await cp(made.root, storage.root, { recursive: true, preserveTimestamps: true })
    if (operation === 'vacuum') await child('', 'optimize', storage.root)
    const before = await rowsOf(storage)
    expect(await child(failpoint, operation ?? '', storage.root, ...rest)).toBe('SIGKILL')
    const between = await rowsOf(storage)
    expect(await child('', operation ?? '', storage.root, ...rest)).toBe(0)
    const after = await rowsOf(storage)
    // A removal that stood already is followed by another.
    if (failpoint === 'commit.after-link') expect(between).not.toEqual(before)
    else expect([before, after]).toContainEqual(between)
    const table = await DeltaTable.open({ storage })
    await vacuum({ table, nowMs: Date.now() + 1000, retentionMs: 0, force: true })
    const left = (await storage.listTree('')).map(({ path }) => path)
      .filter((path) => !path.startsWith('_delta_log/'))
    const needed = [...table.snapshot.files()].flatMap((file) =>
      file.deletionVector === undefined ? [file.path] : [file.path, 'its vector'])
    expect(left).toHaveLength(needed.length)
    expect(await rowsOf(storage)).toEqual(after)
  })
})

it('twenty processes at once: contiguous versions, every append there once', async () => {
  const storage = lab.storage('processes')
  await DeltaTable.create({ storage, schema: SCHEMA })
  const ends = await Promise.all(Array.from({ length: PROCESSES }, () =>
    child('', 'appends', storage.root, String(COMMITS))))
  expect(ends).toEqual(Array.from({ length: PROCESSES }, () => 0))
  const { snapshot } = await DeltaTable.open({ storage })
  expect(snapshot.version).toBe(PROCESSES * COMMITS)
  expect(snapshot.fileCount).toBe(PROCESSES * COMMITS)
})
