/** Log segments, hints, checkpoints and clean-up: G1 to G3, U1 to U3. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rm, utimes } from 'node:fs/promises'
import type { AddFile } from '../../src/delta/actions.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { findLogSegment } from '../../src/delta/log-segment.ts'
import { cleanUpLog } from '../../src/delta/log-cleanup.ts'
import { column } from '../../src/delta/schema.ts'
import type { Snapshot } from '../../src/delta/snapshot.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { LAST_CHECKPOINT, checkpointPath, commitPath, parseLogFileName, version }
  from '../../src/delta/version.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

function file(path: string): AddFile {
  return { path, partitionValues: {}, size: 10, modificationTime: 5, dataChange: true,
    stats: `{"numRecords":9,"minValues":{"d":0.10,"l":9223372036854775807},"x":"${path}"}` }
}

/** Everything a snapshot says, for comparing two of them. */
function contents(snapshot: Snapshot): unknown {
  const sorted = (items: Iterable<unknown>): string[] =>
    [...items].map((item) => JSON.stringify(item, (_key, value: unknown) =>
      typeof value === 'bigint' ? `${value}n` : value)).sort()
  return { version: snapshot.version, time: snapshot.timestampMs, protocol: snapshot.protocol,
    metadata: snapshot.metadata, txns: sorted(snapshot.txns()), size: snapshot.sizeBytes,
    files: sorted([...snapshot.files()].map((add) => ({ ...add, dataChange: null }))),
    tombstones: sorted([...snapshot.tombstones()].map((gone) => ({ ...gone, dataChange: null }))) }
}

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

/** Versions 0 to `last`: a file more each; at odd versions the one of the version before goes. */
async function grown(name: string, last: number)
  : Promise<{ table: DeltaTable; storage: LocalStorage }> {
  const storage = lab.storage(name)
  const table = await DeltaTable.create({ storage,
    schema: { type: 'struct', fields: [column('id', 'long')] } })
  for (let at = 1; at <= last; at++) {
    const transaction = table.begin({ operation: 'WRITE' }).add(file(`part ${at}%.parquet`
      .replace('%', '%25').replace(' ', '%20'))).setTxn('app', BigInt(at))
    const gone = table.snapshot.file(`part%20${at - 1}%25.parquet`)
    if (at % 2 === 1 && gone !== null) transaction.remove(gone)
    await transaction.commit()
  }
  return { table, storage }
}

async function checkpoint(storage: LocalStorage, snapshot: Snapshot): Promise<void> {
  await writeCheckpoint({ storage, snapshot, writer: lab.checkpoints, nowMs: Date.now() })
}

describe('names of log files', () => {
  it.each([
    ['00000000000000000012.json', { kind: 'commit', version: 12 }],
    ['00000000000000000012.crc', { kind: 'crc', version: 12 }],
    ['00000000000000000012.checkpoint.parquet', { kind: 'classic-checkpoint', version: 12 }],
    ['00000000000000000012.checkpoint.0000000001.0000000002.parquet',
      { kind: 'multipart-checkpoint', version: 12, part: 1, parts: 2 }],
    ['00000000000000000012.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json',
      { kind: 'v2-checkpoint', version: 12, format: 'json' }],
    ['00000000000000000012.00000000000000000015.compacted.json',
      { kind: 'compacted', version: 12, last: 15 }],
    ['00000000000000000012.checkpoint.0000000003.0000000002.parquet', { kind: 'other' }],
    ['99999999999999999999.json', { kind: 'other' }],
    ['12.json', { kind: 'other' }], ['_last_checkpoint', { kind: 'other' }],
    ['.00000000000000000012.json.crc', { kind: 'other' }],
  ])('%s', (name, parsed) => { expect(parseLogFileName(name)).toEqual(parsed) })
})

describe('the log', () => {
  it('a checkpoint gives the same snapshot as every commit since 0', async () => {
    const { table, storage } = await grown('same', 9)
    const replayed = contents(await table.at(version(9)))
    expect(contents(table.snapshot)).toEqual(replayed)
    await checkpoint(storage, await table.at(version(6)))
    expect(contents((await DeltaTable.open({ storage })).snapshot)).toEqual(replayed)
    await checkpoint(storage, table.snapshot)
    expect(contents((await DeltaTable.open({ storage })).snapshot)).toEqual(replayed)
    const segment = await findLogSegment(storage, null)
    expect(segment).toMatchObject({ version: 9, checkpoint: { version: 9 }, commits: [] })
    expect(await findLogSegment(storage, version(8)))
      .toMatchObject({ checkpoint: { version: 6 }, commits: [{ version: 7 }, { version: 8 }] })
  })

  it('G2: a hint that is missing, stale, garbled or ahead changes nothing', async () => {
    const { table, storage } = await grown('hints', 5)
    await checkpoint(storage, await table.at(version(2)))
    const hints = [null, '', '{', '[]', '{"version":-1}', '{"version":"2"}', '{"version":1}',
      '{"version":4}', '{"version":99}', '{"version":2,"size":4}']
    for (const hint of hints) {
      if (hint === null) await storage.delete(LAST_CHECKPOINT)
      else await storage.put(LAST_CHECKPOINT, Buffer.from(hint))
      const opened = await DeltaTable.open({ storage })
      expect(contents(opened.snapshot), String(hint)).toEqual(contents(table.snapshot))
      expect((await opened.at(version(1))).version).toBe(1)
      expect((await opened.latest()).version).toBe(5)
    }
  })

  it('G1: a gap is damage and is named; a version that is not there is not found', async () => {
    const { table, storage } = await grown('gap', 5)
    await expect(table.at(version(6))).rejects.toMatchObject({ code: 'not-found' })
    await rm(storage.localPath(commitPath(version(3))))
    await expect(DeltaTable.open({ storage })).rejects.toMatchObject({ code: 'delta-corrupt',
      message: expect.stringContaining(commitPath(version(3))) as string })
    await expect(DeltaTable.open({ storage: lab.storage('nothing') }))
      .rejects.toMatchObject({ code: 'not-found' })
    expect(await DeltaTable.openIfExists({ storage: lab.storage('nothing') })).toBeNull()
  })

  it.each([1, 2, 5])('G1: %i missing commits before the newest: refused, older versions are read',
    async (missing) => {
      const { table, storage } = await grown(`gap of ${missing}`, 3)
      const follower = await DeltaTable.open({ storage })
      const before = contents(table.snapshot)
      for (let at = 0; at < 2 * missing; at++) {
        await table.begin({ operation: 'WRITE' }).add(file(`later-${at}`)).commit()
      }
      for (let at = 4; at < 4 + missing; at++) await rm(storage.localPath(commitPath(version(at))))
      const gap = { code: 'delta-corrupt',
        message: expect.stringContaining(`${commitPath(version(4))} is missing`) as string }
      await expect(DeltaTable.open({ storage })).rejects.toMatchObject(gap)
      await expect(follower.latest()).rejects.toMatchObject(gap)
      expect(contents((await DeltaTable.open({ storage, version: version(3) })).snapshot))
        .toEqual(before)
      await expect(follower.at(version(3 + missing))).rejects.toMatchObject(gap)
      // A checkpoint behind the gap covers it.
      await checkpoint(storage, table.snapshot)
      expect(contents(await follower.latest())).toEqual(contents(table.snapshot))
      expect((await DeltaTable.open({ storage })).snapshot.version).toBe(3 + 2 * missing)
    })

  it('damage names the file', async () => {
    const { storage } = await grown('damage', 2)
    for (const body of ['{"add":', '{"add":{"path":1}}', '{"add":{"path":"x","size":"1"}}', '[]']) {
      await storage.put(commitPath(version(2)), Buffer.from(body))
      await expect(DeltaTable.open({ storage }), body).rejects.toMatchObject({
        code: 'delta-corrupt',
        message: expect.stringContaining(commitPath(version(2))) as string })
    }
    await storage.put(checkpointPath(version(2)), Buffer.from('PAR1 not really'))
    await expect(DeltaTable.open({ storage })).rejects.toMatchObject({ code: 'delta-corrupt',
      message: expect.stringContaining(checkpointPath(version(2))) as string })
  })

  it('latest follows other writers, past commits that clean-up has taken', async () => {
    const { table, storage } = await grown('follow', 2)
    const follower = await DeltaTable.open({ storage })
    await table.begin({ operation: 'WRITE' }).add(file('x')).commit()
    expect((await follower.latest()).version).toBe(3)
    await table.begin({ operation: 'WRITE' }).add(file('y')).commit()
    await table.begin({ operation: 'WRITE' }).add(file('z')).commit()
    await checkpoint(storage, table.snapshot)
    for (const at of [0, 1, 2, 3, 4]) await rm(storage.localPath(commitPath(version(at))))
    expect(contents(await follower.latest())).toEqual(contents(table.snapshot))
  })

  it('K3: tombstones go once they are older than the table\'s retention', async () => {
    const { table, storage } = await grown('tombstones', 5)
    expect(table.snapshot.tombstoneCount).toBe(2)
    await writeCheckpoint({ storage, snapshot: table.snapshot, writer: lab.checkpoints,
      nowMs: Date.now() + 8 * 86_400_000 })
    expect((await DeltaTable.open({ storage })).snapshot.tombstoneCount).toBe(0)
  })
})

describe('clean-up', () => {
  const HOUR = 3_600_000

  it('keeps the checkpoint, its commit and what follows; deletes only what is old', async () => {
    const { table, storage } = await grown('clean', 8)
    await checkpoint(storage, await table.at(version(3)))
    await checkpoint(storage, await table.at(version(6)))
    const clean = (nowMs: number): Promise<number> =>
      cleanUpLog({ storage, retentionMs: HOUR, nowMs })
    expect(await clean(Date.now())).toBe(0)
    // U3: version 6 is old, but its checkpoint is not yet.
    const old = (Date.now() - 2 * HOUR) / 1000
    for (let at = 0; at <= 8; at++) {
      await utimes(storage.localPath(commitPath(version(at))), old, old)
    }
    await utimes(storage.localPath(checkpointPath(version(3))), old, old)
    // Commits and their checksums, and the older checkpoint.
    expect(await clean(Date.now())).toBe(6)
    expect(await clean(Date.now() + 2 * HOUR)).toBe(7)
    const opened = await DeltaTable.open({ storage })
    expect(contents(opened.snapshot)).toMatchObject({ version: 8, size: table.snapshot.sizeBytes })
    expect((await opened.at(version(6))).version).toBe(6)
    await expect(opened.at(version(5))).rejects.toMatchObject({ code: 'not-found' })
    expect(await clean(Date.now() + 9 * HOUR)).toBe(0)
  })

  it('does nothing without a checkpoint', async () => {
    const { storage } = await grown('plain', 2)
    expect(await cleanUpLog({ storage, retentionMs: 0, nowMs: Date.now() + HOUR })).toBe(0)
  })
})
