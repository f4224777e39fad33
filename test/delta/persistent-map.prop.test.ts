/** PersistentMap against Map, old copies included (P1). */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PersistentMap } from '../../src/delta/persistent-map.ts'

// 'Aa…' keys of few letters meet often; the long ones spread.
const KEY = fc.oneof(fc.string({ maxLength: 2 }), fc.uuid())
const STEP = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key: KEY, value: fc.nat() }),
  fc.record({ kind: fc.constant('delete' as const), key: KEY, value: fc.constant(0) }))

it('does what Map does, and leaves every earlier map as it was', () => {
  fc.assert(fc.property(fc.array(fc.array(STEP, { maxLength: 20 }), { maxLength: 8 }), (rounds) => {
    const model = new Map<string, number>()
    let map = PersistentMap.empty<number>()
    const history: [PersistentMap<number>, Map<string, number>][] = []
    for (const steps of rounds) {
      const editor = map.edit()
      for (const step of steps) {
        if (step.kind === 'set') {
          editor.set(step.key, step.value)
          model.set(step.key, step.value)
        } else {
          editor.delete(step.key)
          model.delete(step.key)
        }
      }
      map = editor.done()
      history.push([map, new Map(model)])
    }
    for (const [was, expected] of history) {
      expect(was.size).toBe(expected.size)
      for (const [key, value] of expected) expect(was.get(key)).toBe(value)
      expect([...was.values()].sort()).toEqual([...expected.values()].sort())
    }
  }))
})

it('holds a hundred thousand keys and gives them back after as many deletions', () => {
  const editor = PersistentMap.empty<number>().edit()
  for (let at = 0; at < 100_000; at++) editor.set(`part-${at}`, at)
  const full = editor.done()
  expect(full.size).toBe(100_000)
  const emptied = full.edit()
  for (let at = 0; at < 100_000; at++) {
    expect(full.get(`part-${at}`)).toBe(at)
    emptied.delete(`part-${at}`)
  }
  expect([...emptied.done().values()]).toEqual([])
  expect(full.size).toBe(100_000)
})
