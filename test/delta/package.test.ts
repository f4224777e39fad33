/** The packed package in a plain project: types, and the examples of docs/delta.md, run. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync }
  from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ROOT } from '../support/cache.ts'

/** What the log library itself needs: neither DuckDB nor PostgreSQL nor a server. */
const NEEDED = ['hyparquet', 'hyparquet-compressors', 'apache-arrow', '@types', 'undici-types']

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
  for (const name of NEEDED) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  // What those need in turn lies beside them in the checkout.
  writeFileSync(join(project, 'package.json'), '{"type":"module"}')
})
afterAll(() => { rmSync(project, { recursive: true, force: true }) })

it('the examples type-check and run, without DuckDB', () => {
  const manual = readFileSync(join(ROOT, 'docs', 'delta.md'), 'utf8')
  const examples = [...manual.matchAll(/```ts\n\/\/ (\d+-[\w-]+)\.ts\n([\s\S]*?)```/g)]
    .map(([, name = '', body = '']) => ({ name, body })).sort((a, b) => a.name < b.name ? -1 : 1)
  expect(examples.map(({ name }) => name)).toEqual(expect.arrayContaining(
    ['1-write', '2-read', '3-alter']))
  for (const { name, body } of examples) writeFileSync(join(project, `${name}.ts`), body)
  execFileSync(process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
    '--module', 'nodenext', '--target', 'es2023', '--strict', '--skipLibCheck', '--types', 'node',
    ...examples.map(({ name }) => `${name}.ts`)], { cwd: project, stdio: 'pipe' })
  const outputs = examples.map(({ name }) =>
    execFileSync(process.execPath, [`${name}.js`], { cwd: project, encoding: 'utf8' }))
  expect(outputs.slice(0, 3)).toEqual(['', 'part-1.parquet 1000\n', ''])
  expect(readdirSync(join(project, 'lake', 'sale', '_delta_log')).sort()).toEqual([
    '00000000000000000000.crc', '00000000000000000000.json', '00000000000000000001.crc',
    '00000000000000000001.json', '00000000000000000002.checkpoint.parquet',
    '00000000000000000002.crc', '00000000000000000002.json', '_last_checkpoint'])
})
