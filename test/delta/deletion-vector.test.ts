/** Deletion vector files: what facts/delta-writer.md B5 says byte by byte. */
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { DeletionVectorDescriptor } from '../../src/delta/actions.ts'
import { deletionVectorPath, readDeletionVector, writeDeletionVectors }
  from '../../src/delta/deletion-vector.ts'
import { RowBitmap } from '../../src/delta/row-bitmap.ts'
import { decodeZ85, encodeZ85 } from '../../src/delta/z85.ts'
import { MemoryStorage } from '../../src/storage/memory.ts'

async function written(...sets: number[][])
  : Promise<{ storage: MemoryStorage; descriptors: readonly DeletionVectorDescriptor[] }> {
  const storage = new MemoryStorage()
  const descriptors = await writeDeletionVectors(storage, sets.map((set) => RowBitmap.of(set)))
  return { storage, descriptors }
}

function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('nothing there')
  return item
}

describe('deletion vectors', () => {
  it('several share one file; each reads back', async () => {
    const sets = [[1, 2, 3], Array.from({ length: 90_000 }, (_, at) => at * 3), [7]]
    const { storage, descriptors } = await written(...sets)
    expect(descriptors.map((descriptor) => descriptor.cardinality)).toEqual([3, 90_000, 1])
    expect(new Set(descriptors.map((descriptor) => descriptor.pathOrInlineDv)).size).toBe(1)
    expect(first(descriptors).offset).toBe(1)
    for (const [at, descriptor] of descriptors.entries()) {
      expect([...(await readDeletionVector(storage, descriptor)).positions()]).toEqual(sets[at])
    }
  })

  it('has the layout of the format: version, size, magic, checksum', async () => {
    const { storage, descriptors } = await written([3, 4])
    const descriptor = first(descriptors)
    const file = await storage.get(deletionVectorPath(storage, descriptor) ?? '')
    if (file === null) throw new Error('no file')
    expect(file[0]).toBe(1)
    expect(file.readUInt32BE(1)).toBe(descriptor.sizeInBytes)
    expect(file.readUInt32LE(5)).toBe(1681511377)
    const data = file.subarray(5, 5 + descriptor.sizeInBytes)
    expect(file.readUInt32BE(5 + descriptor.sizeInBytes)).toBe(crc32(data))
    expect(file.length).toBe(1 + 4 + descriptor.sizeInBytes + 4)
  })

  it('names files as kernel-rs\'s table-with-dv-small does, with and without a prefix', () => {
    const storage = new MemoryStorage()
    const descriptor = { storageType: 'u' as const, pathOrInlineDv: 'vBn[lx{q8@P<9BNH/isA',
      offset: 1, sizeInBytes: 36, cardinality: 2 }
    expect(deletionVectorPath(storage, descriptor))
      .toBe('deletion_vector_61d16c75-6994-46b7-a15b-8b538852e50e.bin')
    expect(deletionVectorPath(storage, { ...descriptor, pathOrInlineDv: 'abvBn[lx{q8@P<9BNH/isA' }))
      .toBe('ab/deletion_vector_61d16c75-6994-46b7-a15b-8b538852e50e.bin')
  })

  it('reads an inline one', async () => {
    const magic = Buffer.alloc(4)
    magic.writeUInt32LE(1681511377)
    const data = Buffer.concat([magic, RowBitmap.of([3, 4, 7, 11]).encode()])
    const padded = Buffer.concat([data, Buffer.alloc((4 - data.length % 4) % 4)])
    const vector = await readDeletionVector(new MemoryStorage(), { storageType: 'i',
      pathOrInlineDv: encodeZ85(padded), sizeInBytes: data.length, cardinality: 4 })
    expect([...vector.positions()]).toEqual([3, 4, 7, 11])
  })

  it('V2: refuses a wrong count, size, checksum, a missing or short file', async () => {
    const { storage, descriptors } = await written([1, 2, 3])
    const descriptor = first(descriptors)
    const path = deletionVectorPath(storage, descriptor) ?? ''
    const refuses = async (changed: Partial<DeletionVectorDescriptor>, words: string)
      : Promise<void> => {
      await expect(readDeletionVector(storage, { ...descriptor, ...changed }), words)
        .rejects.toMatchObject({ code: 'delta-corrupt',
          message: expect.stringContaining(words) as string })
    }
    await refuses({ cardinality: 4 }, 'count')
    await refuses({ sizeInBytes: descriptor.sizeInBytes - 2 }, 'size in')
    await refuses({ sizeInBytes: 2 ** 40 }, 'too short')
    await refuses({ offset: -1 }, 'place')
    await refuses({ pathOrInlineDv: 'not a name' }, 'UUID')
    const body = Buffer.from(await storage.get(path) ?? '')
    body[12] = (body[12] ?? 0) ^ 1
    await storage.put(path, body)
    await refuses({}, 'checksum')
    await storage.delete(path)
    await refuses({}, 'missing')
  })

  it('does not read a vector outside of the table', async () => {
    await expect(readDeletionVector(new MemoryStorage(), { storageType: 'p', offset: 1,
      pathOrInlineDv: 'file:///etc/passwd', sizeInBytes: 1, cardinality: 1 }))
      .rejects.toMatchObject({ code: 'delta-unsupported' })
  })

  it('Z85 matches ZeroMQ\'s own example', () => {
    const bytes = Buffer.from('864fd26fb559f75b', 'hex')
    expect(encodeZ85(bytes)).toBe('HelloWorld')
    expect(decodeZ85('HelloWorld').equals(bytes)).toBe(true)
    expect(() => decodeZ85('~~~~~')).toThrow(RangeError)
    expect(() => decodeZ85('#####')).toThrow(RangeError)
  })
})
