/**
 * Membership: x op ANY (array) and x op ALL (array), which IN lists become.
 */
import { NULL_CONSTANT, decodeConstant, type ConstantValue } from './constant.ts'
import { isNull } from './decimal.ts'
import { type Expr, bool } from './expr.ts'
import type { ExpressionTranslator } from './expression.ts'
import { literal } from './literal.ts'
import type { TreeNode } from './node-tree.ts'
import { type Comparison, comparisonOf, comparisonOperands } from './operators.ts'
import { decodeParameter } from './parameter.ts'
import { PgType } from './pg-type.ts'
import { refuse } from './refusal.ts'
import type { Scope } from './scope.ts'
import { TEXT_OPERATORS } from './text-functions.ts'

const ELEMENTS_MAX = 10_000

export class MembershipTranslator {
  readonly #expressions: ExpressionTranslator

  constructor(expressions: ExpressionTranslator) {
    this.#expressions = expressions
  }

  translate(node: TreeNode, scope: Scope): Expr {
    const [scalar, array] = node.nodes('args')
    if (scalar === undefined || array === undefined) refuse('ANY without an array')
    const any = node.bool('useOr')
    const value = this.#expressions.translate(scalar, scope)
    const elements = this.#elements(array, scope)
    if (elements === null) return bool('CAST(NULL AS BOOLEAN)')
    if (elements.length === 0) return bool(any ? 'false' : 'true')
    if (elements.length > ELEMENTS_MAX) refuse('an IN list is too long')
    const comparison = comparisonOf(node.int('opno'))
    if (comparison === null) return this.#likeAny(node, value, elements)
    return bool(this.#compareAll(node, { comparison, any, value, elements }))
  }

  #compareAll(node: TreeNode, parts: {
    readonly comparison: Comparison; readonly any: boolean
    readonly value: Expr; readonly elements: readonly Expr[]
  }): string {
    const { comparison, any, value, elements } = parts
    const pairs = elements.map((element) => comparisonOperands(comparison, value, element,
      { collation: node.int('inputcollid'), context: this.#expressions.translation.context }))
    const [first] = pairs
    const left = first?.[0] ?? refuse('ANY of nothing')
    const isList = (comparison.op === '=' && any) || (comparison.op === '<>' && !any)
    if (isList && pairs.every((pair) => pair[0] === left) && comparison.domain !== 'numeric') {
      const list = pairs.map((pair) => pair[1]).join(', ')
      return `(${left} ${any ? '' : 'NOT '}IN (${list}))`
    }
    const tests = pairs.map(([a, b]) => `(${a} ${comparison.op} ${b})`)
    return `(${tests.join(any ? ' OR ' : ' AND ')})`
  }

  /** LIKE ANY and its like: each element on its own. */
  #likeAny(node: TreeNode, value: Expr, elements: readonly Expr[]): Expr {
    const rule = TEXT_OPERATORS.get(node.int('opno'))
    if (rule === undefined) refuse('this operator with ANY is not proven equal')
    const tests = elements.map((element) => {
      if (isNull(element)) return 'CAST(NULL AS BOOLEAN)'
      const test = rule({ args: [value, element], collation: node.int('inputcollid'),
        resultType: PgType.bool, context: this.#expressions.translation.context })
      return test.kind === 'plain' ? test.sql : refuse('this operator with ANY')
    })
    return bool(`(${tests.join(node.bool('useOr') ? ' OR ' : ' AND ')})`)
  }

  /** null: the array itself is NULL. */
  #elements(array: TreeNode, scope: Scope): readonly Expr[] | null {
    switch (array.tag) {
      case 'ARRAYEXPR':
        if (array.bool('multidims')) refuse('an array of arrays')
        return array.nodes('elements').map((element) =>
          this.#expressions.translate(element, scope))
      case 'CONST': {
        const image = array.get('constvalue')
        return this.#constants(decodeConstant(array.int('consttype'),
          Buffer.isBuffer(image) && !array.bool('constisnull') ? image : null))
      }
      case 'PARAM': {
        const parameter = this.#expressions.translation.parameters[array.int('paramid') - 1]
        if (array.int('paramkind') !== 0 || parameter === undefined) refuse('ANY of a parameter')
        return this.#constants(decodeParameter(array.int('paramtype'), parameter))
      }
      case 'ARRAYCOERCEEXPR': {
        const elements = this.#elements(array.node('arg'), scope)
        return elements === null ? null : elements.map((element) =>
          this.#expressions.translate(array.node('elemexpr'), { ...scope, caseTest: element }))
      }
      // varchar[] read as text[]: the same elements.
      case 'RELABELTYPE': return this.#elements(array.node('arg'), scope)
      default: return refuse('ANY of an array that is no list of values')
    }
  }

  #constants(value: ConstantValue): readonly Expr[] | null {
    if (value.kind === 'null') return null
    if (value.kind !== 'array') refuse('ANY of what is no array')
    return value.items.map((item) =>
      literal(value.elementOid, -1, item.kind === 'null' ? NULL_CONSTANT : item))
  }
}
