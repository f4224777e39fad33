/**
 * ConsistentPoint: the LSN up to which the whole lake is durable, and each table's version then.
 *
 * CP1  It is on disk before the LSN is confirmed to the slot: a slot that stands beyond it is
 *      another slot, whose past the lake has not seen.
 * CP2  The file is replaced whole, by rename.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatLsn, parseLsn, type Lsn } from '../base/lsn.ts'

export interface ConsistentPoint {
  readonly lsn: Lsn
  /** `schema/table` folder, relative to the lake, -> Delta version. */
  readonly versions: ReadonlyMap<string, number>
}

const FILE = '_consistent_point.json'

/** null when there is none yet. */
export async function readConsistentPoint(root: string): Promise<ConsistentPoint | null> {
  let text
  try {
    text = await readFile(join(root, FILE), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const stored = JSON.parse(text) as { lsn: string; versions: Record<string, number> }
  return { lsn: parseLsn(stored.lsn), versions: new Map(Object.entries(stored.versions)) }
}

/** CP1, CP2. */
export async function writeConsistentPoint(root: string, point: ConsistentPoint): Promise<void> {
  const target = join(root, FILE)
  await mkdir(dirname(target), { recursive: true })
  const staged = `${target}.tmp`
  const file = await open(staged, 'w')
  try {
    await file.writeFile(`${JSON.stringify({ lsn: formatLsn(point.lsn),
      versions: Object.fromEntries(point.versions) })}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(staged, target)
  const directory = await open(root, 'r')
  try { await directory.sync() } finally { await directory.close() }
}
