/**
 * The options of `slipway up`, each declared once.
 *
 * O1  Flag, environment variable, key in slipway.json, help text and docs/config.md all come
 *     from this table.
 * O2  Precedence: flag, then environment, then file, then default.
 */
import { z } from 'zod'

const port = whole(0, 65_535)
const flag = z.union([z.boolean(), z.enum(['true', 'false', 'on', 'off', '1', '0'])
  .transform((text) => text === 'true' || text === 'on' || text === '1')])

/** Durations in milliseconds: 500ms, 10s, 2min, 1h. */
export const durationMs = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|min|h)$/.exec(text.trim())
  const unit = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 }[match?.[2] ?? '']
  if (match === null || unit === undefined) {
    context.addIssue({ code: 'custom', message: 'a duration reads like 500ms, 10s, 2min or 1h' })
    return z.NEVER
  }
  return Math.round(Number(match[1]) * unit)
})

/** Sizes in bytes: 128MB, 4GB (powers of 1024, as PostgreSQL reads them). */
export const sizeBytes = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)$/i.exec(text.trim())
  const power = ['b', 'kb', 'mb', 'gb', 'tb'].indexOf((match?.[2] ?? '').toLowerCase())
  if (match === null || power < 0) {
    context.addIssue({ code: 'custom', message: 'a size reads like 128MB or 4GB' })
    return z.NEVER
  }
  return Math.round(Number(match[1]) * 1024 ** power)
})

function whole(least: number, most: number): z.ZodType<number> {
  const error = `a whole number from ${least} to ${most}`
  return z.coerce.number(error).int(error).min(least, error).max(most, error)
}

export interface OptionDeclaration {
  /** Key in slipway.json and in the effective configuration. */
  readonly key: string
  /** What stands after the flag in the help text; null for an option that takes no value. */
  readonly value: string | null
  readonly about: string
  /** Shown as the default; null: none, or as `about` says. */
  readonly fallback: string | null
  readonly schema: z.ZodType
  readonly secret?: true
}

function option<S extends z.ZodType>(
  key: string, value: string | null, fallback: string | null, schema: S, about: string,
): { key: string; value: string | null; about: string; fallback: string | null; schema: S } {
  return { key, value, about, fallback, schema }
}

const path = z.string().min(1)
const roleName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/,
  'a name of letters, digits, _, $ or -, at most 63 characters')
const level = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])

export const OPTIONS = {
  dataDir: option('dataDir', '<dir>', './slipway-data', path,
    'where PostgreSQL, the lake and the logs live'),
  host: option('host', '<address>', '127.0.0.1', z.string().min(1),
    'address that every endpoint listens on'),
  port: option('port', '<port>', '5432', port, 'PostgreSQL endpoint; 0 picks a free port'),
  httpPort: option('httpPort', '<port>', '8432', port, 'HTTP endpoint; 0 picks a free port'),
  flightPort: option('flightPort', '<port>', '31337', port,
    'Flight SQL endpoint (not served by this version)'),
  database: option('database', '<name>', 'slipway', roleName, 'the database that is mirrored'),
  user: option('user', '<role>', 'slipway', roleName, 'the role made on first start'),
  password: { ...option('password', '<text>', null, z.string().min(1),
    'its password; absent: made once, kept in the data directory, shown on first start'),
  secret: true as const },
  postgresUrl: { ...option('postgresUrl', '<url>', null, z.string().regex(/^postgres(ql)?:\/\//,
    'a URL like postgres://role:password@host:5432/database'),
  'use this PostgreSQL (16 to 18, wal_level=logical) instead of the embedded one'),
  secret: true as const },
  pgVersion: option('pgVersion', '<16|17|18>', '18',
    z.coerce.number('16, 17 or 18')
      .refine((v) => v === 16 || v === 17 || v === 18, '16, 17 or 18'),
    'major version of the embedded PostgreSQL'),
  directPort: option('directPort', '<port>', null, port.refine((v) => v > 0, 'a port above 0'),
    'PostgreSQL itself also listens here: no proxy, no routing'),
  tlsCert: option('tlsCert', '<file>', null, path, 'certificate (PEM) for the PostgreSQL endpoint'),
  tlsKey: option('tlsKey', '<file>', null, path, 'its private key (PEM)'),
  tlsClientCa: option('tlsClientCa', '<file>', null, path,
    'accept only clients with a certificate of this authority (PEM); its name is the role'),
  tlsRequired: option('tlsRequired', null, 'false', flag,
    'accept no client without TLS; so with --tls-client-ca'),
  gatewayProcesses: option('gatewayProcesses', '<n>', '1', whole(1, 64),
    'processes that share the PostgreSQL port'),
  socketIo: option('socketIo', '<auto|node>', 'auto', z.enum(['auto', 'node']),
    'how the gateway reads and writes: auto by system calls where it can (Linux), else as Node'),
  stopTimeout: option('stopTimeout', '<duration>', '5s', durationMs,
    'time that open transactions are given to end when Slipway stops'),
  slowStatement: option('slowStatement', '<duration>', null, durationMs,
    'log the fingerprint of statements that take longer; absent: none'),
  engineThreads: option('engineThreads', '<n>', null, whole(1, 256),
    'threads of the columnar engine; absent: one per core'),
  engineMemory: option('engineMemory', '<size>', '4GB', sizeBytes,
    'memory of the columnar engine before it spills to disk'),
  flushInterval: option('flushInterval', '<duration>', '10s', durationMs,
    'longest time until a commit is durable in the lake'),
  flushBytes: option('flushBytes', '<size>', '128MB', sizeBytes,
    'changes kept in memory before they are written to the lake'),
  routeCostMin: option('routeCostMin', '<n>', '5000',
    z.coerce.number('a number').min(0, 'a number from 0 on'),
    'statements that PostgreSQL estimates below this cost stay there'),
  logLevel: option('logLevel', '<level>', 'info', level, 'trace, debug, info, warn, error'),
} as const satisfies Record<string, OptionDeclaration>

export type OptionKey = keyof typeof OPTIONS

/** `--data-dir` for `dataDir`. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`
}

/** `SLIPWAY_DATA_DIR` for `dataDir`. */
export function environmentName(key: string): string {
  return `SLIPWAY_${key.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`
}
