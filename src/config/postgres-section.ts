/**
 * PostgresSection: the key "postgres" of slipway.json, for the embedded server.
 *
 *   "postgres": { "settings": { "work_mem": "64MB" }, "hba": ["local all app trust"],
 *                 "ident": ["clients cn.example app"] }
 *
 * G1  A setting that Slipway cannot do without is refused here; whether the others exist and
 *     fit is PostgreSQL's own to say, at start.
 * G2  No message repeats a value.
 */
import { z } from 'zod'
import { SlipwayError } from '../base/errors.ts'

export interface PostgresSection {
  /** As postgresql.conf would have them; names in lower case. */
  readonly settings: ReadonlyMap<string, string>
  /** Lines of pg_hba.conf, before Slipway's own. */
  readonly hba: readonly string[]
  /** Lines of pg_ident.conf. */
  readonly ident: readonly string[]
}

export const NO_POSTGRES_SECTION: PostgresSection = { settings: new Map(), hba: [], ident: [] }

/** Given on the command line, or the mirror's need. */
const RESERVED: ReadonlySet<string> = new Set([
  'wal_level', 'listen_addresses', 'port', 'unix_socket_directories', 'unix_socket_permissions',
  'log_destination', 'logging_collector', 'log_line_prefix', 'lc_messages', 'data_directory',
  'config_file', 'hba_file', 'ident_file', 'external_pid_file', 'event_triggers', 'ssl',
  'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file', 'restart_after_crash',
])
const NEEDED_LEAST: ReadonlyMap<string, number> = new Map([
  ['max_wal_senders', 2], ['max_replication_slots', 1], ['max_connections', 20],
])

const line = z.string().regex(/^[^\r\n]*\S[^\r\n]*$/, 'one line of text')
const schema = z.strictObject({
  settings: z.record(z.string().regex(/^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?$/, 'a setting\'s name'),
    z.union([z.string().regex(/^[^\r\n\0]*$/, 'one line of text'), z.number(), z.boolean()])),
  hba: z.array(line),
  ident: z.array(line),
}).partial()

/** `source` names the file. Throws 'usage'. */
export function readPostgresSection(value: unknown, source: string): PostgresSection {
  if (value === undefined) return NO_POSTGRES_SECTION
  const parsed = schema.safeParse(value)
  if (!parsed.success) {
    const why = parsed.error.issues.map(({ path, message }) =>
      `"${['postgres', ...path].join('.')}": ${message}`).join('; ')
    throw new SlipwayError('usage', `${source}: ${why}`, { hint: FORM })
  }
  const { settings = {}, hba = [], ident = [] } = parsed.data
  const texts = new Map(Object.entries(settings).map(([name, setting]) =>
    [name.toLowerCase(), settingText(setting)]))
  for (const [name, text] of texts) refuseUnfit(name, text, source)
  return { settings: texts, hba, ident }
}

function settingText(setting: string | number | boolean): string {
  return typeof setting === 'boolean' ? setting ? 'on' : 'off' : String(setting)
}

function refuseUnfit(name: string, text: string, source: string): void {
  if (RESERVED.has(name)) {
    throw new SlipwayError('usage', `${source}: "postgres.settings.${name}" is Slipway's to set`,
      { hint: `Leave ${name} out.` })
  }
  const least = NEEDED_LEAST.get(name)
  if (least === undefined || !(Number(text) < least)) return
  throw new SlipwayError('usage',
    `${source}: "postgres.settings.${name}" must be at least ${least} for the mirror`)
}

const FORM = 'It reads like "postgres": {"settings": {"work_mem": "64MB"}, "hba": ["local all app'
  + ' trust"], "ident": ["map system-name role"]}'
