/**
 * A client connection to a running Slipway: its endpoint as run/endpoints.json says, its
 * password as the data directory keeps it.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { SlipwayError } from '../base/errors.ts'
import { DataDirectory, type Endpoints } from '../config/data-directory.ts'

export interface EndpointOptions {
  readonly dataDir: string
  /** Instead of the data directory: any PostgreSQL URL. */
  readonly url?: string
}

export async function connectToEndpoint(options: EndpointOptions): Promise<pg.Client> {
  const client = new pg.Client({ ...clientConfig(options), application_name: 'slipway cli' })
  try {
    await client.connect()
  } catch (error) {
    if ((error as { readonly code?: string }).code === '28P01') {
      throw new SlipwayError('auth-failed', 'PostgreSQL refused the kept password',
        { cause: error, hint: 'It was changed with ALTER ROLE? Set PGPASSWORD, or start'
          + ' `slipway up` with --password once.' })
    }
    throw new SlipwayError('postgres-unreachable',
      `cannot connect: ${error instanceof Error ? error.message : 'unknown error'}`,
      { cause: error, hint: 'Is `slipway up` running? See `slipway status`.' })
  }
  return client
}

function clientConfig(options: EndpointOptions): pg.ClientConfig {
  if (options.url !== undefined) return { connectionString: options.url }
  const { endpoints, password } = readEndpoint(options.dataDir)
  const { host, port, database, user, tlsRequired } = endpoints.postgres
  return { host, port, database, user, password, ssl: tlsRequired === true ? tlsOptions() : false }
}

/** The endpoint is our own; where it wants a client's certificate, the one that libpq takes. */
function tlsOptions(): pg.ClientConfig['ssl'] {
  const { PGSSLCERT: cert, PGSSLKEY: key } = process.env
  return {
    rejectUnauthorized: false,
    ...cert === undefined || key === undefined ? {}
      : { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
  }
}

export function readEndpoint(dataDir: string): {
  readonly endpoints: Endpoints
  readonly password: string
} {
  const directory = new DataDirectory(resolve(dataDir))
  const endpoints = directory.readEndpoints()
  const password = process.env['PGPASSWORD'] ?? keptPassword(directory)
  return { endpoints, password }
}

function keptPassword(directory: DataDirectory): string {
  try {
    return readFileSync(join(directory.root, 'password'), 'utf8').trim()
  } catch (error) {
    throw new SlipwayError('auth-failed',
      `the password file in ${directory.root} cannot be read`,
      { cause: error, hint: 'Set PGPASSWORD, or run as the user who started Slipway.' })
  }
}
