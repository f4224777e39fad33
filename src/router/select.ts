/**
 * Select: one query level as the pieces of a DuckDB SELECT, and the columns by which a
 * query above sees it.
 *
 * L1  A value may need more than one column (a quotient's two sides, a numeric's display
 *     scale): exporting and bringing back are inverse.
 */
import { asDecimal, decimal, settle } from './decimal.ts'
import { type DecimalExpr, type Expr, plain } from './expr.ts'
import type { TreeNode } from './node-tree.ts'
import { refuse } from './refusal.ts'

export interface SelectTarget {
  readonly expr: Expr
  readonly node: TreeNode
}

export interface OrderItem {
  /** `key ASC NULLS LAST`. */
  readonly term: string
  /** The term's key alone. */
  readonly key: string
  /** The expression ordered by, before normalisation: to compare with unique keys. */
  readonly value: string
  /** A numeric of a set operation whose equal values may look different: 1.0 and 1.00. */
  readonly mixedScale: boolean
}

export interface Select {
  readonly with: string
  /** Visible targets in order. */
  readonly targets: readonly SelectTarget[]
  readonly from: string
  readonly where: string | null
  readonly groupBy: string | null
  readonly having: string | null
  readonly distinct: boolean
  readonly order: readonly OrderItem[]
  readonly limit: bigint | null
  readonly offset: bigint
  /** Sets of expressions no two rows share. */
  readonly unique: readonly (readonly string[])[]
  /** At most one row, whatever the data. */
  readonly singleRow: boolean
}

export interface ExportedColumn {
  readonly name: string
  readonly sql: string
}

/**
 * The columns that carry `expr` as the n-th value of a subquery. `withValues`: a division is
 * handed over carried out as well; DuckDB computes it only where it is read.
 */
export function exportColumns(
  expr: Expr, n: number, withValues = false,
): readonly ExportedColumn[] {
  switch (expr.kind) {
    case 'variance': return refuse('a variance is computed with further')
    case 'quotient': return [
      ...exportDecimal(expr.dividend, `c${n}`, `s${n}`),
      ...exportDecimal(expr.divisor, `d${n}`, `e${n}`),
      ...(withValues ? exportDecimal(asDecimal(expr), `v${n}`, `w${n}`) : []),
    ]
    case 'plain': return expr.repr.kind === 'decimal'
      ? exportDecimal(asDecimal(expr), `c${n}`, `s${n}`) : [{ name: `c${n}`, sql: expr.sql }]
  }
}

function exportDecimal(
  expr: DecimalExpr, name: string, scaleName: string,
): readonly ExportedColumn[] {
  const { display } = expr.repr
  const value = { name, sql: expr.sql }
  return typeof display === 'string' ? [value] : [value, { name: scaleName, sql: display.sql }]
}

/** The same value, read from a relation `alias` that has the exported columns. */
export function bringColumn(expr: Expr, n: number, alias: string, withValues = false): Expr {
  if (expr.kind === 'quotient') {
    return {
      kind: 'quotient',
      dividend: bringDecimal(expr.dividend, `${alias}.c${n}`, `${alias}.s${n}`),
      divisor: bringDecimal(expr.divisor, `${alias}.d${n}`, `${alias}.e${n}`),
      ...(withValues
        ? { value: bringDecimal(asDecimal(expr), `${alias}.v${n}`, `${alias}.w${n}`) } : {}),
    }
  }
  const value = settle(expr)
  return value.repr.kind === 'decimal'
    ? bringDecimal(asDecimal(value), `${alias}.c${n}`, `${alias}.s${n}`)
    : plain(`${alias}.c${n}`, value.repr)
}

function bringDecimal(expr: DecimalExpr, sql: string, scaleSql: string): DecimalExpr {
  const { display } = expr.repr
  return decimal(sql, expr.repr, typeof display === 'string' ? display : { sql: scaleSql })
}

/** Every row's sort keys differ from every other's, whatever the data. */
export function isTotallyOrdered(select: Select): boolean {
  if (select.singleRow) return true
  const ordered = new Set(select.order.map((item) => item.value))
  return select.unique.some((keys) => keys.every((key) => ordered.has(key)))
}

export function renderSelect(
  select: Select, columns: readonly ExportedColumn[],
  options: { readonly ordered: boolean; readonly limit: bigint | null; readonly offset: bigint },
): string {
  const list = columns.length === 0 ? '1 AS c0'
    : columns.map((column) => `${column.sql} AS ${column.name}`).join(', ')
  const parts = [`${select.with}SELECT ${select.distinct ? 'DISTINCT ' : ''}${list}`]
  if (select.from !== '') parts.push(`FROM ${select.from}`)
  if (select.where !== null) parts.push(`WHERE ${select.where}`)
  if (select.groupBy !== null) parts.push(`GROUP BY ${select.groupBy}`)
  if (select.having !== null) parts.push(`HAVING ${select.having}`)
  if (options.ordered && select.order.length > 0) {
    parts.push(`ORDER BY ${select.order.map((item) => item.term).join(', ')}`)
  }
  if (options.limit !== null) parts.push(`LIMIT ${options.limit}`)
  if (options.offset > 0n) parts.push(`OFFSET ${options.offset}`)
  return parts.join(' ')
}
