/** `npm run bench -- <name> [arguments]`: runs a benchmark; status 1 when it misses a bar. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isMet, renderReport, type Bench } from './support/report.ts'

const FOLDER = import.meta.dirname
const names = readdirSync(FOLDER).filter((file) => file.endsWith('.js'))
  .map((file) => file.slice(0, -'.js'.length)).filter((name) => name !== 'run' && name !== 'routed')

const [name, ...args] = process.argv.slice(2)
if (name === undefined || !existsSync(join(FOLDER, `${name}.js`))) {
  process.stderr.write(`npm run bench -- <name>; names are: ${names.join(', ')}\n`)
  process.exit(2)
}
const { bench } = await import(`./${name}.js`) as { bench: Bench }
const report = await bench(args)
process.stdout.write(`${renderReport(report)}`)
process.exit(report.bars.every(isMet) ? 0 : 1)
