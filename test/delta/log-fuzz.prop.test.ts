/**
 * The log under damage: whatever is done to one of its files, the answer is the right one or a
 * SlipwayError that names the table; never a crash, and never more time or memory than its bytes
 * may cost.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SlipwayError } from '../../src/base/errors.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { readDeletionVector, writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { checkTable } from '../../src/delta/fsck.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { LAST_CHECKPOINT, checkpointPath, commitPath, version } from '../../src/delta/version.ts'
import { MemoryStorage } from '../../src/storage/memory.ts'
import { DeltaLab } from '../support/delta-files.ts'

/** Path to bytes of a table with commits, a vector, checkpoint, hint and checksum files. */
let files: ReadonlyMap<string, Buffer>
let sound: string
let lab: DeltaLab

beforeAll(async () => {
  lab = await DeltaLab.open()
  const storage = lab.storage('fuzzed')
  const table = await DeltaTable.create({ storage,
    schema: { type: 'struct', fields: [column('id', 'long'), column('day', 'date')] },
    partitionColumns: ['day'] })
  for (let at = 1; at <= 6; at++) {
    await table.begin({ operation: 'WRITE' }).setTxn('app', BigInt(at)).add({ path: `part-${at}`,
      partitionValues: { day: `2024-01-0${at}` }, size: at, modificationTime: at,
      dataChange: true, stats: '{"numRecords":100}' }).commit()
  }
  const [vector] = await writeDeletionVectors(storage,
    [RowBitmap.of([1, 5, 70_000, ...Array.from({ length: 5000 }, (_, at) => 200_000 + at)])])
  const file = table.snapshot.file('part-2')
  if (file === null || vector === undefined) throw new Error('nothing to delete from')
  await table.begin({ operation: 'DELETE' }).replaceDeletionVector(file, vector).commit()
  await writeCheckpoint({ storage, snapshot: table.snapshot, writer: lab.checkpoints,
    nowMs: Date.now() })
  const gone = table.snapshot.file('part-1')
  if (gone === null) throw new Error('nothing to remove')
  await table.begin({ operation: 'DELETE' }).remove(gone).commit()
  const found = await storage.listTree('')
  files = new Map(await Promise.all(found.map(async ({ path }) =>
    [path, await storage.get(path) ?? Buffer.alloc(0)] as const)))
  sound = await answerOf(await stored(files))
})
afterAll(async () => { await lab[Symbol.asyncDispose]() })

async function stored(contents: ReadonlyMap<string, Buffer>): Promise<MemoryStorage> {
  const storage = new MemoryStorage()
  for (const [path, body] of contents) await storage.putIfAbsent(path, body, { mtimeMs: 1 })
  return storage
}

/** All that the newest version says, its vectors read; or the name of the error. */
async function answerOf(storage: MemoryStorage): Promise<string> {
  const { snapshot } = await DeltaTable.open({ storage })
  const live: unknown[] = []
  for (const file of [...snapshot.files()].sort((a, b) => a.path < b.path ? -1 : 1)) {
    const vector = file.deletionVector === undefined ? null
      : await readDeletionVector(storage, file.deletionVector)
    live.push([file.path, file.size, file.stats, file.partitionValues,
      vector?.cardinality, vector?.last])
  }
  return JSON.stringify([snapshot.version, snapshot.txn('app')?.toString(), live,
    snapshot.tombstoneCount, snapshot.schema.fields.map(({ name }) => name)])
}

/** null for a typed error; any other error fails the test. */
async function answerOrRefusal(storage: MemoryStorage): Promise<string | null> {
  try {
    return await answerOf(storage)
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    expect(['delta-corrupt', 'delta-unsupported', 'not-found']).toContain(error.code)
    expect(error.message).not.toBe('')
    return null
  }
}

const DAMAGE = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const),
    places: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 }) }),
  fc.record({ kind: fc.constant('cut' as const),
    share: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }) }),
  fc.record({ kind: fc.constant('insert' as const),
    share: fc.double({ min: 0, max: 1, noNaN: true }), bytes: fc.uint8Array({ maxLength: 9 }) }),
  fc.constant({ kind: 'zeros' as const }), fc.constant({ kind: 'gone' as const }))
type Damage = typeof DAMAGE extends fc.Arbitrary<infer T> ? T : never

function damaged(body: Buffer, damage: Damage): Buffer | null {
  const copy = Buffer.from(body)
  switch (damage.kind) {
    case 'gone': return null
    case 'zeros': return copy.fill(0)
    case 'cut': return copy.subarray(0, Math.floor(body.length * damage.share))
    case 'insert': {
      const at = Math.floor(body.length * damage.share)
      return Buffer.concat([copy.subarray(0, at), damage.bytes, copy.subarray(at)])
    }
    case 'flip':
      for (const [share, mask] of damage.places) {
        const at = Math.floor(body.length * share)
        copy[at] = (copy[at] ?? 0) ^ mask
      }
      return copy
  }
}

/** Where damage cannot be told from other content: text may say anything else that is legal. */
function mayMislead(path: string, damage: Damage): boolean {
  if (damage.kind === 'zeros') return false
  if (damage.kind === 'gone') return path === commitPath(version(8))
  return path.endsWith('.json') || path.endsWith('.checkpoint.parquet') && damage.kind !== 'cut'
}

it('one damaged file: the right answer, or a typed error', async () => {
  const names = fc.constantFrom(...files.keys())
  await fc.assert(fc.asyncProperty(names, DAMAGE, fc.boolean(), async (path, damage, cleaned) => {
    const contents = new Map(files)
    // Cleaned up, nothing stands in for the checkpoint.
    for (let at = 0; cleaned && at <= 6; at++) contents.delete(commitPath(version(at)))
    if (!contents.has(path)) return
    const body = damaged(files.get(path) ?? Buffer.alloc(0), damage)
    if (body === null) contents.delete(path)
    else contents.set(path, body)
    const storage = await stored(contents)
    const answer = await answerOrRefusal(storage)
    if (answer !== null && !mayMislead(path, damage)) expect(answer).toBe(sound)
    // fsck speaks of damage, it does not stumble over it.
    await checkTable(storage).catch((error: unknown) => {
      if (!(error instanceof SlipwayError)) throw error
    })
  }), { numRuns: 400 })
}, 120_000)

describe('few bytes never cost much', () => {
  /** A footer of Thrift's compact protocol between PAR1 and PAR1. */
  function parquet(footer: readonly number[]): Buffer {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(footer.length)
    return Buffer.concat([Buffer.from('PAR1'), Buffer.from(footer), length, Buffer.from('PAR1')])
  }
  const huge = [0xff, 0xff, 0xff, 0x7f]
  const nested = (depth: number): number[] => Array.from({ length: depth }, () => 0x19)
  const deep = (depth: number): string => '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)
  const commit = (text: string): [string, Buffer] =>
    [commitPath(version(7)), Buffer.from(`${text}\n`)]
  const checkpoint = (body: Buffer): [string, Buffer] => [checkpointPath(version(8)), body]

  it.each<[string, [string, Buffer]]>([
    ['a list of 2^28 structures', checkpoint(parquet([0x29, 0xfc, ...huge, 0]))],
    ['lists within lists', checkpoint(parquet([...nested(5000), 0]))],
    ['lists that claim 2^28 lists each', checkpoint(parquet([0x29,
      ...Array.from({ length: 20 }, () => [0xf9, ...huge]).flat()]))],
    ['a number of a million bytes', checkpoint(parquet([0x16,
      ...new Array<number>(1_000_000).fill(0x80), 1, 0]))],
    ['structures within structures', checkpoint(parquet(new Array<number>(100_000).fill(0x1c)))],
    ['a footer longer than the file',
      checkpoint(Buffer.from('PAR1\xff\xff\xff\x7fPAR1', 'latin1'))],
    ['a line of nested objects', commit(deep(100_000))],
    ['a line of nested lists', commit('['.repeat(200_000))],
    ['a schema of nested structures', commit(JSON.stringify({ metaData: { id: 'x',
      schemaString: deep(50_000), partitionColumns: [], configuration: {} } }))],
    ['a hint of ten megabytes', [LAST_CHECKPOINT, Buffer.alloc(10_000_000, '[')]],
    ['a vector that claims 2^31 bytes', commit(JSON.stringify({ add: { path: 'part-3', size: 1,
      partitionValues: { day: null }, modificationTime: 1, dataChange: true,
      deletionVector: { storageType: 'u', pathOrInlineDv: 'a'.repeat(20), offset: 1,
        sizeInBytes: 2 ** 31, cardinality: 2 ** 40 } } }))],
  ])('%s', async (_name, [path, body]) => {
    const contents = new Map(files)
    contents.set(path, body)
    const storage = await stored(contents)
    const before = process.memoryUsage.rss()
    const started = performance.now()
    await answerOrRefusal(storage)
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(process.memoryUsage.rss() - before).toBeLessThan(400 * 2 ** 20)
  })

  it('a vector of 65,536 full containers takes what its bytes take', async () => {
    const count = 65_536
    const body = Buffer.alloc(8 + 4 + 4 + count / 8 + count * 4 + count * 4 + count * 6)
    let at = body.writeUInt32LE(1)
    at = body.writeUInt32LE(0, at)
    at = body.writeUInt32LE(0, at)
    at = body.writeUInt32LE((12347 | (count - 1) << 16) >>> 0, at)
    at = body.fill(0xff, at, at + count / 8).length - body.length + at + count / 8
    for (let key = 0; key < count; key++) {
      at = body.writeUInt16LE(key, at)
      at = body.writeUInt16LE(0xffff, at)
    }
    at += count * 4
    for (let key = 0; key < count; key++) {
      at = body.writeUInt16LE(1, at)
      at = body.writeUInt16LE(0, at)
      at = body.writeUInt16LE(0xffff, at)
    }
    const bitmap = RowBitmap.decode(body)
    expect(bitmap.cardinality).toBe(2 ** 32)
    expect(bitmap.last).toBe(2 ** 32 - 1)
    await Promise.resolve()
  })
})
