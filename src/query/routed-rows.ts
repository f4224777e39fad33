/**
 * RoutedRows: a columnar answer on its way to the client, as DataRow messages.
 *
 * R1  `start` returns only when the first HEAD_BYTES_MAX of rows, or the whole result, are
 *     encoded: what fails until then can still be run in PostgreSQL.
 * R2  Under a tie check the whole result is read first, up to TIED_BYTES_MAX.
 * R3  Of a result that the client limits, more rows than it wants are an answer only where
 *     their order is settled: which ones come is else PostgreSQL's choice.
 * R4  The engine's answer is released when the batches end, fail or are given up.
 */
import { SlipwayError } from '../base/errors.ts'
import { EncodingRefusal, type SessionFormat } from './session-format.ts'
import { checkTies } from './tie-check.ts'
import { WireEncoder, type EncodedBatch } from './wire-encoder.ts'
import type { DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import type { Lsn } from '../base/lsn.ts'
import type { ColumnarPlan, OutputColumn, TieCheck } from '../router/plan.ts'

/** What the columnar executor answers. */
export interface ColumnarRows extends AsyncDisposable {
  /** Applied LSN of the pinned state that was read. */
  readonly readLsn: Lsn
  readonly waitedMs: number
  readonly sql: string
  readonly scan: ScanReport
  readonly columnTypes: readonly DuckDBType[]
  readonly chunks: AsyncIterable<DuckDBDataChunk>
}

export interface ScanReport {
  readonly filesRead: number
  readonly filesPruned: number
  readonly tailRows: number
}

/** Stops the run: the caller's cancel, or statement_timeout. */
export interface RunLimit extends Disposable {
  error(): SlipwayError | null
}

const HEAD_BYTES_MAX = 1024 * 1024
const TIED_BYTES_MAX = 32 * 1024 * 1024

export class RoutedRows implements AsyncDisposable {
  readonly output: readonly OutputColumn[]
  readonly readLsn: Lsn
  readonly waitedMs: number
  readonly sql: string
  readonly scan: ScanReport
  readonly #answer: ColumnarRows
  readonly #limit: RunLimit
  readonly #head: readonly EncodedBatch[]
  /** null: the head is all there is. */
  readonly #rest: AsyncGenerator<EncodedBatch> | null
  #released: Promise<void> | null = null

  private constructor(
    plan: ColumnarPlan, answer: ColumnarRows, limit: RunLimit, held: HeldRows,
  ) {
    this.output = plan.output
    this.readLsn = answer.readLsn
    this.waitedMs = answer.waitedMs
    this.sql = answer.sql
    this.scan = answer.scan
    this.#answer = answer
    this.#limit = limit
    this.#head = held.head
    this.#rest = held.rest
  }

  /** Owns `answer` from here on. Throws what should make the statement run elsewhere. */
  static async start(options: {
    readonly plan: ColumnarPlan
    readonly answer: ColumnarRows
    readonly session: () => Promise<SessionFormat>
    readonly resultFormats: readonly (0 | 1)[]
    /** 0: all. */
    readonly rowsMax: number
    readonly deadline: RunLimit
  }): Promise<RoutedRows> {
    const { plan, answer, rowsMax } = options
    try {
      const encoder = new WireEncoder({
        output: plan.output, columnTypes: answer.columnTypes,
        resultFormats: options.resultFormats, session: await options.session(),
      })
      const held = plan.tieCheck !== null
        ? { head: [await settledRows(plan.tieCheck, rowsMax, answer, encoder)], rest: null }
        : rowsMax > 0 ? await holdFew(answer, encoder, rowsMax) : await holdHead(answer, encoder)
      return new RoutedRows(plan, answer, options.deadline, held)
    } catch (error) {
      await answer[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Batches in order; to be read once. Throws 'columnar-failed' or 'query-canceled'. */
  async * batches(): AsyncGenerator<EncodedBatch> {
    try {
      yield * this.#head
      if (this.#rest !== null) yield * this.#rest
    } catch (error) {
      throw this.#limit.error() ?? new SlipwayError('columnar-failed',
        'the columnar engine failed in the middle of the answer', { cause: error })
    } finally {
      await this[Symbol.asyncDispose]()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#released ??= this.#release()
    return this.#released
  }

  async #release(): Promise<void> {
    this.#limit[Symbol.dispose]()
    await this.#answer[Symbol.asyncDispose]()
  }
}

interface HeldRows {
  readonly head: readonly EncodedBatch[]
  readonly rest: AsyncGenerator<EncodedBatch> | null
}

async function settledRows(
  check: TieCheck, rowsMax: number, answer: ColumnarRows, encoder: WireEncoder,
): Promise<EncodedBatch> {
  const limit = Math.min(check.limit ?? Infinity, rowsMax > 0 ? rowsMax : Infinity)
  const result = await checkTies({
    check: { ...check, limit: limit === Infinity ? null : limit },
    columnTypes: answer.columnTypes, chunks: answer.chunks, encoder, bytesMax: TIED_BYTES_MAX,
  })
  switch (result.kind) {
    case 'settled': return result.batch
    case 'ambiguous':
      throw new EncodingRefusal('rows tie in ORDER BY, so that their order is PostgreSQL\'s choice')
    case 'too-large':
      throw new EncodingRefusal('the sorted result is too large to be checked for ties')
  }
}

async function holdHead(answer: ColumnarRows, encoder: WireEncoder): Promise<HeldRows> {
  const batches = encodedBatches(answer.chunks, encoder)
  const head: EncodedBatch[] = []
  for (let bytes = 0; bytes < HEAD_BYTES_MAX;) {
    const next = await batches.next()
    if (next.done === true) return { head, rest: null }
    head.push(next.value)
    bytes += next.value.bytes.length
  }
  return { head, rest: batches }
}

/** The whole result, if it has no more than `rowsMax` rows. */
async function holdFew(
  answer: ColumnarRows, encoder: WireEncoder, rowsMax: number,
): Promise<HeldRows> {
  const head: EncodedBatch[] = []
  let [rows, bytes] = [0, 0]
  for await (const batch of encodedBatches(answer.chunks, encoder)) {
    rows += batch.rows
    bytes += batch.bytes.length
    if (rows > rowsMax) throw new EncodingRefusal('which rows come first is PostgreSQL\'s choice')
    if (bytes > TIED_BYTES_MAX) {
      throw new EncodingRefusal('the result is too large to be counted before it is sent')
    }
    head.push(batch)
  }
  return { head, rest: null }
}

async function * encodedBatches(
  chunks: AsyncIterable<DuckDBDataChunk>, encoder: WireEncoder,
): AsyncGenerator<EncodedBatch> {
  for await (const chunk of chunks) {
    yield * encoder.encode(chunk)
  }
}
