/** History and time travel (H1, H2), and fsck (K1 to K3). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rm, truncate, utimes } from 'node:fs/promises'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { checkTable } from '../../src/delta/fsck.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column } from '../../src/delta/schema.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { LAST_CHECKPOINT, checkpointPath, commitPath, version } from '../../src/delta/version.ts'
import type { LocalStorage } from '../../src/storage/local.ts'
import { DeltaLab } from '../support/delta-files.ts'

const START = 1_795_354_260_000

let lab: DeltaLab
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

/** Versions 0 to 3, ten seconds apart. */
async function table(name: string, configuration: Record<string, string> = {})
  : Promise<{ table: DeltaTable; storage: LocalStorage }> {
  const storage = lab.storage(name)
  let now = START
  const made = await DeltaTable.create({ storage, clock: { now: () => now }, configuration,
    schema: { type: 'struct', fields: [column('id', 'long')] } })
  for (let at = 1; at <= 3; at++) {
    now += 10_000
    const file = await lab.writeFile(storage, made.snapshot.schema, `SELECT ${at}`)
    await made.begin({ operation: 'WRITE', operationParameters: { at: String(at) } }).add(file)
      .commit()
  }
  return { table: made, storage }
}

describe('time travel', () => {
  it.each([['in-commit times', {}],
    ['modification times', { 'delta.enableInCommitTimestamps': 'false' }]])(
    'H2: a moment has the newest version not after it, by %s', async (name, configuration) => {
      const { table: made } = await table(name, configuration)
      for (const [at, expected] of [[START, 0], [START + 9_999, 0], [START + 10_000, 1],
        [START + 29_999, 2], [START + 30_000, 3]] as const) {
        expect((await made.atTimestamp(at)).version, String(at)).toBe(expected)
      }
      for (const [outside, nearest] of [[START - 1, START], [START + 30_001, START + 30_000]]) {
        await expect(made.atTimestamp(outside ?? 0)).rejects.toMatchObject({ code: 'not-found',
          message: expect.stringContaining(new Date(nearest ?? 0).toISOString()) as string })
      }
    })

  it('H1: in-commit times outlive a copy that loses modification times', async () => {
    const { table: made, storage } = await table('copied')
    for (let at = 0; at <= 3; at++) await utimes(storage.localPath(commitPath(version(at))), 1, 1)
    expect((await made.atTimestamp(START + 15_000)).version).toBe(1)
  })

  it('H1: a table that enabled in-commit times later has files\' times before', async () => {
    const { table: made, storage } = await table('enabled later',
      { 'delta.enableInCommitTimestamps': 'false' })
    // Copied to another machine: what the files say is later than what commits will say.
    const moved = (START + 1_000_000) / 1000
    for (let at = 0; at <= 3; at++) {
      await utimes(storage.localPath(commitPath(version(at))), moved + at, moved + at)
    }
    const { metadata } = made.snapshot
    const enabledMs = START + 40_000
    await storage.put(commitPath(version(4)), Buffer.from([
      { commitInfo: { inCommitTimestamp: enabledMs } },
      { protocol: { ...made.snapshot.protocol, minReaderVersion: 3, minWriterVersion: 7,
        writerFeatures: [...made.snapshot.protocol.writerFeatures ?? [], 'inCommitTimestamp'] } },
      { metaData: { ...metadata, configuration: { ...metadata.configuration,
        'delta.enableInCommitTimestamps': 'true',
        'delta.inCommitTimestampEnablementVersion': '4',
        'delta.inCommitTimestampEnablementTimestamp': String(enabledMs) } } },
    ].map((action) => `${JSON.stringify(action)}\n`).join('')))
    await storage.put(commitPath(version(5)),
      Buffer.from(`{"commitInfo":{"inCommitTimestamp":${enabledMs + 10}}}\n`))
    const opened = await DeltaTable.open({ storage })
    expect(opened.snapshot.timestampMs).toBe(enabledMs + 10)
    const times = []
    for await (const entry of opened.history()) times.push(entry.timestampMs)
    expect(times).toEqual([enabledMs + 10, enabledMs,
      ...[3, 2, 1, 0].map((at) => START + 1_000_000 + at * 1000)])
    for (const [at, expected] of [[enabledMs, 4], [enabledMs + 9, 4], [enabledMs + 10, 5]]) {
      expect((await opened.atTimestamp(at ?? 0)).version, String(at)).toBe(expected)
    }
    for (const at of [START, enabledMs + 11]) {
      await expect(opened.atTimestamp(at)).rejects.toMatchObject({ code: 'not-found' })
    }
  })

  it('H1: modification times that fall are moved up', async () => {
    const { table: made, storage } = await table('falling',
      { 'delta.enableInCommitTimestamps': 'false' })
    await utimes(storage.localPath(commitPath(version(2))), 5, 5)
    const entries = []
    for await (const entry of made.history()) entries.push(entry)
    expect(entries.map((entry) => entry.timestampMs))
      .toEqual([START + 30_000, START + 10_001, START + 10_000, START])
  })

  it('history is newest first, with what each commit says of itself', async () => {
    const { table: made, storage } = await table('history')
    await rm(storage.localPath(commitPath(version(0))))
    const entries = []
    for await (const entry of made.history()) entries.push(entry)
    expect(entries.map((entry) => [entry.version, entry.timestampMs, entry.commitInfo.operation,
      entry.commitInfo.operationParameters])).toEqual([
      [3, START + 30_000, 'WRITE', { at: '3' }], [2, START + 20_000, 'WRITE', { at: '2' }],
      [1, START + 10_000, 'WRITE', { at: '1' }]])
  })
})

describe('fsck', () => {
  async function withVectorAndCheckpoint(name: string)
    : Promise<{ table: DeltaTable; storage: LocalStorage; paths: string[] }> {
    const { table: made, storage } = await table(name)
    const [first] = [...made.snapshot.files()]
    const [vector] = await writeDeletionVectors(storage, [RowBitmap.of([0])])
    if (first === undefined || vector === undefined) throw new Error('nothing there')
    await made.begin({ operation: 'DELETE' }).replaceDeletionVector(first, vector).commit()
    await writeCheckpoint({ storage, snapshot: made.snapshot, writer: lab.checkpoints,
      nowMs: Date.now() })
    return { table: made, storage, paths: [...made.snapshot.files()].map(({ path }) => path) }
  }

  it('finds nothing in a sound table', async () => {
    const { storage } = await withVectorAndCheckpoint('sound')
    expect(await checkTable(storage)).toEqual({ version: 4, commits: 5, checkpoints: 1,
      checksums: 5, files: 3, deletionVectors: 1, findings: [] })
  })

  it('K1, K2: tells of every damage in one run', async () => {
    const { storage, paths: [first = '', second = ''] } = await withVectorAndCheckpoint('broken')
    await rm(storage.localPath(first))
    await truncate(storage.localPath(second), 10)
    const [vector] = (await storage.list('deletion_vector', null))
    await truncate(storage.localPath(vector?.path ?? ''), 20)
    await storage.put(LAST_CHECKPOINT, Buffer.from('{"version":2}'))
    const { findings } = await checkTable(storage)
    expect(findings.map(({ problem }) => problem).sort()).toEqual([
      expect.stringContaining('too short'), expect.stringMatching(/^has 10 bytes, \d+ in the log/),
      'is missing', 'names the checkpoint of version 2, which is not there'])
  })

  it('K3: a checkpoint that says something else than the commits', async () => {
    const { table: made, storage } = await withVectorAndCheckpoint('lying')
    await rm(storage.localPath(checkpointPath(version(4))))
    // The checkpoint of version 3 under the name of version 4: the vector is missing in it.
    await writeCheckpoint({ storage, snapshot: await made.at(version(3)),
      writer: lab.checkpoints, nowMs: Date.now() })
    const body = await storage.get(checkpointPath(version(3)))
    await storage.put(checkpointPath(version(4)), body ?? Buffer.alloc(0))
    await storage.delete(checkpointPath(version(3)))
    expect((await checkTable(storage)).findings).toEqual([
      { path: checkpointPath(version(4)),
        problem: 'differs from the commits: 1 files missing, 1 that are not live' }])
  })

  it('a missing commit is named', async () => {
    const { storage } = await table('holey')
    await rm(storage.localPath(commitPath(version(1))))
    expect((await checkTable(storage)).findings[0])
      .toEqual({ path: commitPath(version(1)), problem: 'is missing' })
  })
})
