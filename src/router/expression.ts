/**
 * Expression: one node of an analysed expression as DuckDB SQL.
 *
 * E1  Node kinds, operators and functions are allow-listed; everything else is refused.
 * E2  Operands arrive with PostgreSQL's own casts in the tree, so that no implicit cast of
 *     DuckDB is relied on.
 */
import { AggregateTranslator } from './aggregate-expression.ts'
import { ARITHMETIC_FUNCTIONS, ARITHMETIC_OPERATORS, NUMBER_CASTS } from './arithmetic.ts'
import { BranchTranslator } from './branches.ts'
import type { Call } from './call.ts'
import { CASTS, castThroughText, relabel } from './casts.ts'
import { collationOf } from './collation.ts'
import { decodeConstant } from './constant.ts'
import { settle } from './decimal.ts'
import { type Expr, type PlainExpr, bool } from './expr.ts'
import { literal } from './literal.ts'
import { MembershipTranslator } from './membership.ts'
import { functionName } from './function-names.ts'
import { nodeKey } from './node-key.ts'
import type { TreeNode } from './node-tree.ts'
import { comparisonOf, comparisonOperands } from './operators.ts'
import { decodeParameter } from './parameter.ts'
import { refuse } from './refusal.ts'
import { type Scope, type Translation, ancestor } from './scope.ts'
import type { SubqueryTranslator } from './sublink.ts'
import { TEXT_FUNCTIONS, TEXT_OPERATORS } from './text-functions.ts'
import { TIME_FUNCTIONS, TIME_OPERATORS, sqlValueFunction } from './time-functions.ts'
import { relationColumn } from './relation-column.ts'

const DEPTH_MAX = 300

export class ExpressionTranslator {
  readonly translation: Translation
  readonly #aggregates: AggregateTranslator
  readonly #branches: BranchTranslator
  readonly #membership: MembershipTranslator
  #sublinks: SubqueryTranslator | null = null
  #depth = 0

  constructor(translation: Translation) {
    this.translation = translation
    this.#aggregates = new AggregateTranslator(this)
    this.#branches = new BranchTranslator(this)
    this.#membership = new MembershipTranslator(this)
  }

  /** Subqueries need expressions and the other way round: set once, by the query's side. */
  attach(sublinks: SubqueryTranslator): void {
    this.#sublinks = sublinks
  }

  translate(node: TreeNode, scope: Scope): Expr {
    if (++this.#depth > DEPTH_MAX) refuse('an expression is nested too deep')
    try {
      return this.#keyed(node, scope) ?? this.#translate(node, scope)
    } finally {
      this.#depth--
    }
  }

  /** A value in one column. */
  plain(node: TreeNode, scope: Scope): PlainExpr {
    return settle(this.translate(node, scope))
  }

  condition(node: TreeNode, scope: Scope): string {
    const value = this.plain(node, scope)
    if (value.repr.kind !== 'bool') refuse('a condition is not of type bool')
    return value.sql
  }

  /** Above the grouping, an expression that equals a group key is that key. */
  #keyed(node: TreeNode, scope: Scope): PlainExpr | null {
    const { grouping } = scope
    if (grouping === null || !grouping.keyTags.has(node.tag)) return null
    return grouping.keys.get(nodeKey(node)) ?? null
  }

  #translate(node: TreeNode, scope: Scope): Expr {
    switch (node.tag) {
      case 'VAR': return this.#variable(node, scope)
      case 'CONST':
        return literal(node.int('consttype'), node.int('consttypmod'),
          decodeConstant(node.int('consttype'), constantImage(node)))
      case 'PARAM': return this.#parameter(node, scope)
      case 'OPEXPR': return this.#operator(node, scope)
      case 'FUNCEXPR': return this.#function(node, scope)
      case 'BOOLEXPR': return this.#boolean(node, scope)
      case 'NULLTEST': return this.#nullTest(node, scope)
      case 'RELABELTYPE':
        return relabel(node, this.translate(node.node('arg'), scope))
      case 'COERCEVIAIO': return castThroughText(node, this.plain(node.node('arg'), scope))
      case 'COLLATEEXPR': return this.translate(node.node('arg'), scope)
      case 'AGGREF': case 'GROUPINGFUNC': return this.#aggregates.aggregate(node, scope)
      case 'WINDOWFUNC': return this.#aggregates.window(node, scope)
      case 'SUBLINK':
        return (this.#sublinks ?? refuse('a subquery in this place')).sublink(node, scope)
      case 'SCALARARRAYOPEXPR': return this.#membership.translate(node, scope)
      case 'SQLVALUEFUNCTION':
        return sqlValueFunction(node.int('op'), node.int('typmod'), this.#call(node, [], 0))
      default: return this.#branches.translate(node, scope)
    }
  }

  #variable(node: TreeNode, scope: Scope): Expr {
    const level = ancestor(scope, node.int('varlevelsup'))
    const attnum = node.int('varattno')
    if (attnum <= 0) refuse('a whole row or a system column is used')
    if (level.setColumns !== null) {
      return level.setColumns[attnum - 1] ?? refuse('a set operation has fewer columns')
    }
    const source = level.sources[node.int('varno') - 1] ?? refuse('a column of no relation')
    switch (source.kind) {
      case 'relation': return this.#column(node, relationColumn(source, attnum, node), level)
      case 'columns': {
        const column = source.columns[attnum - 1] ?? refuse('a subquery has fewer columns')
        return this.#column(node, column, level)
      }
      case 'alias':
        return this.translate(source.expressions[attnum - 1] ?? refuse('a join has no column'),
          level)
      case 'unused': return refuse(source.reason)
    }
  }

  /** A column above the grouping that is no key depends on the keys: group by it too. */
  #column(node: TreeNode, column: Expr, level: Scope): Expr {
    const { grouping } = level
    if (grouping === null) return column
    if (grouping.dependent === null) refuse('a column that depends on grouping sets')
    const key = settle(column)
    grouping.dependent.set(nodeKey(node), key)
    return key
  }

  #parameter(node: TreeNode, scope: Scope): Expr {
    const id = node.int('paramid')
    if (node.int('paramkind') === 2) {
      return scope.sublink?.[id - 1] ?? refuse('a subquery in this place')
    }
    const parameter = this.translation.parameters[id - 1]
    if (node.int('paramkind') !== 0 || parameter === undefined) refuse('a parameter has no value')
    const type = node.int('paramtype')
    return literal(type, node.int('paramtypmod'), decodeParameter(type, parameter))
  }

  #call(node: TreeNode, args: readonly Expr[], resultType: number): Call {
    const collation = node.fields.has('inputcollid') ? node.int('inputcollid') : collationOf(node)
    return { args, collation, resultType, context: this.translation.context }
  }

  #operator(node: TreeNode, scope: Scope): Expr {
    const opno = node.int('opno')
    if (node.bool('opretset')) refuse('an operator returns a set')
    const args = node.nodes('args').map((argument) => this.translate(argument, scope))
    const [a, b] = args
    const comparison = comparisonOf(opno)
    if (comparison !== null && a !== undefined && b !== undefined) {
      const [left, right] = comparisonOperands(comparison, a, b,
        { collation: node.int('inputcollid'), context: this.translation.context })
      return bool(`(${left} ${comparison.op} ${right})`)
    }
    const rule = ARITHMETIC_OPERATORS.get(opno) ?? TEXT_OPERATORS.get(opno) ??
      TIME_OPERATORS.get(opno)
    if (rule === undefined) {
      refuse(`operator function ${functionName(node.int('opfuncid'))} is not proven equal`)
    }
    return rule(this.#call(node, args, node.int('opresulttype')))
  }

  #function(node: TreeNode, scope: Scope): Expr {
    const funcid = node.int('funcid')
    if (node.bool('funcretset')) refuse('a function returns a set')
    const rule = ARITHMETIC_FUNCTIONS.get(funcid) ?? NUMBER_CASTS.get(funcid) ??
      TEXT_FUNCTIONS.get(funcid) ?? TIME_FUNCTIONS.get(funcid) ?? CASTS.get(funcid)
    if (rule === undefined) refuse(`function ${functionName(funcid)} is not proven equal`)
    // VARIADIC func(ARRAY[…]) passes an array where the rules expect its elements.
    if (node.bool('funcvariadic')) refuse('a VARIADIC call')
    const args = node.nodes('args').map((argument) => this.translate(argument, scope))
    return rule(this.#call(node, args, node.int('funcresulttype')))
  }

  #boolean(node: TreeNode, scope: Scope): Expr {
    const args = node.nodes('args').map((argument) => this.condition(argument, scope))
    switch (node.text('boolop')) {
      case 'and': return bool(`(${args.join(' AND ')})`)
      case 'or': return bool(`(${args.join(' OR ')})`)
      case 'not': return bool(`(NOT ${args[0] ?? refuse('NOT of nothing')})`)
      default: return refuse('an unknown boolean operator')
    }
  }

  #nullTest(node: TreeNode, scope: Scope): Expr {
    if (node.bool('argisrow')) refuse('IS NULL of a row')
    const value = this.translate(node.node('arg'), scope)
    const is = node.int('nulltesttype') === 0
    if (value.kind === 'quotient') {
      const parts = [value.dividend.sql, value.divisor.sql]
      return bool(is ? `(${parts.map((part) => `${part} IS NULL`).join(' OR ')})`
        : `(${parts.map((part) => `${part} IS NOT NULL`).join(' AND ')})`)
    }
    return bool(`(${settle(value).sql} IS ${is ? '' : 'NOT '}NULL)`)
  }
}

function constantImage(node: TreeNode): Buffer | null {
  if (node.bool('constisnull')) return null
  const image = node.get('constvalue')
  return Buffer.isBuffer(image) ? image : refuse('a constant has no value')
}
