/**
 * FilePruning: which files cannot hold a row that meets a query's predicates.
 *
 * FP1  A file is left out only when its bounds prove that no row of it can meet one of the
 *      conjuncts; a predicate that is not understood proves nothing.
 */
import type { BoundValue, LakeFile } from '../mirror/epoch.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { PrunePredicate } from '../router/plan.ts'

/** FP1. `typeOf`: by attnum. */
export function mayMatch(file: LakeFile, predicates: readonly PrunePredicate[],
  typeOf: (attnum: number) => MirrorType | null): boolean {
  return predicates.every((predicate) => {
    const bounds = file.bounds.get(predicate.attnum)
    const type = typeOf(predicate.attnum)
    if (bounds === undefined || type === null) return true
    const value = comparable(predicate.value, type)
    if (value === null) return true
    const { min, max } = bounds
    switch (predicate.op) {
      case '=': return !below(value, min) && !above(value, max)
      case '<': return min === null || !sameKind(value, min) || compare(min, value) < 0
      case '<=': return !below(value, min)
      case '>': return max === null || !sameKind(value, max) || compare(max, value) > 0
      case '>=': return !above(value, max)
    }
  })
}

function below(value: BoundValue, min: BoundValue | null): boolean {
  return min !== null && sameKind(value, min) && compare(value, min) < 0
}

function above(value: BoundValue, max: BoundValue | null): boolean {
  return max !== null && sameKind(value, max) && compare(value, max) > 0
}

function sameKind(a: BoundValue, b: BoundValue): boolean {
  return typeof a === typeof b
}

/** PostgreSQL orders text by code point here (C.UTF-8), as UTF-8 bytes do. */
function compare(a: BoundValue, b: BoundValue): number {
  if (typeof a === 'string' && typeof b === 'string') {
    return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'))
  }
  return a < b ? -1 : a > b ? 1 : 0
}

/** The predicate's value in the form of the column's bounds; null when it has none. */
function comparable(value: PrunePredicate['value'], type: MirrorType): BoundValue | null {
  switch (type.kind) {
    case 'int2': case 'int4': case 'int8': case 'date': case 'timestamp': case 'timestamptz':
      if (typeof value === 'bigint') return value
      return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : null
    case 'decimal': return decimal(String(value), type.scale)
    case 'text': case 'uuid': return typeof value === 'string' ? value : null
    case 'bpchar': return typeof value === 'string' ? value.replace(/ +$/, '') : null
    default: return null
  }
}

/** Times 10^scale; null when more decimals are given than the column has. */
function decimal(text: string, scale: number): bigint | null {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null) return null
  const fraction = (match[3] ?? '').replace(/0+$/, '')
  if (fraction.length > scale) return null
  const value = BigInt(`${match[2]}${fraction.padEnd(scale, '0')}`)
  return match[1] === '-' ? -value : value
}
