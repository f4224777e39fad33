/** IdentMap (I1). */
import { expect, test } from 'vitest'
import { parseIdentMap, SAME_NAME } from '../../src/oltp/ident-map.ts'

const LINES = [
  '# a comment', 'clients alice app', '"clients" "Bob B" "Big ""App"',
  'clients /^(.*)@example[.]com$ \\1', 'clients /^ops- all', 'clients carol "all"',
  'clients dan /^d_', 'other eve app',
]

test.each([
  ['alice', 'app', true], ['alice', 'alice', false], ['Bob B', 'Big "App', true],
  ['eve', 'app', false], ['joe@example.com', 'joe', true], ['joe@example.com', 'jim', false],
  ['joe@example_com', 'joe', false], ['ops-1', 'anybody', true], ['carol', 'anybody', false],
  ['carol', 'all', true], ['dan', 'd_1', true], ['dan', 'e_1', false], ['', '', false],
])('%s may become %s: %s', (name, role, expected) => {
  expect(parseIdentMap(LINES, 'clients').mayBecome(name, role)).toBe(expected)
})

test('without a map the role is the name', () => {
  expect([SAME_NAME.mayBecome('a', 'a'), SAME_NAME.mayBecome('a', 'A')]).toEqual([true, false])
})

test.each(['clients alice', 'clients alice +group', 'clients /( app', 'clients a b c'])(
  '%s is refused by its number', (line) => {
    expect(() => parseIdentMap([...LINES, line], 'clients')).toThrow(/line 9/)
  })
