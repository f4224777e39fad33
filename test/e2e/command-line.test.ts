/** status, sql, tables, flush, demo: what a person types beside `slipway up`. */
import { beforeAll, describe, expect, it } from 'vitest'
import { SharedSchema } from '../support/shared-slipway.ts'
import { runSlipway } from '../support/slipway.ts'

describe('the command line', () => {
  let schema: SharedSchema
  beforeAll(async () => {
    schema = await SharedSchema.create('cli')
    await using client = await schema.connect()
    await client.query('CREATE TABLE told (id int PRIMARY KEY, v numeric(8,2))')
    await client.query('INSERT INTO told SELECT i, i / 4.0 FROM generate_series(1, 1000) i')
    await schema.mirrored(client, ['told'])
  })

  function slipway(...args: readonly string[]): ReturnType<typeof runSlipway> {
    return runSlipway([...args, '--data-dir', schema.slipway.dataDir])
  }

  it('sql prints a table, JSON and CSV', async () => {
    const sql = 'SELECT count(*) AS n, sum(v) AS total FROM cli.told'
    const table = await slipway('sql', sql)
    expect(table.status).toBe(0)
    expect(table.stdout).toMatch(/n\s.*total/)
    expect(table.stdout).toContain('125125.00')
    const csv = await slipway('sql', sql, '--csv')
    expect(csv.stdout).toBe('n,total\n1000,125125.00\n')
    const json = await slipway('sql', sql, '--json')
    expect(JSON.stringify(JSON.parse(json.stdout))).toContain('125125.00')
  })

  it('sql --explain-route says where the statement goes', async () => {
    const told = await slipway('sql', 'SELECT count(*) FROM cli.told', '--explain-route')
    expect(told.status).toBe(0)
    expect(told.stdout).toMatch(/columnar|postgres/)
  })

  it('an error in SQL is one clear line and status 1', async () => {
    const told = await slipway('sql', 'SELECT nope FROM cli.told')
    expect(told.status).toBe(1)
    expect(told.stderr).toContain('column "nope" does not exist')
    expect(told.stderr).not.toMatch(/^\s+at /m)
  })

  it('tables and flush', async () => {
    const flushed = await slipway('flush')
    expect(flushed.status).toBe(0)
    const tables = await slipway('tables', '--json')
    expect(tables.status).toBe(0)
    expect(tables.stdout).toContain('told')
    expect(tables.stdout).toContain('ready')
    expect((await slipway('tables')).stdout).toMatch(/cli\.told\s+\|\s+ready/)
  })

  it('status names the parts, their health, and the tables', async () => {
    const status = await slipway('status')
    expect(status.status).toBe(0)
    for (const part of ['postgres', 'engine', 'gateway']) expect(status.stdout).toContain(part)
    const json = JSON.parse((await slipway('status', '--json')).stdout) as Record<string, unknown>
    expect(Array.isArray(json['tables'])).toBe(true)
  })

  it('status says it when nothing runs there', async () => {
    const status = await runSlipway(['status', '--data-dir', '/nonexistent/data'])
    expect(status.status).toBe(1)
    expect(status.stderr).toContain('/nonexistent/data')
  })
})
