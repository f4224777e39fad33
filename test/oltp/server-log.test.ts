import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LogFilter, ServerLog } from '../../src/oltp/server-log.ts'

const at = (pid: number): string => `2026-11-23 22:07:06.684 UTC [${pid}]`

const KEPT = [
  `${at(7)} LOG:  database system is ready to accept connections`,
  `${at(9)} ERROR:  division by zero`,
  `${at(9)} STATEMENT:  select`,
  '\t1/0',
  `${at(8)} LOG:  duration: 5 ms`,
  `${at(8)} DETAIL:  kept`,
]

const TREE = [
  `${at(8)} LOG:  rewritten parse tree:`,
  `${at(8)} DETAIL:  (`,
  '\t   {QUERY :constvalue 4 [ 1 2 ]}',
  '\t)',
  '\t',
  `${at(8)} STATEMENT:  select 'secret'`,
  '\tfrom t',
]

test('drops trees with all their lines, keeps the rest, at any chunk size', () => {
  // The tree stands between two entries of another process.
  const lines = [...KEPT.slice(0, 2), ...TREE, ...KEPT.slice(2)]
  const text = lines.map((line) => `${line}\n`).join('')
  for (const size of [1, 7, 64, 10_000]) {
    const filter = new LogFilter()
    let kept = ''
    for (let i = 0; i < text.length; i += size) kept += filter.push(text.slice(i, i + size))
    kept += filter.end()
    expect(kept).toBe(KEPT.map((line) => `${line}\n`).join(''))
  }
})

test('turns the file over when it is full', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-log-'))
  const path = join(folder, 'log', 'postgres.log')
  const log = new ServerLog(path, 100)
  const line = `${at(1)} LOG:  line\n`
  for (let i = 0; i < 6; i++) log.write(line)
  log.close()
  expect(readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8')).toBe(line.repeat(6))
  rmSync(folder, { recursive: true })
})
