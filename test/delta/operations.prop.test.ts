/**
 * Tables of real files against a model: random appends, deletes, replacements, new columns,
 * OPTIMIZE, RESTORE, VACUUM, checkpoints, clean-up and re-opens. Every version that can still
 * be read holds the model's rows; of a sample, delta-rs reads the same.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CheckpointWriter } from '../../src/delta/checkpoint-writer.ts'
import { writeCheckpoint } from '../../src/delta/checkpoint.ts'
import { addColumn, renameColumn } from '../../src/delta/column-mapping.ts'
import { readDeletionVector, writeDeletionVectors } from '../../src/delta/deletion-vector.ts'
import { cleanUpLog } from '../../src/delta/log-cleanup.ts'
import { optimize } from '../../src/delta/optimize.ts'
import { restore } from '../../src/delta/restore.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { column } from '../../src/delta/schema.ts'
import { numRecordsOf } from '../../src/delta/stats.ts'
import { DeltaTable } from '../../src/delta/table.ts'
import type { Transaction } from '../../src/delta/transaction.ts'
import { vacuum } from '../../src/delta/vacuum.ts'
import { commitPath, version } from '../../src/delta/version.ts'
import { missing } from '../support/cache.ts'
import { DeltaLab } from '../support/delta-files.ts'
import { queryDeltaRs } from '../support/delta-rs.ts'

const STEP = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('append' as const),
    rows: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const),
    file: fc.nat({ max: 9 }), every: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace' as const),
    rows: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('restore' as const),
    back: fc.nat({ max: 5 }) }) },
  ...(['optimize', 'cluster', 'add-column', 'rename', 'checkpoint', 'checkpoint', 'vacuum',
    'clean-up', 'reopen'] as const).map((kind) =>
    ({ weight: 1, arbitrary: fc.constant({ kind }) })))
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never

/** Values of the first column, whose name and fellows change, in order. */
type Rows = readonly number[]

let lab: DeltaLab
let runs = 0
beforeAll(async () => { lab = await DeltaLab.open() })
afterAll(async () => { await lab[Symbol.asyncDispose]() })

class Run {
  readonly storage = lab.storage(`run ${runs++}`)
  #writer = new CheckpointWriter()
  readonly #models: Rows[] = [[]]
  /** Versions before it have lost their log, or their files. */
  #oldest = 0
  #next = 0
  #names = 0
  readonly #table: { current: DeltaTable | null } = { current: null }

  get table(): DeltaTable {
    if (this.#table.current === null) throw new Error('not started')
    return this.#table.current
  }

  get rows(): Rows { return this.#models.at(-1) ?? [] }

  async start(): Promise<void> {
    this.#table.current = await DeltaTable.create({ storage: this.storage,
      schema: { type: 'struct', fields: [column('id', 'long')] } })
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'append': await this.#append(step.rows, false); break
      case 'replace': await this.#append(step.rows, true); break
      case 'delete': await this.#delete(step.file, step.every); break
      case 'optimize': await this.#optimize([]); break
      case 'cluster':
        await this.#optimize([this.table.snapshot.schema.fields[0]?.name ?? '']); break
      case 'add-column': await this.#alter('ADD COLUMNS'); break
      case 'rename': await this.#alter('RENAME COLUMN'); break
      case 'restore': await this.#restore(step.back); break
      case 'checkpoint':
        await writeCheckpoint({ storage: this.storage, snapshot: this.table.snapshot,
          writer: this.#writer, nowMs: Date.now() }); break
      case 'vacuum':
        await vacuum({ table: this.table, nowMs: Date.now() + 1000, retentionMs: 0, force: true })
        this.#oldest = this.table.snapshot.version; break
      case 'clean-up': await this.#cleanUp(); break
      case 'reopen':
        this.#table.current = await DeltaTable.open({ storage: this.storage })
        this.#writer = new CheckpointWriter()
    }
  }

  async #append(count: number, replaces: boolean): Promise<void> {
    const { schema } = this.table.snapshot
    const nulls = schema.fields.slice(1).map(() => ', NULL').join('')
    const added = Array.from({ length: count }, () => this.#next++)
    const file = await lab.writeFile(this.storage, schema,
      `SELECT ${this.#next - count} + i${nulls} FROM range(${count}) r(i)`)
    const transaction = this.table.begin({ operation: 'WRITE' })
    if (replaces) transaction.removeAll()
    await this.#commit(transaction.add(file), [...replaces ? [] : this.rows, ...added])
  }

  async #delete(which: number, every: number): Promise<void> {
    const files = [...this.table.snapshot.files()].sort((a, b) => a.path < b.path ? -1 : 1)
    const file = files[which % Math.max(1, files.length)]
    if (file === undefined) return
    const old = file.deletionVector === undefined ? RowBitmap.empty
      : await readDeletionVector(this.storage, file.deletionVector)
    const rows = Array.from({ length: numRecordsOf(file.stats) ?? 0 }, (_, at) => at)
    const dead = rows.filter((at) => !old.has(at) && at % every === 0)
    if (dead.length === 0) return
    const ids = await lab.query(`SELECT * FROM '${this.storage.localPath(file.path)}'`)
    const gone = new Set(dead.map((at) => Number(ids[at]?.[0])))
    const [vector] = await writeDeletionVectors(this.storage, [old.with(dead)])
    if (vector === undefined) throw new Error('no vector')
    await this.#commit(
      this.table.begin({ operation: 'DELETE' }).replaceDeletionVector(file, vector),
      this.rows.filter((id) => !gone.has(id)))
  }

  async #optimize(clusterBy: readonly string[]): Promise<void> {
    const { version: done } = await optimize({ table: this.table, rewriter: lab.rewriter,
      clusterBy })
    if (done !== null) this.#models.push(this.rows)
  }

  async #alter(operation: 'ADD COLUMNS' | 'RENAME COLUMN'): Promise<void> {
    const { metadata, schema } = this.table.snapshot
    const name = `c${this.#names++}`
    await this.#commit(this.table.begin({ operation }).setMetadata(operation === 'ADD COLUMNS'
      ? addColumn(metadata, column(name, 'string'))
      : renameColumn(metadata, schema.fields[0]?.name ?? '', name)), this.rows)
  }

  async #restore(back: number): Promise<void> {
    const at = Math.max(this.#oldest, this.table.snapshot.version - back)
    const report = await restore({ table: this.table, target: { version: version(at) } })
    if (report.version !== null) this.#models.push(this.#models[at] ?? [])
  }

  async #cleanUp(): Promise<void> {
    await cleanUpLog({ storage: this.storage, retentionMs: 0, nowMs: Date.now() + 60_000 })
    while (await this.storage.stat(commitPath(version(this.#oldest))) === null) this.#oldest++
  }

  async #commit(transaction: Transaction, rows: Rows): Promise<void> {
    expect((await transaction.commit()).kind).toBe('committed')
    this.#models.push(rows)
  }

  async check(): Promise<void> {
    const fresh = await DeltaTable.open({ storage: this.storage })
    expect(fresh.snapshot.version).toBe(this.#models.length - 1)
    for (let at = this.#oldest; at < this.#models.length; at++) {
      const rows = await lab.rows(this.storage, await fresh.at(version(at)))
      const ids = rows.map((row) => Number((JSON.parse(row) as unknown[])[0]))
      expect(ids.sort((a, b) => a - b), `version ${at}`)
        .toEqual([...this.#models[at] ?? []].sort((a, b) => a - b))
    }
  }
}

it('holds the model\'s rows at every version that can be read', async () => {
  let sampled = 0
  await fc.assert(fc.asyncProperty(fc.array(STEP, { minLength: 4, maxLength: 14 }),
    async (steps) => {
      const run = new Run()
      await run.start()
      for (const step of steps) await run.step(step)
      await run.check()
      if (run.rows.length === 0 || sampled >= 3 || missing(['python']).length > 0) return
      sampled++
      const name = run.table.snapshot.schema.fields[0]?.name ?? ''
      const answer = await queryDeltaRs(run.storage.root, `SELECT count(*), sum(${name}) FROM t`)
      expect(answer.rows).toEqual([[String(run.rows.length),
        String(run.rows.reduce((sum, id) => sum + id, 0))]])
    }), { numRuns: 25 })
}, 240_000)
