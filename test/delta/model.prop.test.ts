/**
 * The log against a model: random commits by two writers, checkpoints, clean-up and re-opens.
 * Every version that can still be read holds what the model held at that version.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AddFile, DeletionVectorDescriptor } from '../../src/delta/actions.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { cleanUpLog } from '../../src/delta/log-cleanup.ts'
import { column } from '../../src/delta/schema.ts'
import type { Snapshot } from '../../src/delta/snapshot.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import { commitPath, version } from '../../src/delta/version.ts'
import { DeltaLab } from '../support/delta-files.ts'

/** Path to cardinality of the deletion vector, 0 for none. */
type Model = ReadonlyMap<string, number>

const SLOTS = 6
const STEP = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('commit' as const),
    writer: fc.nat({ max: 1 }), slots: fc.array(fc.record({ slot: fc.nat({ max: SLOTS - 1 }),
      act: fc.constantFrom('put', 'delete', 'vector') }), { maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('checkpoint' as const),
    back: fc.nat({ max: 2 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'clean' as const }) })
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never

let lab: DeltaLab
let runs = 0
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

/** Names that need escapes, and some that do not. */
function pathOf(slot: number): string {
  return slot % 2 === 0 ? `part-${slot}.parquet` : `a%20b=%25${slot}/part.parquet`
}

function fileOf(slot: number, size: number): AddFile {
  return { path: pathOf(slot), partitionValues: {}, size, modificationTime: 0, dataChange: true,
    stats: '{"numRecords":100}' }
}

function vectorOf(cardinality: number): DeletionVectorDescriptor {
  return { storageType: 'u', pathOrInlineDv: String(cardinality).padStart(20, '0'), offset: 1,
    sizeInBytes: 8, cardinality }
}

function stateOf(snapshot: Snapshot): Record<string, number> {
  return Object.fromEntries([...snapshot.files()]
    .map((add) => [add.path, add.deletionVector?.cardinality ?? 0]))
}

class Run {
  readonly #storage = lab.storage(`run ${runs++}`)
  readonly #models: Model[] = [new Map()]
  #tables: DeltaTable[] = []
  #oldest = 0
  #vectors = 0

  async start(): Promise<void> {
    const table = await DeltaTable.create({ storage: this.#storage,
      schema: { type: 'struct', fields: [column('id', 'long')] } })
    this.#tables = [table, await DeltaTable.open({ storage: this.#storage })]
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'commit': await this.#commit(step.writer, step.slots); break
      case 'checkpoint': await this.#checkpoint(step.back); break
      case 'reopen':
        this.#tables = [await DeltaTable.open({ storage: this.#storage }),
          await DeltaTable.open({ storage: this.#storage })]
        break
      case 'clean': await this.#clean()
    }
  }

  async #commit(writer: number, slots: readonly { slot: number; act: string }[]): Promise<void> {
    const table = this.#tables[writer]
    if (table === undefined) throw new Error('no such writer')
    await table.latest()
    const model = new Map(this.#models.at(-1))
    const transaction = table.begin({ operation: 'TEST' }).setTxn('app', BigInt(this.#last + 1))
    for (const { slot, act } of new Map(slots.map((one) => [one.slot, one])).values()) {
      const path = pathOf(slot)
      const live = table.snapshot.file(path)
      if (act === 'put' && live === null) {
        transaction.add(fileOf(slot, this.#last))
        model.set(path, 0)
      } else if (act === 'delete' && live !== null) {
        transaction.remove(live)
        model.delete(path)
      } else if (act === 'vector' && live !== null) {
        const cardinality = ++this.#vectors
        transaction.replaceDeletionVector(live, vectorOf(cardinality))
        model.set(path, cardinality)
      }
    }
    expect((await transaction.commit()).kind).toBe('committed')
    this.#models.push(model)
  }

  async #checkpoint(back: number): Promise<void> {
    const at = Math.max(this.#oldest, this.#last - back)
    const table = await DeltaTable.open({ storage: this.#storage })
    await writeCheckpoint({ storage: this.#storage, snapshot: await table.at(version(at)),
      writer: lab.checkpoints, nowMs: Date.now() })
  }

  async #clean(): Promise<void> {
    await cleanUpLog({ storage: this.#storage, retentionMs: 0, nowMs: Date.now() + 60_000 })
    while (await this.#storage.stat(commitPath(version(this.#oldest))) === null) this.#oldest++
  }

  /** Latest, and every version that clean-up has left. */
  async check(): Promise<void> {
    const fresh = await DeltaTable.open({ storage: this.#storage })
    for (const table of [...this.#tables, fresh]) {
      const snapshot = await table.latest()
      expect(snapshot.version).toBe(this.#last)
      expect(stateOf(snapshot)).toEqual(Object.fromEntries(this.#models.at(-1) ?? []))
      expect(snapshot.txn('app')).toBe(this.#last === 0 ? null : BigInt(this.#last))
    }
    for (let at = this.#oldest; at <= this.#last; at++) {
      expect(stateOf(await fresh.at(version(at))), `version ${at}`)
        .toEqual(Object.fromEntries(this.#models[at] ?? []))
    }
  }

  get #last(): number {
    return this.#models.length - 1
  }
}

it('holds what the model holds, at every version', async () => {
  await fc.assert(fc.asyncProperty(fc.array(STEP, { maxLength: 14 }), async (steps) => {
    const run = new Run()
    await run.start()
    for (const step of steps) await run.step(step)
    await run.check()
  }), { numRuns: 25 })
}, 120_000)
