/**
 * Casts: between text-like types, to text, and to a type modifier.
 *
 * C1  A cast whose text depends on a session setting (DateStyle, extra_float_digits, …) or
 *     differs between the engines is refused.
 */
import { type Call, type RuleTable, arg, decimalArg, intConstant, rules } from './call.ts'
import { asDecimal, decimal, displaySql, isNull } from './decimal.ts'
import { type Expr, type PlainExpr, cast, duckdbType, plain, refuseOpaque } from './expr.ts'
import { literal, reprOfType } from './literal.ts'
import type { TreeNode } from './node-tree.ts'
import { PgType, numericTypmod, typeName } from './pg-type.ts'
import { refuse } from './refusal.ts'

const TEXT = { kind: 'text' } as const

/** By pg_proc OID. */
export const CASTS: RuleTable = rules(
  // text(char(n)) drops the padding, which the mirror never has.
  [[401, 406, 1401], (call) => plain(arg(call, 0).sql, TEXT)],
  [[2971], (call) => plain(cast(arg(call, 0).sql, 'VARCHAR'), TEXT)],
  [[2558], (call) => plain(cast(arg(call, 0).sql, 'INTEGER'), { kind: 'int4' })],
  [[2557], (call) => plain(cast(arg(call, 0).sql, 'BOOLEAN'), { kind: 'bool' })],
  [[669], castToVarchar], [[668], castToChar], [[1703], castToNumeric],
)

function isExplicit(call: Call): boolean {
  const { constant } = arg(call, 2)
  return constant?.kind === 'bool' && constant.value
}

function castToVarchar(call: Call): Expr {
  const typmod = intConstant(call, 1, 'a type modifier')
  if (typmod < 4 || !isExplicit(call)) refuse('a cast to varchar of this form')
  return plain(`left(${arg(call, 0).sql}, ${typmod - 4})`, TEXT)
}

function castToChar(call: Call): Expr {
  const typmod = intConstant(call, 1, 'a type modifier')
  if (typmod < 4 || !isExplicit(call)) refuse('a cast to char of this form')
  const length = typmod - 4
  return plain(`rtrim(left(${arg(call, 0).sql}, ${length}), ' ')`, { kind: 'bpchar', length })
}

function castToNumeric(call: Call): Expr {
  const type = numericTypmod(intConstant(call, 1, 'a type modifier'))
  const value = decimalArg(call, 0)
  if (type === null) return value
  if (type.scale < 0 || type.scale > type.precision || type.precision > 38) {
    refuse('a numeric type that the mirror has not')
  }
  return decimal(cast(value.sql, `DECIMAL(${type.precision},${type.scale})`), type)
}

/** RelabelType: another type, the same bytes. */
export function relabel(node: TreeNode, value: Expr): Expr {
  const typeOid = node.int('resulttype'), typmod = node.int('resulttypmod')
  if (value.kind !== 'plain') return value
  if (isNull(value)) return literal(typeOid, typmod, { kind: 'null' })
  const target = reprOfType(typeOid, typmod)
  if (value.repr.kind === target.kind) return relabelSame(typeOid, typmod, value)
  if (value.repr.kind === 'text' && target.kind === 'bpchar') {
    return plain(`rtrim(${value.sql}, ' ')`, { kind: 'bpchar', length: null })
  }
  return refuse(`a cast to ${typeName(typeOid)} of this form`)
}

function relabelSame(typeOid: number, typmod: number, value: PlainExpr): PlainExpr {
  if (typeOid === PgType.numeric) {
    // A typmod without a cast function states what is so already.
    const type = numericTypmod(typmod)
    const fits = type === null ||
      (value.repr.kind === 'decimal' && value.repr.scale === type.scale)
    return fits ? value : refuse('a numeric relabelled with another scale')
  }
  return value
}

/** CoerceViaIO: through the text of the value. */
export function castThroughText(node: TreeNode, value: PlainExpr): Expr {
  const typeOid = node.int('resulttype')
  if (isNull(value)) return literal(typeOid, -1, { kind: 'null' })
  refuseOpaque(value)
  const toText = typeOid === PgType.text || typeOid === PgType.varchar
  if (!toText) refuse(`a cast of text to ${typeName(typeOid)}`)
  switch (value.repr.kind) {
    case 'int2': case 'int4': case 'int8':
      return plain(cast(value.sql, 'VARCHAR'), TEXT)
    case 'text': case 'uuid': case 'bpchar': return plain(value.sql, TEXT)
    case 'decimal':
      if (displaySql(asDecimal(value)) !== String(value.repr.scale)) break
      // DuckDB prints a DECIMAL(n,n) without the zero before the point.
      if (value.repr.precision === value.repr.scale) break
      return plain(cast(value.sql, 'VARCHAR'), TEXT)
    default: break
  }
  return refuse(`a cast of ${duckdbType(value.repr).toLowerCase()} to text`)
}
