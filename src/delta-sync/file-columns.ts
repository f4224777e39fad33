/**
 * FileColumns: what Delta's statistics tell of a file's columns.
 *
 * FB1  Every value of the column lies within its bounds; where that is not certain, there are
 *      none.
 * FB2  A column that has a name has it in the file itself; those that may be missing have none.
 */
import { parseJson, isJsonObject, ExactNumber, type JsonValue } from '../delta/exact-json.ts'
import type { BoundValue, ColumnBounds, LakeFile } from '../mirror/epoch.ts'
import type { MirrorType } from '../mirror/mirror-type.ts'
import type { TableSchema } from '../mirror/table-schema.ts'
import type { LakeRecord } from './lake-schema.ts'

/** `stats`: the add's JSON text. */
export function fileColumns(stats: string | undefined, table: TableSchema,
  names: LakeRecord['names']): Pick<LakeFile, 'bounds' | 'names'> {
  const bounds = new Map<number, ColumnBounds>()
  const present = new Map<number, string>()
  const document = stats === undefined ? null : parseJson(stats, { exactNumbers: true })
  if (!isJsonObject(document)) return { bounds, names: present }
  const { minValues, maxValues, nullCount } = document
  table.columns.forEach((column, at) => {
    const name = names[at]?.physical ?? column.name
    const min = isJsonObject(minValues) ? boundOf(minValues[name], column.mirror, 'min') : null
    const max = isJsonObject(maxValues) ? boundOf(maxValues[name], column.mirror, 'max') : null
    if (min !== null || max !== null) bounds.set(column.attnum, { min, max })
    // FB2: our writer counts the nulls of what it has written.
    if (isJsonObject(nullCount) && Object.hasOwn(nullCount, name)) present.set(column.attnum, name)
  })
  return { bounds, names: present }
}

function boundOf(value: JsonValue | undefined, type: MirrorType, side: 'min' | 'max')
  : BoundValue | null {
  if (value === undefined || value === null) return null
  switch (type.kind) {
    case 'int2': case 'int4': case 'int8':
      return value instanceof ExactNumber && /^-?\d+$/.test(value.text)
        ? BigInt(value.text) : null
    case 'decimal': return value instanceof ExactNumber ? unscaled(value.text, type.scale) : null
    case 'date': {
      const ms = typeof value === 'string' ? Date.parse(`${value}T00:00:00Z`) : NaN
      return Number.isNaN(ms) ? null : BigInt(ms / 86_400_000)
    }
    case 'timestamp': case 'timestamptz': {
      if (typeof value !== 'string') return null
      const ms = Date.parse(value.endsWith('Z') ? value : `${value}Z`)
      if (Number.isNaN(ms)) return null
      // Stats keep milliseconds, cut; the true maximum may lie up to 999 µs above.
      return BigInt(ms) * 1000n + (side === 'max' ? 999n : 0n)
    }
    case 'text': case 'bpchar': case 'uuid': return typeof value === 'string' ? value : null
    default: return null
  }
}

/** The decimal times 10^scale; null when it is not of that scale. */
export function unscaled(text: string, scale: number): bigint | null {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null) return null
  const fraction = (match[3] ?? '').replace(/0+$/, '')
  if (fraction.length > scale) return null
  const value = BigInt(`${match[2]}${fraction.padEnd(scale, '0')}`)
  return match[1] === '-' ? -value : value
}
