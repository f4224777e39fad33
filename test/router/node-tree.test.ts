/** The tree's text: wraps, escapes, hostile names, malformed input. */
import { describe, expect, it } from 'vitest'
import { TreeNode, parseNodeTree } from '../../src/router/node-tree.ts'

function parse(text: string): TreeNode {
  const value = parseNodeTree(text)
  if (!(value instanceof TreeNode)) throw new Error('no node')
  return value
}

describe('parseNodeTree', () => {
  it('reads fields by name and every kind of value', () => {
    const node = parse('{OPEXPR :opno 96 :opretset false :args ({VAR :varno 1} {VAR :varno 2}) ' +
      ':oids (o 25 1700) :bits (b) :none <> :neg -1}')
    expect(node.tag).toBe('OPEXPR')
    expect(node.int('opno')).toBe(96)
    expect(node.bool('opretset')).toBe(false)
    expect(node.nodes('args').map((item) => item.int('varno'))).toEqual([1, 2])
    expect(node.integers('oids')).toEqual([25, 1700])
    expect(node.integers('bits')).toEqual([])
    expect(node.nodeOrNull('none')).toBeNull()
    expect(node.int('neg')).toBe(-1)
  })

  it('takes a line break for a blank', () => {
    expect(parse('{VAR\n:varno 1 :varattno\n2}').int('varattno')).toBe(2)
  })

  it('takes a value that looks like a field for a value', () => {
    const node = parse('{TARGETENTRY :resname :opno :resno 1}')
    expect(node.text('resname')).toBe(':opno')
    expect(node.fields.has('opno')).toBe(false)
  })

  it('keeps an escaped name in one token, over a line break too', () => {
    const node = parse('{TARGETENTRY :resname a\\ b\\(\\{VAR\\ :varno\\ 9\\}\\)\\\nc :resno 1}')
    expect(node.int('resno')).toBe(1)
    expect([...node.fields.keys()]).toEqual(['resname', 'resno'])
  })

  it('reads a constant by its length and signed bytes', () => {
    const node = parse('{CONST :constvalue 5 [ 20 0 0 0 -61 ]}')
    expect(node.get('constvalue')).toEqual(Buffer.from([20, 0, 0, 0, 195]))
    expect(parse('{CONST :constvalue <>}').get('constvalue')).toBeNull()
    const datum = parse('{CONST :constvalue 4 [ 1 0 0 0 0 0 0 0 ]}').get('constvalue')
    expect(datum).toHaveLength(8)
  })

  it('refuses a token that a line break may have cut', () => {
    const name = 'x'.repeat(78)
    expect(() => parse(`{TARGETENTRY :resname\n${name}\ny :resno 1}`)).toThrow('cut')
  })

  it('refuses the pretty-printed form, which cuts numbers', () => {
    expect(() => parse('{QUERY \n   :commandType 1}')).toThrow('pretty')
  })

  it.each([
    ['an open node', '{VAR :varno 1'], ['an open list', '({VAR :varno 1}'],
    ['text after the tree', '{VAR :varno 1} x'], ['a value without a field', '{VAR 1}'],
    ['a field twice', '{VAR :varno 1 :varno 2}'], ['nothing', ''],
    ['a datum of another length', '{CONST :constvalue 2 [ 1 2 3 ]}'],
    ['a byte that is none', '{CONST :constvalue 1 [ 300 ]}'],
    ['a depth without end', '('.repeat(1000)],
  ])('refuses %s', (_what, text) => {
    expect(() => parseNodeTree(text)).toThrow()
  })

  it('refuses a field of another kind', () => {
    const node = parse('{VAR :varno x}')
    expect(() => node.int('varno')).toThrow('varno')
    expect(() => node.node('varno')).toThrow('varno')
    expect(() => node.int('missing')).toThrow('missing')
  })
})
