/** The command line: every command, its options and its help, in one tree. */
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { OPTIONS, environmentName, flagName, type OptionDeclaration } from '../config/options.ts'
import { addDeltaCommands } from './delta-commands.ts'
import { runDemo, type DemoOptions } from './demo-command.ts'
import { runSql, type SqlOptions } from './sql-command.ts'
import { runStatus } from './status-command.ts'
import { runFlush, runTables } from './tables-command.ts'
import { runUp } from './up-command.ts'

interface ClientOptions { readonly dataDir: string; readonly url?: string; readonly json?: boolean }

export function buildProgram(): Command {
  const program = new Command('slipway')
    .description('PostgreSQL takes the writes; every commit lands in Delta tables; ' +
      'heavy SELECTs are answered from columns.')
    .version(packageVersion())
    .showHelpAfterError('(slipway --help lists the commands)')
    .exitOverride()
  addUp(program)
  addClientCommands(program)
  addDemo(program)
  addDeltaCommands(program)
  return program
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return (parsed as { version: string }).version
}

function addUp(program: Command): void {
  const up = program.command('up')
    .description('start everything in the foreground; Ctrl-C stops it')
    .option('--config <file>', 'options from this file', 'slipway.json')
  for (const declaration of Object.values(OPTIONS) as OptionDeclaration[]) {
    up.addOption(declaredOption(declaration))
  }
  up.addHelpText('after', '\nEach option is also an environment variable ' +
    '(--data-dir is SLIPWAY_DATA_DIR) and a key of\nslipway.json ("dataDir"). ' +
    'Precedence: flag, environment, file.\n')
  up.action(async (flags: Record<string, unknown>) => { await runUp(flags) })
}

function declaredOption(declaration: OptionDeclaration): Option {
  const fallback = declaration.fallback === null ? '' : ` (default: ${declaration.fallback})`
  return new Option(`${flagName(declaration.key)} ${declaration.value ?? ''}`,
    `${declaration.about}${fallback}`)
}

function client(program: Command, name: string, description: string): Command {
  return program.command(name)
    .description(description)
    .addOption(new Option('--data-dir <dir>', 'of the running Slipway')
      .env(environmentName('dataDir')).default(OPTIONS.dataDir.fallback))
    .option('--url <url>', 'a PostgreSQL URL instead of --data-dir')
    .option('--json', 'machine-readable output')
}

function addClientCommands(program: Command): void {
  client(program, 'status', 'health of each part, lag, tables and their state')
    .action(async (options: ClientOptions) => { await runStatus(options) })
  client(program, 'sql', 'run SQL through the endpoint and print the result')
    .argument('<statement>', 'the SQL')
    .option('--csv', 'CSV output')
    .option('--explain-route', 'show where the statement would run, and why')
    .action(async (sql: string, options: SqlOptions) => { await runSql(sql, options) })
  client(program, 'tables', 'mirrored tables: state, Delta path, version, rows, lag')
    .action(async (options: ClientOptions) => { await runTables(options) })
  client(program, 'flush', 'make everything committed so far durable in the lake now')
    .action(async (options: ClientOptions) => { await runFlush(options) })
}

function addDemo(program: Command): void {
  program.command('demo')
    .description('load a data set on a temporary data directory and show writes and analytics')
    .option('--rows <n>', 'order lines to load', '1000000')
    .option('--seconds <n>', 'how long the live view runs', '30')
    .option('--data-dir <dir>', 'keep the data here instead of a temporary directory')
    .option('--json', 'one JSON object a second instead of the live view')
    .action(async (options: DemoOptions) => { await runDemo(options) })
}
