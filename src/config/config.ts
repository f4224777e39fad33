/**
 * Config: the effective configuration of one `slipway up`.
 *
 * C1  Made once at start from flags, environment, file and defaults; read-only afterwards.
 * C2  A value that does not fit is refused with its source, its name and the form it must have;
 *     the value itself is not repeated.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { SlipwayError } from '../base/errors.ts'
import { environmentName, flagName, OPTIONS, type OptionKey } from './options.ts'
import { readPostgresSection, type PostgresSection } from './postgres-section.ts'

type Value<K extends OptionKey> = z.output<(typeof OPTIONS)[K]['schema']>
type Optional = 'password' | 'postgresUrl' | 'directPort' | 'tlsCert' | 'tlsKey' | 'tlsClientCa'
  | 'engineThreads' | 'slowStatement'

export type Config = {
  readonly [K in OptionKey]: K extends Optional ? Value<K> | null : Value<K>
} & { readonly postgres: PostgresSection }

export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
}

export interface ConfigSources {
  /** As commander gives them: key to text, absent when not given. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Content of slipway.json, or null. */
  readonly file: ConfigFile | null
}

/** The one key that is no option: it has no flag and no variable. */
const SECTION = 'postgres'

interface Found { readonly source: string; readonly value: unknown }

export function resolveConfig(sources: ConfigSources): Config {
  refuseUnknownKeys(sources)
  const result: Record<string, unknown> = {}
  for (const key of Object.keys(OPTIONS) as OptionKey[]) {
    result[key] = resolveOption(key, find(key, sources))
  }
  const section = sources.file?.values[SECTION]
  const config = {
    ...result, postgres: readPostgresSection(section, sources.file?.path ?? ''),
  } as unknown as Config
  if (section !== undefined && config.postgresUrl !== null) {
    throw new SlipwayError('usage',
      `"${SECTION}" in ${sources.file?.path ?? ''} is for the embedded server, and --postgres-url`
      + ' names another')
  }
  if ((config.tlsCert === null) !== (config.tlsKey === null)) {
    throw new SlipwayError('usage', '--tls-cert and --tls-key belong together: give both')
  }
  if (config.tlsClientCa !== null && config.tlsCert === null) {
    throw new SlipwayError('usage', '--tls-client-ca needs --tls-cert and --tls-key')
  }
  if (config.tlsRequired && config.tlsCert === null) {
    throw new SlipwayError('usage', '--tls-required needs --tls-cert and --tls-key')
  }
  return { ...config, dataDir: resolve(config.dataDir) }
}

/** A certificate can only be shown over TLS. */
export function isTlsRequired(config: Config): boolean {
  return config.tlsRequired || config.tlsClientCa !== null
}

function find(key: OptionKey, sources: ConfigSources): Found {
  const flag = sources.flags[key]
  if (flag !== undefined) return { source: flagName(key), value: flag }
  const name = environmentName(key)
  const variable = sources.environment[name]
  if (variable !== undefined && variable !== '') return { source: name, value: variable }
  const entry = sources.file?.values[key]
  if (entry !== undefined) {
    return { source: `"${key}" in ${sources.file?.path ?? ''}`, value: entry }
  }
  return { source: 'default', value: OPTIONS[key].fallback }
}

function resolveOption(key: OptionKey, found: Found): unknown {
  if (found.value === null) return null
  const text = typeof found.value === 'number' ? String(found.value) : found.value
  const parsed = (OPTIONS[key].schema as z.ZodType).safeParse(text)
  if (parsed.success) return parsed.data
  const why = parsed.error.issues.map((issue) => issue.message).join('; ')
  throw new SlipwayError('usage', `${found.source}: ${why}`,
    { hint: `${flagName(key)} ${OPTIONS[key].value}: ${OPTIONS[key].about}` })
}

function refuseUnknownKeys(sources: ConfigSources): void {
  for (const key of Object.keys(sources.file?.values ?? {})) {
    if (key in OPTIONS || key === SECTION) continue
    throw new SlipwayError('usage', `${sources.file?.path ?? ''}: unknown key "${key}"`,
      { hint: `Keys are: ${[...Object.keys(OPTIONS), SECTION].join(', ')}` })
  }
}

/** Reads slipway.json; null when it does not exist. */
export function readConfigFile(path: string): ConfigFile | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new SlipwayError('usage', `${path} cannot be read`, { cause: error })
  }
  try {
    return { path, values: z.record(z.string(), z.unknown()).parse(JSON.parse(text)) }
  } catch (error) {
    throw new SlipwayError('usage', `${path} is not a JSON object of options`, { cause: error })
  }
}

/** What may be written down: secrets left out. */
export function withoutSecrets(config: Config): Readonly<Record<string, unknown>> {
  return Object.fromEntries((Object.keys(OPTIONS) as OptionKey[])
    .filter((key) => !('secret' in OPTIONS[key])).map((key) => [key, config[key]]))
}
