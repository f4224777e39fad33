/** Two gateway processes in operation: metrics, slow statements, limits, crashes, the stop. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { poll } from '../support/poll.ts'
import { Slipway, temporaryFolder } from '../support/slipway.ts'
import { SqlClient } from '../support/sql-client.ts'

describe('slipway up with two gateway processes', () => {
  let folder: string
  let slipway: Slipway
  beforeAll(async () => {
    folder = temporaryFolder('operations')
    writeFileSync(join(folder, 'slipway.json'), JSON.stringify({ gatewayProcesses: 2,
      postgres: { settings: { max_connections: 30 } } }))
    slipway = await Slipway.start({ cwd: folder,
      args: ['--stop-timeout', '1s', '--slow-statement', '300ms'] })
  })
  afterAll(async () => {
    await slipway[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  it('metrics are those of both, and current', async () => {
    const count = 'slipway_gateway_statement_seconds_count{route="postgres"}'
    const before = await slipway.metric(count)
    for (let client = 0; client < 8; client++) {
      await using one = await slipway.connect()
      for (let query = 0; query < 5; query++) await one.query('SELECT 1')
      await expect(one.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' })
    }
    expect(await slipway.metric(count) - before).toBe(48)
    expect(await slipway.metric('slipway_gateway_errors_total{sqlstate="22012"}')).toBe(8)
    expect(await slipway.metric('slipway_gateway_processes')).toBe(2)
    expect(await slipway.metric('slipway_gateway_client_bytes_total')).toBeGreaterThan(8 * 100)
    await using open = await slipway.connect()
    expect(await open.value('SELECT 1')).toBe('1')
    expect(await slipway.metric('slipway_gateway_sessions')).toBeGreaterThanOrEqual(1)
  })

  it('a slow statement is logged by its fingerprint, its values are not', async () => {
    await using client = await slipway.connect()
    await client.query('SELECT pg_sleep(0.4), $1::text', ['hunter2'])
    await client.query(`SELECT pg_sleep(0.4), 'hunter2'`)
    const logs = (): string => ['gateway-1', 'gateway-2'].map((part) =>
      readFileSync(join(slipway.dataDir, 'log', `${part}.log`), 'utf8')).join('')
    await poll('both are logged', 5_000, () =>
      (logs().match(/"command":"SELECT".*slow statement/g) ?? []).length >= 2 ? true : null)
    expect(logs()).not.toContain('hunter2')
  })

  it('of too many connections the last get 53300, and others can come when they go', async () => {
    const clients: SqlClient[] = []
    try {
      await expect((async () => {
        for (let client = 0; client < 40; client++) clients.push(await slipway.connect())
      })()).rejects.toMatchObject({ code: '53300' })
    } finally {
      for (const client of clients) await client[Symbol.asyncDispose]()
    }
    await poll('there is room again', 5_000, async () => {
      await using client = await slipway.connect()
      return await client.value('SELECT 1')
    })
  })

  it('when a backend crashes the others hear 57P02, and new clients are served again', async () => {
    await using other = await slipway.connect()
    await using victim = await slipway.connect()
    const told = new Promise<unknown>((resolve) => { other.client.once('notice', resolve) })
    const pid = Number(await victim.value('SELECT pg_backend_pid()'))
    process.kill(pid, 'SIGKILL')
    expect(await told).toMatchObject({ code: '57P02' })
    let refusal = '57P03'
    await poll('PostgreSQL is back', 20_000, async () => {
      try {
        await using client = await slipway.connect()
        return await client.value('SELECT 1')
      } catch (error) {
        refusal = (error as { code?: string }).code ?? 'none'
        return null
      }
    })
    expect(refusal).toBe('57P03')
  })

  it('a gateway that dies comes back to the same port', async () => {
    const { port } = slipway.address
    const pids = ['gateway-1', 'gateway-2'].map((part) => slipway.partPid(part))
    for (const part of ['gateway-1', 'gateway-2']) slipway.killPart(part)
    await poll('both are back', 20_000, () => ['gateway-1', 'gateway-2'].every((part, index) =>
      slipway.partPid(part) !== pids[index]) ? true : null)
    await poll('it serves', 5_000, async () => {
      await using client = await SqlClient.connect({ ...slipway.address, port })
      return await client.value('SELECT 1')
    })
  })

  it('a stop lets an open transaction end, then ends it with 57P01; nobody comes in', async () => {
    const { port } = slipway.address
    await using ends = await slipway.connect()
    await using stays = await slipway.connect()
    await using idle = await slipway.connect()
    const idleTold = new Promise<unknown>((resolve) => { idle.client.once('error', resolve) })
    const staysTold = new Promise<unknown>((resolve) => { stays.client.once('error', resolve) })
    await ends.query('BEGIN; CREATE TABLE kept (id int)')
    await stays.query('BEGIN; CREATE TABLE lost (id int)')
    const stopped = slipway.stop()
    expect(await idleTold).toMatchObject({ code: '57P01' })
    await ends.query('COMMIT')
    await new Promise<void>((resolve) => {
      const late = connect(port, '127.0.0.1')
      late.once('error', () => { resolve() })
      late.once('close', () => { resolve() })
    })
    expect(await staysTold).toMatchObject({ code: '57P01' })
    expect(await stopped).toBe(0)
  })
})
