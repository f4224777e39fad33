/**
 * DataSkipping: the files of a snapshot that can hold a row for which a predicate is true.
 *
 * DS1  A file is left out only when its partition values and statistics prove that it holds no
 *      such row.
 * DS2  Bounds are decoded once for a column and a checkpoint's block of files, with its first
 *      use; later predicates on it, and later versions with the same block, only compare.
 */
import type { AddFile } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { columnBounds, MAY_BE_NULL, MAY_BE_VALUE, type ColumnBounds, type FileColumns }
  from './column-bounds.ts'
import { combine, FALSE, membershipOutcomes, negate, NULL, prefixOutcomes, rangeOutcomes, TRUE }
  from './outcomes.ts'
import type { BoundPredicate, FieldPath } from './predicate.ts'
import type { Snapshot } from './snapshot.ts'
import { compareKeys, keyOf, type Key } from './value.ts'

/** By the files that they are of; dropped with them. */
const decoded = new WeakMap<FileColumns, Map<string, ColumnBounds>>()
const sinceCheckpoint = new WeakMap<Snapshot, FileColumns>()

/** DS1. `predicate`: bound to the snapshot's schema. Throws `delta-corrupt` for a damaged log. */
export function * filesMatching(snapshot: Snapshot, predicate: BoundPredicate)
  : Generator<AddFile> {
  const { partitionColumns } = snapshot.metadata
  for (const { block, isLive } of snapshot.fileBlocks()) {
    const outcomes = new Evaluation(block, partitionColumns).of(predicate)
    for (let at = 0; at < block.count; at++) {
      if ((outcomes[at]! & TRUE) !== 0 && isLive(at)) yield block.add(at)
    }
  }
  let newer = sinceCheckpoint.get(snapshot)
  if (newer === undefined) {
    newer = new ListedFiles(Array.from(snapshot.filesSinceCheckpoint(), ({ file }) => file))
    sinceCheckpoint.set(snapshot, newer)
  }
  const outcomes = new Evaluation(newer, partitionColumns).of(predicate)
  for (let at = 0; at < newer.count; at++) {
    if ((outcomes[at]! & TRUE) !== 0) yield newer.add(at)
  }
}

class ListedFiles implements FileColumns {
  readonly count: number
  readonly #files: readonly AddFile[]

  constructor(files: readonly AddFile[]) {
    this.#files = files
    this.count = files.length
  }

  stats(at: number): string | undefined { return this.add(at).stats }
  partitionValues(at: number): AddFile['partitionValues'] { return this.add(at).partitionValues }
  add(at: number): AddFile { return this.#files[at]! }
}

/** Constants from `from` to `to`, and what is known when they lie apart from a file's bounds. */
interface Span {
  readonly from: Key
  readonly to: Key
  /** All of the file's values are below `from`, above `to`, or on both sides of the span. */
  readonly below: number
  readonly above: number
  readonly around: number
}

/** The outcomes of predicates over some files; outcomes.ts says what those are. */
class Evaluation {
  readonly #files: FileColumns
  readonly #partitionColumns: readonly string[]

  constructor(files: FileColumns, partitionColumns: readonly string[]) {
    this.#files = files
    this.#partitionColumns = partitionColumns
  }

  of(predicate: BoundPredicate): Uint8Array {
    switch (predicate.kind) {
      case 'constant': return this.#all(answerOf(predicate.answer))
      case 'not': {
        const outcomes = this.of(predicate.operand)
        negate(outcomes)
        return outcomes
      }
      case 'and': case 'or': {
        const outcomes = this.#all(predicate.kind === 'and' ? TRUE : FALSE)
        for (const operand of predicate.operands) {
          combine(predicate.kind, outcomes, this.of(operand))
        }
        return outcomes
      }
      case 'is-null': return this.#holding(predicate.path,
        (holds) => ((holds & MAY_BE_NULL) === 0 ? 0 : TRUE) | ((holds & MAY_BE_VALUE) === 0 ? 0
          : FALSE))
      case 'decided': return this.#values(predicate.path, () => answerOf(predicate.answer), 0,
        null)
      case 'compare': {
        const { op } = predicate
        const x = keyOf(predicate.value)
        const ofNaN = rangeOutcomes(op, NaN, NaN, x)
        return this.#values(predicate.path, (low, high) => rangeOutcomes(op, low, high, x), ofNaN,
          { from: x, to: x, below: rangeOutcomes(op, null, 0, 1),
            above: rangeOutcomes(op, 1, null, 0), around: rangeOutcomes(op, null, null, x) })
      }
      case 'in': {
        const xs = predicate.values.map(keyOf).sort(compareKeys)
        const [from, to] = [xs[0], xs.at(-1)]
        return this.#values(predicate.path, (low, high) => membershipOutcomes(low, high, xs),
          membershipOutcomes(NaN, NaN, xs), from === undefined || to === undefined ? null
            : { from, to, below: FALSE, above: FALSE, around: TRUE | FALSE })
      }
      case 'like': {
        const { prefix, isAll } = prefixOf(predicate.pattern)
        return this.#values(predicate.path, (low, high) =>
          prefixOutcomes(low, high, prefix, isAll), 0, null)
      }
    }
  }

  #all(outcome: number): Uint8Array {
    return new Uint8Array(this.#files.count).fill(outcome)
  }

  #holding(path: FieldPath, outcome: (holds: number) => number): Uint8Array {
    return this.#bounds(path).holds.map(outcome)
  }

  /** `ofNaN`: the outcome for a NaN, which bounds say nothing of. `span`: for speed alone. */
  #values(path: FieldPath, outcome: (low: Key | null, high: Key | null) => number, ofNaN: number,
    span: Span | null): Uint8Array {
    const { low, high, ranks, holds, mayBeNaN } = this.#bounds(path)
    const extra = mayBeNaN ? ofNaN : 0
    const from = span === null ? NaN : ranks.of(span.from)
    const to = span === null ? NaN : ranks.of(span.to)
    const outcomes = new Uint8Array(holds.length)
    for (let at = 0; at < outcomes.length; at++) {
      const held = holds[at]!
      let answer = (held & MAY_BE_NULL) === 0 ? 0 : NULL
      if ((held & MAY_BE_VALUE) !== 0) {
        const lowRank = ranks.low[at]!
        const highRank = ranks.high[at]!
        answer |= extra | (span !== null && highRank < from ? span.below
          : span !== null && lowRank > to ? span.above
          : span !== null && lowRank < from && highRank > to ? span.around
          : outcome(low[at]!, high[at]!))
      }
      outcomes[at] = answer
    }
    return outcomes
  }

  /** DS2. */
  #bounds(path: FieldPath): ColumnBounds {
    const isPartition = path.length === 1 && this.#partitionColumns.includes(path[0].name)
    const leaf = path.at(-1) ?? path[0]
    const key = JSON.stringify([isPartition, path.map(physicalName), leaf.type,
      'delta.typeChanges' in leaf.metadata])
    let columns = decoded.get(this.#files)
    if (columns === undefined) decoded.set(this.#files, columns = new Map<string, ColumnBounds>())
    let bounds = columns.get(key)
    if (bounds === undefined) {
      bounds = columnBounds(this.#files, path, isPartition)
      columns.set(key, bounds)
    }
    return bounds
  }
}

function answerOf(answer: boolean | null): number {
  return answer === null ? NULL : answer ? TRUE : FALSE
}

/** What every text that a LIKE pattern is true for begins with; `isAll`: and nothing else. */
function prefixOf(pattern: string): { readonly prefix: string; readonly isAll: boolean } {
  let prefix = ''
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? ''
    if (character === '%' || character === '_') {
      return { prefix, isAll: pattern.slice(at) === '%' }
    }
    prefix += character === '\\' ? pattern[++at] ?? '' : character
  }
  return { prefix, isAll: false }
}
