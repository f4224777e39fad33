/** Bad input to `slipway up`: one clear line that names the thing and the cure, and the status. */
import { createServer } from 'node:net'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runSlipway, Slipway, temporaryFolder } from '../support/slipway.ts'

let folder: string
beforeAll(() => { folder = temporaryFolder('usage') })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

const FREE = ['--port', '0', '--http-port', '0']

describe('bad usage, status 2', () => {
  it.each([
    { args: ['up', '--no-such-flag'], named: '--no-such-flag' },
    { args: ['no-such-command'], named: 'no-such-command' },
    { args: ['up', '--port', 'eleven'], named: '--port' },
    { args: ['up', '--port', '70000'], named: '--port' },
    { args: ['up', '--flush-interval', 'often'], named: '--flush-interval' },
    { args: ['up', '--engine-memory', 'much'], named: '--engine-memory' },
    { args: ['up', '--pg-version', '12'], named: '--pg-version' },
    { args: ['up', '--tls-cert', 'cert.pem'], named: '--tls-key' },
    { args: ['up', '--postgres-url', 'mysql://x'], named: '--postgres-url' },
  ])('$args names $named', async ({ args, named }) => {
    const done = await runSlipway(args, { cwd: folder })
    expect({ status: done.status, named: done.stderr.includes(named) })
      .toEqual({ status: 2, named: true })
    expect(done.stderr).not.toMatch(/^\s+at /m)
  })

  it('an environment variable that does not fit is named', async () => {
    const done = await runSlipway(['up'], { cwd: folder, env: { SLIPWAY_HTTP_PORT: 'x' } })
    expect(done.status).toBe(2)
    expect(done.stderr).toContain('SLIPWAY_HTTP_PORT')
  })

  it('a key of slipway.json that is none is named', async () => {
    const cwd = join(folder, 'with file')
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'slipway.json'), '{"prot": 5432}')
    const done = await runSlipway(['up'], { cwd })
    expect(done.status).toBe(2)
    expect(done.stderr).toContain('prot')
  })
})

describe('what cannot start, status 1', () => {
  it('a port that is taken is named', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    try {
      const done = await runSlipway(['up', '--data-dir', join(folder, 'taken'), '--port',
        String(port), '--http-port', '0'])
      expect(done.status).toBe(1)
      expect(done.stderr).toContain(String(port))
      expect(done.stdout).not.toContain('slipway is ready')
    } finally {
      server.close()
    }
  })

  it('a data directory that cannot be made is named', async () => {
    const file = join(folder, 'a file')
    writeFileSync(file, '')
    const done = await runSlipway(['up', '--data-dir', join(file, 'data'), ...FREE])
    expect(done.status).toBe(1)
    expect(done.stderr).toContain(file)
  })

  it('a certificate that cannot be read is named', async () => {
    const done = await runSlipway(['up', '--data-dir', join(folder, 'tls'), ...FREE,
      '--tls-cert', join(folder, 'none.pem'), '--tls-key', join(folder, 'none.key')])
    expect([1, 2]).toContain(done.status)
    expect(done.stderr).toContain('none.pem')
  })

  it('a PostgreSQL that does not answer is said, without its password', async () => {
    const done = await runSlipway(['up', '--data-dir', join(folder, 'external'), ...FREE,
      '--postgres-url', 'postgres://someone:geheim@127.0.0.1:1/postgres'])
    expect(done.status).toBe(1)
    expect(done.stderr).toContain('127.0.0.1')
    expect(done.stderr + done.stdout).not.toContain('geheim')
  })
})

describe('where options come from', () => {
  it('flag over environment over file; a path with spaces; another database and user', async () => {
    const cwd = join(folder, 'a path with spaces')
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'slipway.json'), JSON.stringify({
      database: 'from_file', user: 'from_file', password: 'from-file',
    }))
    await using slipway = await Slipway.start({
      dataDir: join(cwd, 'the data'), cwd, args: ['--user', 'from_flag'],
      env: { SLIPWAY_USER: 'from_env', SLIPWAY_PASSWORD: 'from-env' },
    })
    expect(slipway.address).toMatchObject({
      database: 'from_file', user: 'from_flag', password: 'from-env',
    })
    await using client = await slipway.connect()
    const row = (await client.query('SELECT current_user, current_database()')).rows[0]
    expect(row).toEqual(['from_flag', 'from_file'])
    expect(slipway.output).not.toContain('from-env')
  })

  it('a data directory of another PostgreSQL version is refused', async () => {
    const dataDir = join(folder, 'version')
    await (await Slipway.start({ dataDir })).stop()
    const done = await runSlipway(['up', '--data-dir', dataDir, ...FREE, '--pg-version', '17'])
    expect(done.status).toBe(1)
    expect(done.stderr).toMatch(/17/)
    expect(done.stderr).toMatch(/18/)
  })

  it('--help says what every option does', async () => {
    const done = await runSlipway(['up', '--help'])
    expect(done.status).toBe(0)
    for (const flag of ['--data-dir', '--port', '--postgres-url', '--flush-interval']) {
      expect(done.stdout).toContain(flag)
    }
  })
})
