/** Compaction plan (CN1-CN3) and Relocation (RL1), against the plainest way to say the same. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planCompaction, type CompactableFile, type CompactionPolicy }
  from '../../src/delta-sync/compaction-plan.ts'
import { Relocation } from '../../src/delta-sync/relocation.ts'
import { rowPosition } from '../../src/mirror/epoch.ts'

const POLICY: CompactionPolicy = { filesMin: 8, fileBytes: 1 << 20, fileRows: 3_000 }

const files = fc.array(fc.record({ sizeBytes: fc.oneof(fc.integer({ min: 100, max: 5_000 }),
  fc.integer({ min: 100, max: 2 * POLICY.fileBytes })), rows: fc.integer({ min: 1, max: 1000 }),
deadShare: fc.constantFrom(0, 0, 0, 0.1, 0.5, 1) }), { maxLength: 60 })
  .map((some) => some.map(({ sizeBytes, rows, deadShare }, at): CompactableFile =>
    ({ fileNo: at + 1, sizeBytes, rows, deadRows: Math.floor(rows * deadShare) })))

const live = ({ sizeBytes, rows, deadRows }: CompactableFile): number =>
  sizeBytes * (rows - deadRows) / rows

/** The files after the plan was carried out; a file without rows is none. */
function carryOut(all: readonly CompactableFile[], chosen: readonly CompactableFile[],
  fileNo: number): CompactableFile[] {
  const kept = all.filter((file) => !chosen.includes(file))
  const rows = chosen.reduce((sum, file) => sum + file.rows - file.deadRows, 0)
  if (rows > 0) {
    kept.push({ fileNo, rows, deadRows: 0,
      sizeBytes: Math.ceil(chosen.reduce((sum, file) => sum + live(file), 0)) })
  }
  return kept
}

describe('planCompaction', () => {
  it('leaves large healthy files alone, and makes none much larger than is wanted', () => {
    fc.assert(fc.property(files, (all) => {
      const chosen = planCompaction(all, POLICY)
      for (const file of chosen) {
        const isHoled = file.deadRows >= 0.3 * file.rows
        expect(isHoled || live(file) < POLICY.fileBytes / 2).toBe(true)
      }
      const rows = chosen.reduce((sum, file) => sum + file.rows - file.deadRows, 0)
      expect(chosen.length < 2 || rows <= POLICY.fileRows).toBe(true)
      const bytes = chosen.reduce((sum, file) => sum + live(file), 0)
      expect(chosen.length < 2 || bytes <= POLICY.fileBytes).toBe(true)
      expect(chosen.map(({ fileNo }) => fileNo)).toEqual(
        chosen.map(({ fileNo }) => fileNo).sort((a, b) => a - b))
    }))
  })

  it('ends, and leaves few small files and few dead rows', () => {
    fc.assert(fc.property(files, (before) => {
      let all: CompactableFile[] = [...before]
      let turns = 0
      for (;;) {
        const chosen = planCompaction(all, POLICY)
        if (chosen.length === 0) break
        all = carryOut(all, chosen, 1000 + turns)
        expect(++turns).toBeLessThan(70)
      }
      const small = all.filter((file) => live(file) < POLICY.fileBytes / 2
        && file.rows - file.deadRows < POLICY.fileRows / 2)
      // Each but the first few is larger than all before it together.
      expect(small.length).toBeLessThan(POLICY.filesMin + Math.log2(POLICY.fileBytes))
      const holed = all.filter((file) => file.deadRows >= 0.3 * file.rows)
      expect(holed.length).toBeLessThan(POLICY.filesMin)
      expect(holed.reduce((sum, file) => sum + file.sizeBytes - live(file), 0))
        .toBeLessThan(POLICY.fileBytes / 16 + 1)
    }))
  })

  it('a table that grows by small files: few files, and each row is rewritten a few times', () => {
    let all: CompactableFile[] = []
    let rewritten = 0
    let most = 0
    const rounds = 5_000
    const size = 2_000
    for (let round = 0; round < rounds; round++) {
      all.push({ fileNo: round, sizeBytes: size, rows: 5, deadRows: 0 })
      for (;;) {
        const chosen = planCompaction(all, POLICY)
        if (chosen.length === 0) break
        rewritten += chosen.reduce((sum, file) => sum + file.sizeBytes, 0)
        all = carryOut(all, chosen, 100_000 + round)
      }
      most = Math.max(most, all.filter((file) => file.sizeBytes < POLICY.fileBytes / 2).length)
    }
    expect(most).toBeLessThan(20)
    expect(rewritten / (rounds * size)).toBeLessThan(Math.log2(POLICY.fileBytes / size) + 1)
    expect(all.length).toBeLessThan(20 + rounds * size / (POLICY.fileBytes / 2))
  })

  it('a file without living rows goes with the next rewrite', () => {
    const dead = (fileNo: number): CompactableFile =>
      ({ fileNo, sizeBytes: 900, rows: 10, deadRows: 10 })
    expect(planCompaction([1, 2, 3].map(dead), POLICY)).toEqual([])
    expect(planCompaction([1, 2, 3, 4, 5, 6, 7, 8].map(dead), POLICY)).toHaveLength(8)
    expect(planCompaction([{ ...dead(1), sizeBytes: POLICY.fileBytes }], POLICY)).toHaveLength(1)
  })
})

describe('Relocation', () => {
  const sources = fc.array(fc.integer({ min: 0, max: 40 }).chain((rows) => fc.record({
    rows: fc.constant(rows),
    dropped: fc.uniqueArray(fc.nat(Math.max(0, rows - 1)), { maxLength: rows })
      .map((some) => rows === 0 ? [] : some.sort((a, b) => a - b)) })), { maxLength: 6 })

  it('puts each row where its rank is, and tells the dropped ones', () => {
    fc.assert(fc.property(sources, (some) => {
      const named = some.map((source, at) => ({ ...source, fileNo: 10 + 3 * at }))
      const relocation = new Relocation(500, named)
      let rank = 0
      for (const { fileNo, rows, dropped } of named) {
        for (let row = 0; row < rows; row++) {
          expect(relocation.locate(rowPosition(fileNo, row)))
            .toBe(dropped.includes(row) ? null : rowPosition(500, rank++))
        }
      }
      expect(relocation.rows).toBe(rank)
      expect(relocation.droppedRows).toBe(some.reduce((sum, s) => sum + s.dropped.length, 0))
      expect(relocation.locate(rowPosition(7, 3))).toBe(rowPosition(7, 3))
    }))
  })
})
