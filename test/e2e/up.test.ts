/** `slipway up`: start, second start, stop, death of parts and of everything. */
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { poll } from '../support/poll.ts'
import { isAlive, readAddress, runSlipway, Slipway, temporaryFolder } from '../support/slipway.ts'

const PARTS = ['postgres', 'engine', 'gateway-1'] as const

describe('slipway up', () => {
  let slipway: Slipway
  beforeAll(async () => { slipway = await Slipway.start() })
  afterAll(async () => { await slipway[Symbol.asyncDispose]() })

  it('prints its endpoints and the new password, then that it is ready', () => {
    const { address, httpUrl } = slipway.shared
    const output = slipway.output
    expect(output).toContain(String(address.port))
    expect(output).toContain(httpUrl)
    expect(output).toContain(address.password)
    expect(output.indexOf(httpUrl)).toBeLessThan(output.indexOf('slipway is ready'))
  })

  it('writes endpoints.json as CONTRACT.md has it', () => {
    const path = join(slipway.dataDir, 'run', 'endpoints.json')
    const endpoints = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    expect(endpoints['postgres']).toEqual({
      host: '127.0.0.1', port: slipway.address.port, database: 'slipway', user: 'slipway',
    })
    expect(endpoints['http']).toEqual({ url: slipway.shared.httpUrl })
  })

  it('keeps the password from others', () => {
    expect(statSync(join(slipway.dataDir, 'password')).mode & 0o777).toBe(0o600)
  })

  it('refuses a second start on the same data directory and names the holder', async () => {
    const second = await runSlipway(['up', '--data-dir', slipway.dataDir, '--port', '0',
      '--http-port', '0'])
    expect(second.status).toBe(1)
    expect(second.stderr).toContain(String(slipway.pid))
    await using client = await slipway.connect()
    expect(await client.value('SELECT 1')).toBe('1')
  })

  it.each(PARTS)('restarts %s when it dies', async (part) => {
    const before = slipway.partPid(part)
    slipway.killPart(part)
    await poll(`another ${part}`, 30_000, () => {
      const pid = slipway.partPid(part)
      return pid !== before && isAlive(pid) ? true : null
    })
    await poll('SQL works again', 30_000, async () => {
      await using client = await slipway.connect({ connectionTimeoutMillis: 2_000 })
      return await client.value('SELECT 1') === '1' ? true : null
    })
    await poll('HTTP works again', 30_000, async () => {
      const answer = await fetch(`${readAddress(slipway.dataDir).httpUrl}/readyz`)
      return answer.status === 200 ? true : null
    })
  })
})

describe('the end of slipway up', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s stops every part, status 0', async (signal) => {
    await using slipway = await Slipway.start()
    await using client = await slipway.connect()
    expect(await client.value('SELECT 1')).toBe('1')
    const pids = PARTS.map((part) => slipway.partPid(part))
    expect(await slipway.stop(signal)).toBe(0)
    expect(pids.filter(isAlive)).toEqual([])
  })

  it('kill -9 of the supervisor takes its parts along, and the next start recovers', async () => {
    const dataDir = temporaryFolder('killed')
    try {
      const first = await Slipway.start({ dataDir })
      const { password } = first.address
      await using client = await first.connect()
      await client.query('CREATE TABLE kept (id int PRIMARY KEY, v text)')
      await client.query(`INSERT INTO kept SELECT i, 'v' || i FROM generate_series(1, 1000) i`)
      await first.killEverything()
      await using second = await Slipway.start({ dataDir })
      expect(second.address.password).toBe(password)
      await using again = await second.connect()
      expect(await again.value('SELECT count(*) FROM kept')).toBe('1000')
      await poll('the mirror answers', 30_000, async () => {
        await again.query(`SET slipway.route = 'columnar'`)
        return await again.value('SELECT count(*) FROM kept') === '1000' ? true : null
      })
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })

  it('starts on an existing directory with what was there, without a new password', async () => {
    const dataDir = temporaryFolder('again')
    try {
      const first = await Slipway.start({ dataDir })
      const { password } = first.address
      await using client = await first.connect()
      await client.query('CREATE TABLE t (id int PRIMARY KEY)')
      await client.end()
      await first.stop()
      await using second = await Slipway.start({ dataDir })
      expect(second.output).not.toContain(password)
      await using again = await second.connect()
      expect(await again.value('SELECT count(*) FROM t')).toBe('0')
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})
