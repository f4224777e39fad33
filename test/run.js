/**
 * The test command: type check, lint, then every test; one closing line `N passed, N failed`.
 *
 * R1  With arguments, only vitest runs, with those arguments.
 * R2  The exit status is 0 only when nothing failed.
 * R3  What could not be provisioned is said first; with CI=true it is a failure.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provision } from './provision.js'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (...path) => join(root, 'node_modules', ...path)
const VITEST = bin('vitest', 'vitest.mjs')

process.chdir(root)
process.exitCode = process.argv.length > 2
  ? await run([VITEST, 'run', ...process.argv.slice(2)])
  : await everything()

async function everything() {
  const started = Date.now()
  const tally = { passed: 0, failed: 0 }
  const count = (name, ok) => {
    tally[ok ? 'passed' : 'failed'] += 1
    if (!ok) process.stdout.write(`FAILED: ${name}\n`)
  }
  for (const line of provision()) {
    process.stdout.write(`${line}\n`)
    if (process.env.CI === 'true') count(line, false)
  }
  const checks = await Promise.all([
    run([bin('typescript', 'bin', 'tsc'), '-p', 'tsconfig.json', '--noEmit']),
    run([bin('eslint', 'bin', 'eslint.js'), '.']),
  ])
  count('type check', checks[0] === 0)
  count('lint', checks[1] === 0)
  addTests(await runTests(), tally, count)
  const seconds = Math.round((Date.now() - started) / 1000)
  process.stdout.write(`\n${seconds} s\n${tally.passed} passed, ${tally.failed} failed\n`)
  return tally.failed === 0 ? 0 : 1
}

/** vitest's own exit status, and its report; null where it could not write one. */
async function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-report-'))
  const report = join(folder, 'report.json')
  const status = await run([VITEST, 'run', '--project', 'rooms', '--project', 'e2e', '--reporter=default', '--reporter=json',
    `--outputFile.json=${report}`])
  try {
    return { status, report: JSON.parse(readFileSync(report, 'utf8')) }
  } catch {
    return { status, report: null }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function addTests({ status, report }, tally, count) {
  if (report === null) {
    count('the tests (no report)', false)
    return
  }
  tally.passed += report.numPassedTests
  tally.failed += report.numFailedTests
  // A file that cannot be loaded, or an error outside any test, fails no test by itself.
  if (status !== 0 && report.numFailedTests === 0) count('an error outside the tests', false)
}

async function run(args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [status] = await once(child, 'close')
  return status ?? 1
}
