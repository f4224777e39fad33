/** The storage port's guarantees O1 to O4, over both implementations. */
import { mkdtemp, readdir, rm, stat, symlink, truncate, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LocalStorage } from '../../src/storage/local.ts'
import { MemoryStorage } from '../../src/storage/memory.ts'
import type { Storage } from '../../src/storage/storage.ts'

const folders: string[] = []
afterAll(async () => { for (const folder of folders) await rm(folder, { recursive: true }) })

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'slipway storage '))
  folders.push(made)
  return made
}

const KINDS: readonly (readonly [string, () => Promise<Storage>])[] = [
  ['local', async () => new LocalStorage({ root: join(await folder(), 'a table') })],
  ['memory', () => Promise.resolve(new MemoryStorage())],
]

describe.each(KINDS)('%s storage', (_name, make) => {
  it('gives back what was put, whole and by range, and null for what is not there', async () => {
    const storage = await make()
    expect(await storage.get('a/b.json')).toBeNull()
    expect(await storage.getRange('a/b.json', { start: 0, end: 1 })).toBeNull()
    expect(await storage.stat('a/b.json')).toBeNull()
    expect(await storage.putIfAbsent('a/b.json', Buffer.from('0123456789'))).toBe('created')
    expect((await storage.get('a/b.json'))?.toString()).toBe('0123456789')
    expect((await storage.getRange('a/b.json', { start: 3, end: 6 }))?.toString()).toBe('345')
    expect((await storage.getRange('a/b.json', { start: 8, end: 60 }))?.toString()).toBe('89')
    expect((await storage.stat('a/b.json'))?.size).toBe(10)
  })

  it('O1: of many writers of one name exactly one creates it, and nothing is left over',
    async () => {
      const storage = await make()
      const results = await Promise.all(Array.from({ length: 20 }, (_, at) =>
        storage.putIfAbsent('log/1', Buffer.from(`writer ${at}`))))
      expect(results.filter((result) => result === 'created')).toHaveLength(1)
      const winner = results.indexOf('created')
      expect((await storage.get('log/1'))?.toString()).toBe(`writer ${winner}`)
      expect(await storage.listTree('_staging')).toEqual([])
    })

  it('put replaces, delete deletes and does not mind a missing object', async () => {
    const storage = await make()
    await storage.put('x', Buffer.from('1'))
    await storage.put('x', Buffer.from('22'))
    expect((await storage.get('x'))?.toString()).toBe('22')
    await storage.delete('x')
    await storage.delete('x')
    expect(await storage.get('x')).toBeNull()
  })

  it('O3: lists in the order of names, after a name, within one folder', async () => {
    const storage = await make()
    for (const name of ['log/10', 'log/9', 'log/1', 'log/deep/2', 'other']) {
      await storage.put(name, Buffer.from(name))
    }
    const paths = async (prefix: string, after: string | null): Promise<string[]> =>
      (await storage.list(prefix, after)).map((object) => object.path)
    expect(await paths('log/', null)).toEqual(['log/1', 'log/10', 'log/9'])
    expect(await paths('log/1', null)).toEqual(['log/1', 'log/10'])
    expect(await paths('log/', 'log/1')).toEqual(['log/10', 'log/9'])
    expect(await paths('missing/', null)).toEqual([])
    expect((await storage.listTree('log')).map((object) => object.path))
      .toEqual(['log/1', 'log/10', 'log/9', 'log/deep/2'])
  })

  it('O4: refuses paths that leave the root', async () => {
    const storage = await make()
    for (const path of ['../x', '/etc/passwd', 'a/../../x', 'a//b', '', 'a\0b', '.']) {
      await expect((async () => storage.get(path))(), path).rejects.toThrow('outside its table')
    }
  })

  it('adopts a staged file once', async () => {
    const storage = await make()
    await mkdir(storage.stagingDirectory, { recursive: true })
    const staged = join(storage.stagingDirectory, 'file')
    await writeFile(staged, 'body')
    expect(await storage.adopt(staged, 'data/file')).toBe('created')
    await writeFile(staged, 'other')
    expect(await storage.adopt(staged, 'data/file')).toBe('exists')
    expect((await storage.get('data/file'))?.toString()).toBe('body')
    await rm(staged)
  })
})

describe('local storage', () => {
  it('gives the object its modification time to the millisecond', async () => {
    const root = await folder()
    const storage = new LocalStorage({ root })
    for (let at = 0; at < 300; at++) {
      const mtimeMs = 1_795_354_260_204 + at * 7919
      await storage.putIfAbsent(`f${at}`, Buffer.from('x'), { mtimeMs })
      const { mtimeNs } = await stat(join(root, `f${at}`), { bigint: true })
      // Java and Rust cut nanoseconds down to milliseconds.
      expect(mtimeNs / 1_000_000n).toBe(BigInt(mtimeMs))
      expect((await storage.stat(`f${at}`))?.mtimeMs).toBe(mtimeMs)
    }
  })

  it('works again after its directory was removed and made anew', async () => {
    const root = join(await folder(), 'table')
    const storage = new LocalStorage({ root })
    await storage.putIfAbsent('a/b', Buffer.from('1'))
    await rm(root, { recursive: true })
    expect(await storage.putIfAbsent('a/b', Buffer.from('2'))).toBe('created')
    expect((await storage.get('a/b'))?.toString()).toBe('2')
  })

  it('F2: what the system refuses says which file, and why', async () => {
    const root = await folder()
    await writeFile(join(root, 'file'), 'x')
    const storage = new LocalStorage({ root: join(root, 'file', 'table') })
    await expect(storage.putIfAbsent('a/b', Buffer.from('1'))).rejects.toMatchObject({
      code: 'lake-write-failed', message: expect.stringMatching(/^a\/b .*ENOTDIR/) as string })
    await expect(storage.put('x', Buffer.from('1')))
      .rejects.toMatchObject({ code: 'lake-write-failed' })
    await expect(new LocalStorage({ root }).sync('none'))
      .rejects.toMatchObject({ code: 'lake-write-failed' })
    expect(await storage.get('x')).toBeNull()
  })

  it('F2: what the system refuses in a read is an error that names the file', async () => {
    const root = await folder()
    const storage = new LocalStorage({ root })
    await symlink('circle', join(root, 'circle'))
    await expect(storage.get('circle')).rejects.toMatchObject({
      code: 'delta-corrupt', message: expect.stringMatching(/^circle .*ELOOP/) as string })
    expect(await storage.stat('x'.repeat(5000))).toBeNull()
    await writeFile(join(root, 'sparse'), '')
    await truncate(join(root, 'sparse'), 2 ** 32)
    await expect(storage.get('sparse')).rejects.toMatchObject({ code: 'delta-unsupported' })
  })

  it('F1: sweeps staged leftovers of a crash once they are a day old', async () => {
    const root = await folder()
    const storage = new LocalStorage({ root })
    await storage.put('kept', Buffer.from('1'))
    await writeFile(join(root, '_staging', 'left'), 'x')
    await storage.sweepStaging(Date.now())
    expect(await readdir(join(root, '_staging'))).toEqual(['left'])
    await storage.sweepStaging(Date.now() + 25 * 3600 * 1000)
    expect(await readdir(join(root, '_staging'))).toEqual([])
  })
})
