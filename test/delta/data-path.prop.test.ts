/** Data paths: D1 to D3. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeDataPath, parseDataPath, pathIdentity } from '../../src/delta/data-path.ts'

const PART = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
  .filter((part) => !/[/\0]/.test(part) && part !== '.' && part !== '..'
    && encodable(part))

function encodable(text: string): boolean {
  return Buffer.from(text).toString() === text
}

describe('data paths', () => {
  it('D1: any name comes back from its encoded form', () => {
    fc.assert(fc.property(fc.array(PART, { minLength: 1, maxLength: 4 }), (parts) => {
      const name = parts.join('/')
      expect(parseDataPath(encodeDataPath(name))).toEqual({ kind: 'relative', path: name })
      expect(pathIdentity(encodeDataPath(name))).toBe(name)
    }))
  })

  it('plain names, as nearly all are, stay as they are', () => {
    for (const name of ['part-00000-1f.c000.snappy.parquet', 'a=1/b=x/part.parquet']) {
      expect(encodeDataPath(name)).toBe(name)
    }
    expect(encodeDataPath('a b%#+?:.parquet')).toBe('a%20b%25%23%2B%3F%3A.parquet')
  })

  it('D2: the spellings of one file are one', () => {
    const spellings = ['file:///a/b c', 'file:/a/b%20c', 'file://localhost/a/b%20c', '/a/b%20c',
      'FILE:///a/b%20%63']
    expect(new Set(spellings.map(pathIdentity))).toEqual(new Set(['/a/b c']))
    expect(pathIdentity('x/%41')).toBe(pathIdentity('x/A'))
    expect(pathIdentity('./x')).toBe(pathIdentity('x'))
    expect(parseDataPath('s3://bucket/x')).toEqual({ kind: 'remote', uri: 's3://bucket/x' })
  })

  it('D3: a climb out of the table and broken escapes are damage', () => {
    for (const path of ['../x', 'a/../../x', 'a/%2e%2e/%2E%2E/x', '%2e%2e/x', 'a//b', '', '%zz',
      '%ff%fe', 'a%00b', 'file:x']) {
      expect(() => parseDataPath(path), path).toThrow(expect.objectContaining(
        { code: 'delta-corrupt' }) as Error)
    }
  })
})
