/**
 * SqlRequest: the body of POST /v1/sql, the format asked for, and the credentials.
 */
import { z } from 'zod'
import { SlipwayError } from '../base/errors.ts'

export type ResultFormat = 'json' | 'ndjson' | 'csv' | 'arrow'

export const MEDIA_TYPES = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
  arrow: 'application/vnd.apache.arrow.stream',
} as const satisfies Record<ResultFormat, string>

const BODY = z.strictObject({
  sql: z.string().min(1),
  params: z.array(z.json()).max(65_535).optional(),
  maxRows: z.int().min(0).optional(),
  freshness: z.string().optional(),
  asOf: z.string().optional(),
})

export interface SqlRequest {
  readonly sql: string
  /** As text, the way PostgreSQL reads them. */
  readonly params: readonly (string | null)[]
  readonly maxRows: number | null
  /** null: the session's own setting. */
  readonly freshness: string | null
  readonly asOf: string | null
}

export interface BasicCredentials {
  readonly user: string
  readonly password: string
}

/** Throws 'usage' naming the member that is wrong. */
export function parseSqlRequest(body: unknown): SqlRequest {
  const parsed = BODY.safeParse(body)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const at = issue === undefined || issue.path.length === 0 ? 'body' : issue.path.join('.')
    throw new SlipwayError('usage', `the request's ${at}: ${issue?.message ?? 'not valid'}`, {
      hint: 'Send {"sql": "select 1", "params": [], "maxRows": 1000}.',
    })
  }
  const { sql, params, maxRows, freshness, asOf } = parsed.data
  if (sql.includes('\0')) throw new SlipwayError('usage', 'the request\'s sql holds a NUL')
  return {
    sql, params: (params ?? []).map(parameterText), maxRows: maxRows ?? null,
    freshness: freshness ?? null, asOf: asOf ?? null,
  }
}

/** The first format of the Accept header that we write; null for none. */
export function negotiate(accept: string | undefined): ResultFormat | null {
  if (accept === undefined || accept.trim() === '') return 'json'
  const wanted = accept.split(',').map((part) => {
    const [type, ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))
    return { type: type ?? '', quality: quality === undefined ? 1 : Number(quality.slice(2)) }
  })
  wanted.sort((a, b) => b.quality - a.quality)
  for (const { type, quality } of wanted) {
    if (!(quality > 0)) continue
    const format = formatOf(type)
    if (format !== null) return format
  }
  return null
}

/** Throws 'auth-failed' when the header is missing or is not Basic. */
export function basicCredentials(header: string | undefined): BasicCredentials {
  const match = /^basic\s+([a-z0-9+/=_-]+)\s*$/i.exec(header ?? '')
  const decoded = match === null ? '' : Buffer.from(match[1]!, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  const user = decoded.slice(0, Math.max(colon, 0))
  const password = decoded.slice(colon + 1)
  // An empty one would make the client library look for a password of its own.
  if (colon < 1 || password === '' || decoded.includes('\0')) {
    throw new SlipwayError('auth-failed', 'HTTP Basic credentials of a PostgreSQL role are needed')
  }
  return { user, password }
}

function formatOf(type: string): ResultFormat | null {
  if (type === '*/*' || type === 'application/*') return 'json'
  if (type === 'text/*') return 'csv'
  for (const [format, mediaType] of Object.entries(MEDIA_TYPES)) {
    if (mediaType === type) return format as ResultFormat
  }
  return null
}

type Json = z.infer<ReturnType<typeof z.json>>

function parameterText(value: Json): string | null {
  if (value === null) return null
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return arrayLiteral(value)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function arrayLiteral(items: readonly Json[]): string {
  const parts = items.map((item) => {
    if (Array.isArray(item)) return arrayLiteral(item)
    const text = parameterText(item)
    return text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`
  })
  return `{${parts.join(',')}}`
}
