/**
 * What a log survives (G4, L3, C1) and what it may not reach (F3, D4): compacted commits, damaged
 * checkpoints, checksum files, links and paths that lead out of the table.
 */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Action } from '../../src/delta/actions.ts'
import { encodeActions } from '../../src/delta/action-codec.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { filePlace } from '../../src/delta/data-path.ts'
import { readDeletionVector, writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { checkTable } from '../../src/delta/fsck.ts'
import { findLogSegment } from '../../src/delta/log-segment.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column } from '../../src/delta/schema.ts'
import type { Snapshot } from '../../src/delta/snapshot.ts'
import { canonicalText, stateDifferences } from '../../src/delta/state-differences.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { LAST_CHECKPOINT, checkpointPath, commitPath, crcPath, version }
  from '../../src/delta/version.ts'
import { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

/** Versions 0 to `last`: a file more each, and every third takes an older one away. */
async function grown(name: string, last: number): Promise<DeltaTable> {
  const table = await DeltaTable.create({ storage: lab.storage(name),
    schema: { type: 'struct', fields: [column('id', 'long')] } })
  for (let at = 1; at <= last; at++) {
    const transaction = table.begin({ operation: 'WRITE' }).setTxn('app', BigInt(at))
      .add({ path: `part-${at}`, partitionValues: {}, size: at, modificationTime: 0,
        dataChange: true, stats: '{"numRecords":9}' })
    const gone = table.snapshot.file(`part-${at - 2}`)
    if (at % 3 === 0 && gone !== null) transaction.remove(gone)
    await transaction.commit()
  }
  return table
}

async function checkpointOf(table: DeltaTable, at: number): Promise<void> {
  await writeCheckpoint({ storage: table.storage, snapshot: await table.at(version(at)),
    writer: lab.checkpoints, nowMs: Date.now() })
}

async function reopened({ storage }: DeltaTable): Promise<Snapshot> {
  return (await DeltaTable.open({ storage })).snapshot
}

/** `first` … `last` as one file, as log compaction writes it: no commitInfo, last state wins. */
async function compact(table: DeltaTable, first: number, last: number): Promise<string> {
  const before = first === 0 ? null : await table.at(version(first - 1))
  const after = await table.at(version(last))
  const old = new Set([...before?.files() ?? []].map(({ path }) => path))
  const actions: Action[] = [
    ...before === null ? [{ protocol: after.protocol }, { metaData: after.metadata }] : [],
    ...[...after.txns()].map((txn) => ({ txn })),
    ...[...after.files()].filter(({ path }) => !old.has(path)).map((add) => ({ add })),
    ...[...after.tombstones()].map((remove) => ({ remove }))]
  const name = (at: number): string => String(at).padStart(20, '0')
  const path = `_delta_log/${name(first)}.${name(last)}.compacted.json`
  await table.storage.put(path, Buffer.from(encodeActions(actions)))
  return path
}

describe('G4: compacted commits', () => {
  it('stand for those they fold together, at every version, longest run first', async () => {
    const table = await grown('compacted', 9)
    const wanted = await reopened(table)
    for (const [first, last] of [[1, 3], [1, 5], [6, 8], [0, 2]] as const) {
      await compact(table, first, last)
    }
    const segment = await findLogSegment(table.storage, null)
    expect(segment?.commits.map((range) => [range.first, range.version]))
      .toEqual([[0, 2], [3, 3], [4, 4], [5, 5], [6, 8], [9, 9]])
    for (let at = 0; at <= 9; at++) {
      const found = await (await DeltaTable.open({ storage: table.storage })).at(version(at))
      expect(found.version).toBe(at)
      expect(found.timestampMs).toBe((await table.at(version(at))).timestampMs)
    }
    expect(stateDifferences(await reopened(table), wanted)).toEqual([])
    expect((await checkTable(table.storage)).findings.filter(({ path }) =>
      path.includes('_delta_log'))).toEqual([])
  })

  it('L3: a damaged one is done without; without the commits it is the error', async () => {
    const table = await grown('compaction damaged', 5)
    const path = await compact(table, 1, 4)
    await table.storage.put(path, Buffer.from('{"add":{"path":'))
    expect((await reopened(table)).version).toBe(5)
    expect((await checkTable(table.storage)).findings.map((finding) => finding.path))
      .toContain(path)
    await rm(table.storage.localPath(commitPath(version(3))) ?? '')
    await expect(DeltaTable.open({ storage: table.storage })).rejects.toMatchObject({
      code: 'delta-corrupt', message: expect.stringContaining(path) as string })
  })
})

describe('L3: damaged checkpoints', () => {
  it.each(['cut', 'garbled', 'zeros'])('%s: an older one and the commits serve', async (how) => {
    const table = await grown(`checkpoint ${how}`, 8)
    await checkpointOf(table, 3)
    await checkpointOf(table, 6)
    const path = checkpointPath(version(6))
    const body = await table.storage.get(path) ?? Buffer.alloc(0)
    const damaged = how === 'cut' ? body.subarray(0, body.length >> 1)
      : how === 'zeros' ? Buffer.alloc(body.length)
        : Buffer.from(body.map((byte, at) => at > 20 && at < 400 ? byte ^ 0x55 : byte))
    await table.storage.put(path, damaged)
    expect(stateDifferences(await reopened(table), table.snapshot)).toEqual([])
    expect((await checkTable(table.storage)).findings.map((finding) => finding.path))
      .toContain(path)
    // Where the commits before it are gone, nothing else can say what the table is.
    for (let at = 0; at <= 5; at++) {
      await rm(table.storage.localPath(commitPath(version(at))) ?? '')
    }
    await expect(DeltaTable.open({ storage: table.storage })).rejects.toMatchObject({
      code: 'delta-corrupt', message: expect.stringContaining(path) as string })
  })

  it('a hint to a checkpoint that is gone, and the checkpoint after it', async () => {
    const table = await grown('hint gone', 8)
    await checkpointOf(table, 4)
    await table.storage.put(LAST_CHECKPOINT, Buffer.from('{"version":7}'))
    expect(stateDifferences(await reopened(table), table.snapshot)).toEqual([])
  })
})

describe('C1: checksum files', () => {
  it('never refuse a table; fsck tells what is wrong with them', async () => {
    const table = await grown('checksums', 3)
    const problems = async (body: string): Promise<readonly string[]> => {
      await table.storage.put(crcPath(version(3)), Buffer.from(body))
      expect((await reopened(table)).version).toBe(3)
      return (await checkTable(table.storage)).findings
        .filter(({ path }) => path === crcPath(version(3))).map(({ problem }) => problem)
    }
    const sound = await table.storage.get(crcPath(version(3)))
    const said = JSON.parse(sound?.toString('utf8') ?? '{}') as Record<string, unknown>
    expect(await problems(JSON.stringify(said))).toEqual([])
    expect(await problems('')).toEqual(['is not a readable checksum file'])
    expect(await problems('{"numFiles":"3"}')).toEqual(['is not a readable checksum file'])
    expect(await problems(JSON.stringify({ ...said, numFiles: 9, tableSizeBytes: 1,
      protocol: { minReaderVersion: 1, minWriterVersion: 2 }, setTransactions: [] })))
      .toEqual(['says numFiles 9, the log 2', 'says tableSizeBytes 1, the log 5',
        'has another protocol than the log', 'has another setTransactions than the log'])
  })

  it('tell the in-commit time of a version whose commit was cleaned up', async () => {
    const table = await grown('time', 2)
    await checkpointOf(table, 2)
    for (let at = 0; at <= 2; at++) {
      await rm(table.storage.localPath(commitPath(version(at))) ?? '')
    }
    const snapshot = await reopened(table)
    expect(snapshot.inCommitTimestamp).toBe(table.snapshot.inCommitTimestamp)
    expect(canonicalText(snapshot.metadata)).toBe(canonicalText(table.snapshot.metadata))
  })
})

describe('F3, D4: nothing outside of the table is read', () => {
  async function outsider(name: string): Promise<{ folder: string; file: string }> {
    const folder = join(lab.folder, name)
    await mkdir(folder, { recursive: true })
    const file = join(folder, 'secret')
    await writeFile(file, '{"version":1}')
    return { folder, file }
  }

  it('links are followed within the table only, unless their folder is allowed', async () => {
    const { folder, file } = await outsider('elsewhere')
    const table = await grown('linked', 2)
    const { storage } = table
    await symlink(file, storage.localPath(LAST_CHECKPOINT) ?? '')
    await symlink(folder, storage.localPath('day=1') ?? '')
    await symlink('_delta_log/00000000000000000001.json', storage.localPath('within') ?? '')
    const refused = { code: 'delta-unsupported',
      message: expect.stringContaining(storage.root) as string }
    await expect(DeltaTable.open({ storage })).rejects.toMatchObject(refused)
    for (const path of [LAST_CHECKPOINT, 'day=1/secret']) {
      await expect(storage.get(path)).rejects.toMatchObject(refused)
      await expect(storage.stat(path)).rejects.toMatchObject(refused)
    }
    expect(await storage.get('within')).not.toBeNull()
    const allowed = new LocalStorage({ root: storage.root, allowedFolders: [folder] })
    expect((await DeltaTable.open({ storage: allowed })).snapshot.version).toBe(2)
    expect(await allowed.get('day=1/secret')).not.toBeNull()
  })

  it.each(['../secret', '%2e%2e/secret', '..%2Fsecret', 'a/../../secret', 'file:secret',
    '/etc/passwd', 'file:///etc/passwd', '//etc/passwd', 's3://bucket/x'])(
    'a log that names %s', (path) => {
      const storage = new LocalStorage({ root: join(lab.folder, 'named'),
        allowedFolders: [join(lab.folder, 'elsewhere')] })
      expect(() => filePlace(storage, path)).toThrow(/Delta table .*named: /)
      const climbing = `${storage.root}/../../etc/passwd`
      expect(() => filePlace(storage, climbing)).toThrow(/lies outside of the table/)
    })

  it('absolute paths within the table or an allowed folder are files like others', async () => {
    const { folder } = await outsider('clone source')
    const storage = new LocalStorage({ root: join(lab.folder, 'a clone'),
      allowedFolders: [folder] })
    expect(filePlace(storage, `file:${encodeURI(storage.root)}/x%20y`))
      .toMatchObject({ storage, path: 'x y' })
    const [vector] = await writeDeletionVectors(new LocalStorage({ root: folder }),
      [RowBitmap.of([1, 7])])
    const [file] = await new LocalStorage({ root: folder }).list('deletion_vector', null)
    if (vector === undefined || file === undefined) throw new Error('nothing was written')
    const named = { ...vector, storageType: 'p' as const,
      pathOrInlineDv: `file://${encodeURI(folder)}/${file.path}` }
    expect([...(await readDeletionVector(storage, named)).positions()]).toEqual([1, 7])
    await expect(readDeletionVector(new LocalStorage({ root: storage.root }), named))
      .rejects.toMatchObject({ code: 'delta-unsupported' })
  })
})
