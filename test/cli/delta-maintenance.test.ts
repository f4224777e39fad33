/** `slipway delta optimize|vacuum|restore` as a user runs them. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { processStartTime } from '../../src/base/process-identity.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { column } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

const SCHEMA = { type: 'struct' as const, fields: [column('id', 'long'), column('s', 'string')] }

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })
afterEach(() => { vi.restoreAllMocks() })

async function smallFiles(storage: LocalStorage): Promise<DeltaTable> {
  const table = await DeltaTable.create({ storage, schema: SCHEMA })
  for (let at = 0; at < 3; at++) {
    await table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, SCHEMA, `SELECT ${at}, 'x' FROM range(4)`)).commit()
  }
  return table
}

async function run(...words: string[]): Promise<string> {
  let output = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  try {
    await buildProgram().parseAsync(['node', 'slipway', 'delta', ...words])
  } finally {
    vi.restoreAllMocks()
  }
  return output
}

it('optimize, vacuum and restore: dry, in words and as JSON', async () => {
  const storage = lab.storage('a b')
  const table = await smallFiles(storage)
  const { root } = storage
  expect(await run('optimize', root, '--dry-run')).toMatch(/^3 files \(.*\) would be rewritten\n$/)
  expect((await table.latest()).version).toBe(3)
  expect(JSON.parse(await run('optimize', root, '--cluster-by', 's, id', '--json')))
    .toMatchObject({ version: 4, filesRemoved: 3, filesAdded: 1 })
  expect(await run('optimize', root, '--zorder', 's,id')).toBe('nothing to optimise\n')
  for (const wrong of [['--memory', 'lots'], ['--memory', '0'], ['--cluster-by', 'id,id']]) {
    await expect(run('optimize', root, ...wrong)).rejects.toMatchObject({ code: 'usage' })
  }
  expect(await run('optimize', root, '--memory', '600MB')).toBe('nothing to optimise\n')
  expect(await run('vacuum', root)).toMatch(/^0 files/)
  await expect(run('vacuum', root, '--retain-hours', '0')).rejects.toMatchObject({ code: 'usage',
    hint: expect.stringContaining('--force') as unknown })
  await expect(run('vacuum', root, '--retain', '1 fortnight')).rejects
    .toMatchObject({ code: 'usage' })
  expect(JSON.parse(await run('restore', root, '--version', '2', '--json')))
    .toMatchObject({ version: 5, restoredVersion: 2, filesRestored: 2, filesRemoved: 1 })
  expect(await lab.rows(storage, await table.latest())).toHaveLength(8)
  await expect(run('restore', root)).rejects.toMatchObject({ code: 'usage' })
  const listed = await run('vacuum', root, '--retain', '0d', '--force', '--dry-run')
  expect(listed.split('\n').filter((line) => line.endsWith('.parquet'))).toHaveLength(2)
  expect(await run('vacuum', root, '--retain-hours', '0', '--force')).toMatch(/^2 files .*deleted/)
  await expect(run('restore', root, '--version', '4')).rejects.toMatchObject({ code: 'not-found' })
})

it('DM1: what a running Slipway mirrors is its own', async () => {
  const dataDir = join(lab.folder, 'data')
  const storage = lab.storage('mirror')
  await smallFiles(storage)
  const folder = join(dataDir, 'lake', 'db', 'public', 't')
  await mkdir(dirname(folder), { recursive: true })
  await rename(storage.root, folder)
  await writeFile(join(dataDir, 'layout.json'), '{"layout":1}\n')
  await writeFile(join(dataDir, 'slipway.lock'),
    JSON.stringify({ pid: process.pid, started: processStartTime(process.pid) }))
  await expect(run('optimize', folder)).rejects.toMatchObject({ code: 'data-dir-held',
    message: expect.stringContaining(String(process.pid)) as unknown })
  await expect(run('vacuum', folder, '--retain', '1h', '--force')).rejects
    .toMatchObject({ code: 'data-dir-held' })
  expect(await run('vacuum', folder)).toMatch(/^0 files/)
  expect(await run('optimize', folder, '--dry-run')).toMatch(/^3 files/)
  await writeFile(join(dataDir, 'slipway.lock'), JSON.stringify({ pid: 1, started: 'x' }))
  expect(await run('optimize', folder)).toMatch(/^version 4: 3 files/)
  await expect(run('restore', folder, '--version', '1')).rejects.toMatchObject({ code: 'usage',
    message: expect.stringContaining('PostgreSQL') as unknown })
})
