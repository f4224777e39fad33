/**
 * FilePruning: which files cannot hold a row that meets a query's predicates.
 *
 * FP1  A file is left out only when its bounds prove that no row of it can meet one of the
 *      conjuncts (delta/outcomes.ts); a predicate that is not understood proves nothing.
 */
import { rangeOutcomes, TRUE } from '../delta/outcomes.ts'
import { parseDecimal, rescaled } from '../delta/value.ts'
import type { BoundValue, LakeFile } from '../mirror/epoch.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { PrunePredicate } from '../router/plan.ts'

/** FP1. `typeOf`: by attnum. PostgreSQL orders text by code point here (C.UTF-8). */
export function mayMatch(file: LakeFile, predicates: readonly PrunePredicate[],
  typeOf: (attnum: number) => MirrorType | null): boolean {
  return predicates.every(({ attnum, op, value }) => {
    const bounds = file.bounds.get(attnum)
    const type = typeOf(attnum)
    if (bounds === undefined || type === null) return true
    const constant = comparable(value, type)
    return constant === null || (rangeOutcomes(op, bounds.min, bounds.max, constant) & TRUE) !== 0
  })
}

/** The predicate's value in the form of the column's bounds; null when it has none. */
function comparable(value: PrunePredicate['value'], type: MirrorType): BoundValue | null {
  switch (type.kind) {
    case 'int2': case 'int4': case 'int8': case 'date': case 'timestamp': case 'timestamptz':
      return typeof value === 'bigint' || Number.isSafeInteger(value) ? value : null
    case 'decimal': {
      const number = parseDecimal(String(value))
      // With more decimals than the column has there is none.
      return number === null ? null : rescaled(number.unscaled, number.scale, type.scale)
    }
    case 'text': case 'uuid': return typeof value === 'string' ? value : null
    case 'bpchar': return typeof value === 'string' ? value.replace(/ +$/, '') : null
    default: return null
  }
}
