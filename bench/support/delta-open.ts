/** Opens the Delta table in the folder named, in a process of its own, and says what it cost. */
import { LocalStorage, DeltaTable } from '../../src/delta/api.ts'

const [folder = '.'] = process.argv.slice(2)
const started = performance.now()
const table = await DeltaTable.open({ storage: new LocalStorage({ root: folder }) })
const openMs = performance.now() - started
process.stdout.write(JSON.stringify({ openMs, files: table.snapshot.fileCount,
  peakBytes: process.resourceUsage().maxRSS * 1024 }))
