/** The packed package in a plain project: types, and the examples of docs/delta.md, run. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync }
  from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { column, type StructType } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { ROOT } from '../support/cache.ts'
import { DeltaLab } from '../support/delta-files.ts'

/** What the log library itself needs: neither DuckDB nor PostgreSQL nor a server. */
const NEEDED = ['hyparquet', 'hyparquet-compressors', 'apache-arrow', '@types', 'undici-types']
/** Examples of `slipway/delta/duckdb`. */
const WITH_DUCKDB = ['4-optimize']

let project = ''
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'slipway package '))
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', project],
    { cwd: ROOT, stdio: 'ignore' })
  const [archive = ''] = readdirSync(project).filter((name) => name.endsWith('.tgz'))
  const modules = join(project, 'node_modules')
  mkdirSync(join(modules, 'slipway'), { recursive: true })
  execFileSync('tar', ['-xzf', join(project, archive), '-C', join(modules, 'slipway'),
    '--strip-components', '1'])
  for (const name of NEEDED) bring(name)
  // What those need in turn lies beside them in the checkout.
  writeFileSync(join(project, 'package.json'), '{"type":"module"}')
})
afterAll(() => { rmSync(project, { recursive: true, force: true }) })

function bring(name: string): void {
  symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name))
}

function run(name: string): string {
  return execFileSync(process.execPath, [`${name}.js`], { cwd: project, encoding: 'utf8' })
}

it('the examples type-check and run, without DuckDB', () => {
  const manual = readFileSync(join(ROOT, 'docs', 'delta.md'), 'utf8')
  const examples = [...manual.matchAll(/```ts\n\/\/ (\d+-[\w-]+)\.ts\n([\s\S]*?)```/g)]
    .map(([, name = '', body = '']) => ({ name, body })).sort((a, b) => a.name < b.name ? -1 : 1)
  expect(examples.map(({ name }) => name)).toEqual(expect.arrayContaining(
    ['1-write', '2-read', '3-alter', ...WITH_DUCKDB]))
  for (const { name, body } of examples) writeFileSync(join(project, `${name}.ts`), body)
  execFileSync(process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
    '--module', 'nodenext', '--target', 'es2023', '--strict', '--skipLibCheck', '--types', 'node',
    ...examples.map(({ name }) => `${name}.ts`)], { cwd: project, stdio: 'pipe' })
  const outputs = examples.filter(({ name }) => !WITH_DUCKDB.includes(name))
    .map(({ name }) => run(name))
  expect(outputs.slice(0, 3)).toEqual(['', 'part-1.parquet 1000\n', ''])
  expect(readdirSync(join(project, 'lake', 'sale', '_delta_log')).sort()).toEqual([
    '00000000000000000000.crc', '00000000000000000000.json', '00000000000000000001.crc',
    '00000000000000000001.json', '00000000000000000002.checkpoint.parquet',
    '00000000000000000002.crc', '00000000000000000002.json', '_last_checkpoint'])
})

it('OPTIMIZE runs with DuckDB beside the package', async () => {
  const storage = new LocalStorage({ root: join(project, 'lake', 'event') })
  const schema: StructType = { type: 'struct', fields: [column('at', 'long')] }
  await using lab = await DeltaLab.open([storage.root])
  const table = await DeltaTable.create({ storage, schema })
  for (let at = 0; at < 3; at++) {
    await table.begin({ operation: 'WRITE' })
      .add(await lab.writeFile(storage, schema, `SELECT ${at}::BIGINT`)).commit()
  }
  bring('@duckdb')
  expect(WITH_DUCKDB.map(run)).toEqual(['3 files became 1\n'])
  expect(await lab.rows(storage, await table.latest())).toEqual(['["0"]', '["1"]', '["2"]'])
})
