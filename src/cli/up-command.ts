/** `slipway up`: starts everything, prints the endpoints, stops on Ctrl-C or SIGTERM. */
import { resolve } from 'node:path'
import { readConfigFile, resolveConfig, type Config } from '../config/config.ts'
import { Supervisor } from '../supervisor/supervisor.ts'

export async function runUp(flags: Readonly<Record<string, unknown>>): Promise<void> {
  const { config: file, ...given } = flags
  const config = resolveConfig({
    flags: given,
    environment: process.env,
    file: readConfigFile(resolve(String(file))),
  })
  const supervisor = new Supervisor(config)
  const stopping = stopOnSignals(supervisor)
  // A terminal that closes means to end what runs in it; anybody else wants new certificates.
  if (!process.stdout.isTTY) process.on('SIGHUP', () => { supervisor.reload() })
  const running = await supervisor.start()
  process.stdout.write(announce(config, running))
  await Promise.race([stopping, running.lost])
  await supervisor.stop()
}

/** First signal: a clean stop. Second: at once. */
function stopOnSignals(supervisor: Supervisor): Promise<void> {
  return new Promise((resolveSignal) => {
    let signals = 0
    const onSignal = (): void => {
      signals += 1
      if (signals === 1) { resolveSignal(); supervisor.cancelStart(); return }
      supervisor.killAll()
      process.exit(1)
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
}

type Running = Awaited<ReturnType<Supervisor['start']>>

function announce(config: Config, running: Running): string {
  const { postgres, http } = running.endpoints
  const lines = [
    `PostgreSQL  postgresql://${postgres.user}@${postgres.host}:${postgres.port}` +
      `/${postgres.database}`,
    `HTTP        ${http.url}`,
  ]
  if (config.directPort !== null) lines.push(`direct      ${config.host}:${config.directPort}`)
  lines.push(`lake        ${running.lakePath}`)
  if (running.newPassword !== null) {
    lines.push(`password    ${running.newPassword}  (kept in ${running.passwordFile})`)
  }
  return `${lines.join('\n')}\nslipway is ready\n`
}
