/**
 * Outcomes: which answers a condition can have over the rows of a file.
 *
 * OC1  An answer that some row can have is always among them; more may be (a superset), so that
 *      a file without TRUE among its outcomes has no row that the condition is true for.
 * OC2  AND, OR and NOT are SQL's, over TRUE, FALSE and NULL.
 */
import { compareKeys, type Key } from './value.ts'

export const TRUE = 1
export const FALSE = 2
export const NULL = 4
const SETS = 8

export type RangeOp = '=' | '<' | '<=' | '>' | '>='

/** Of `value op x` over all values from low to high, ends included; null: no end. */
export function rangeOutcomes(op: RangeOp, low: Key | null, high: Key | null, x: Key): number {
  const lowToX = low === null ? -1 : compareKeys(low, x)
  if (lowToX > 0 && op === '=') return FALSE
  const highToX = high === null ? 1 : compareKeys(high, x)
  switch (op) {
    case '=': return (lowToX <= 0 && highToX >= 0 ? TRUE : 0)
      | (low !== null && high !== null && lowToX === 0 && highToX === 0 ? 0 : FALSE)
    case '<': return (lowToX < 0 ? TRUE : 0) | (highToX >= 0 ? FALSE : 0)
    case '<=': return (lowToX <= 0 ? TRUE : 0) | (highToX > 0 ? FALSE : 0)
    case '>': return (highToX > 0 ? TRUE : 0) | (lowToX <= 0 ? FALSE : 0)
    case '>=': return (highToX >= 0 ? TRUE : 0) | (lowToX < 0 ? FALSE : 0)
  }
}

/** Of `value IN (xs)`; `xs` rise. */
export function membershipOutcomes(low: Key | null, high: Key | null, xs: readonly Key[])
  : number {
  // The first x that is not below low.
  let from = 0
  let to = low === null ? 0 : xs.length
  while (from < to) {
    const middle = (from + to) >> 1
    if (low !== null && compareKeys(xs[middle] ?? low, low) < 0) from = middle + 1
    else to = middle
  }
  const first = xs[from]
  if (first === undefined || (high !== null && compareKeys(first, high) > 0)) return FALSE
  const isOne = low !== null && high !== null && compareKeys(low, high) === 0
  return isOne ? TRUE : TRUE | FALSE
}

/** Of `value LIKE pattern`, whose texts all begin with `prefix`; `isAll`: and all such do. */
export function prefixOutcomes(low: Key | null, high: Key | null, prefix: string, isAll: boolean)
  : number {
  const begins = (key: Key | null): boolean => typeof key === 'string' && key.startsWith(prefix)
  const isAbove = low !== null && !begins(low) && compareKeys(low, prefix) > 0
  const isBelow = high !== null && compareKeys(high, prefix) < 0
  if (isAbove || isBelow) return FALSE
  return isAll && begins(low) && begins(high) ? TRUE : TRUE | FALSE
}

const AND = pairs((a, b) => a === FALSE || b === FALSE ? FALSE : a === NULL || b === NULL ? NULL
  : TRUE)
const OR = pairs((a, b) => a === TRUE || b === TRUE ? TRUE : a === NULL || b === NULL ? NULL
  : FALSE)

/** Every outcome of one side with every one of the other. */
function pairs(answer: (a: number, b: number) => number): Uint8Array {
  const table = new Uint8Array(SETS * SETS)
  const single = [TRUE, FALSE, NULL]
  for (let left = 0; left < SETS; left++) {
    for (let right = 0; right < SETS; right++) {
      for (const a of single) {
        for (const b of single) {
          if ((left & a) !== 0 && (right & b) !== 0) table[left * SETS + right]! |= answer(a, b)
        }
      }
    }
  }
  return table
}

/** OC2, into `left`. */
export function combine(kind: 'and' | 'or', left: Uint8Array, right: Uint8Array): void {
  const table = kind === 'and' ? AND : OR
  for (let at = 0; at < left.length; at++) left[at] = table[left[at]! * SETS + right[at]!]!
}

/** OC2, in place. */
export function negate(outcomes: Uint8Array): void {
  for (let at = 0; at < outcomes.length; at++) {
    const set = outcomes[at]!
    outcomes[at] = (set & NULL) | ((set & TRUE) << 1) | ((set & FALSE) >> 1)
  }
}
