/** No room in the lake: transactions and answers go on, nothing is lost, room mends it. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject, it } from 'vitest'
import { columnar, inPostgres, mirrored, tableFolder } from '../support/mirror.ts'
import { poll } from '../support/poll.ts'
import { agreement, compareTable } from '../support/readers.ts'
import { describeWith } from '../support/requires.ts'
import { Slipway, temporaryFolder } from '../support/slipway.ts'

const SUMS = 'SELECT count(*), sum(n), sum(length(body)) FROM big'

/** A lake of `size` on a file system of its own (root only). */
function smallLake(size: string): { dataDir: string; grow(to: string): void } & Disposable {
  const dataDir = temporaryFolder('disk-full')
  const lake = join(dataDir, 'lake')
  mkdirSync(lake)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', lake])
  return {
    dataDir,
    grow: (to) => { execFileSync('mount', ['-o', `remount,size=${to}`, lake]) },
    [Symbol.dispose]: () => {
      execFileSync('umount', [lake])
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

describeWith(['root'], 'a lake without room', () => {
  it('goes on and catches up when there is room again', async () => {
    using lake = smallLake('12m')
    await using slipway = await Slipway.start({ dataDir: lake.dataDir,
      args: ['--flush-interval', '1s'] })
    await using client = await slipway.connect()
    await client.query('CREATE TABLE big (id int PRIMARY KEY, n int, body text)')
    await mirrored(client, ['big'])
    // 24 MB of text that no codec makes small.
    await client.query(`INSERT INTO big SELECT i, i % 10, (SELECT string_agg(
      encode(sha512((i * 100 + j)::text::bytea), 'hex'), '') FROM generate_series(1, 10) j)
      FROM generate_series(1, 20000) i`)
    await client.query(`SET statement_timeout = '4s'`)
    await expect(client.query('SELECT slipway.flush()')).rejects.toThrow()
    await client.query('RESET statement_timeout')
    await client.query('UPDATE big SET n = n + 1 WHERE id % 2 = 0')
    const expected = await inPostgres(client, SUMS)
    expect((await client.query(SUMS)).rows).toEqual(expected)
    lake.grow('400m')
    await poll('a flush succeeds', 60_000, async () => {
      await client.query('SELECT slipway.flush()')
      return true
    })
    expect(await columnar(client, SUMS)).toEqual(expected)
    if (inject('readers') === '') return
    const found = await compareTable(inject('readers'), { address: slipway.address, table: 'big',
      path: tableFolder(slipway.shared, 'big'), readers: ['delta-rs'] })
    expect(found).toEqual(agreement(20_000, ['delta-rs']))
  }, 900_000)
})
