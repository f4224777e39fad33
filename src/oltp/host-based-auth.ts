/**
 * HostBasedAuth: which lines of pg_hba.conf hold for whom.
 *
 * A client of the gateway reaches PostgreSQL through its unix socket, so for PostgreSQL it is
 * `local`, wherever it comes from and whether it speaks TLS.
 *
 * A1  A line of type host… that every client of the gateway would match holds for them too,
 *     as a `local` line at its place. One that only some would match could not be kept there,
 *     so it is refused, unless PostgreSQL listens itself (--direct-port).
 * A2  `cert` is the gateway's own to check (client-certificate.ts) and not PostgreSQL's.
 * A3  What names the operating system's user would let in everybody as the gateway's.
 *
 * Source: PostgreSQL documentation, "The pg_hba.conf File".
 */
import { isIP } from 'node:net'
import { SlipwayError } from '../base/errors.ts'

export interface GatewayClients {
  /** Where the gateway listens. */
  readonly host: string
  readonly tls: 'none' | 'offered' | 'required'
  readonly certificates: boolean
}

export interface AuthLines {
  /** For pg_hba.conf. */
  readonly lines: readonly string[]
  /** The ident map of the `cert` lines; null when none names one. */
  readonly certificateMap: string | null
}

interface HbaLine {
  readonly type: string
  /** Database and role, as written. */
  readonly names: string
  /** null for `local`. */
  readonly address: string | null
  readonly method: string
  /** Method and options, as written. */
  readonly rest: string
}

const TYPES = ['local', 'host', 'hostssl', 'hostnossl', 'hostgssenc', 'hostnogssenc']
const METHODS: ReadonlySet<string> = new Set(['trust', 'reject', 'scram-sha-256', 'md5',
  'password', 'gss', 'sspi', 'ident', 'peer', 'ldap', 'radius', 'pam', 'bsd', 'cert', 'oauth'])
const LOOPBACK = ['127.0.0.1', '::1', 'localhost']
const TOKEN = /(?:"[^"]*"|[^\s,"#])+(?:\s*,\s*(?:"[^"]*"|[^\s,"#])+)*/g

/** `direct`: PostgreSQL listens on TCP itself. Throws 'usage' naming the line. */
export function authLines(
  given: readonly string[], clients: GatewayClients, direct: boolean,
): AuthLines {
  const lines: string[] = []
  const maps = new Set<string>()
  given.forEach((text, index) => {
    const refuse = (why: string, hint: string): never => {
      throw new SlipwayError('usage', `"postgres.hba" line ${index + 1}: ${why}`, { hint })
    }
    if (text.trim().startsWith('#')) return
    const line = parse(text, refuse)
    if (line.method === 'cert') {
      if (!clients.certificates) refuse('cert needs --tls-client-ca', 'Name the authority\'s file.')
      const map = /(?:^|\s)map="?([^\s"]+)"?/.exec(line.rest)?.[1]
      if (map !== undefined) maps.add(map)
      if (maps.size > 1) refuse('a second ident map', 'Put both into one map.')
      return
    }
    const holds = holdsForAll(line, clients)
    if (!holds && !direct) {
      refuse('it would hold for some clients of the gateway only, which PostgreSQL cannot tell'
        + ' apart', `Write: local ${line.names} ${line.rest}`)
    }
    if (line.type !== 'local' && direct) lines.push(text)
    if (holds) lines.push(`local ${line.names} ${line.rest}`)
  })
  return { lines, certificateMap: [...maps][0] ?? null }
}

function parse(text: string, refuse: (why: string, hint: string) => never): HbaLine {
  const tokens = text.match(TOKEN) ?? []
  const [type = '', database, user, ...more] = tokens
  if (!TYPES.includes(type)) {
    refuse('its type is none of PostgreSQL\'s', `Types are: ${TYPES.join(', ')}`)
  }
  const address = type === 'local' ? null : more.shift() ?? ''
  // An address may be followed by its mask.
  const mask = address !== null && isIP(more[0] ?? '') !== 0 ? more.shift() : undefined
  const [method = ''] = more
  if (database === undefined || user === undefined || !METHODS.has(method)) {
    refuse(method === '' ? 'it is not complete' : 'its method is none of PostgreSQL\'s',
      'It reads TYPE DATABASE USER [ADDRESS] METHOD [OPTIONS].')
  }
  if ((method === 'peer' || method === 'ident') && address === null) {
    refuse(`${method} would let in every client as the gateway`, 'Use scram-sha-256.')
  }
  return { type, names: `${database ?? ''} ${user ?? ''}`, method, rest: more.join(' '),
    address: mask === undefined ? address : `${address ?? ''}/${mask}` }
}

function holdsForAll(line: HbaLine, clients: GatewayClients): boolean {
  if (line.address === null) return true
  if (line.method === 'peer' || line.method === 'ident' || line.method === 'gss') return false
  return encryptionFits(line.type, clients.tls) && addressFits(line.address, clients.host)
}

function encryptionFits(type: string, tls: GatewayClients['tls']): boolean {
  switch (type) {
    case 'host': case 'hostnogssenc': return true
    case 'hostssl': return tls === 'required'
    case 'hostnossl': return tls === 'none'
    default: return false
  }
}

function addressFits(address: string, host: string): boolean {
  if (address === 'all') return true
  if (isIP(host) === 4 && ['0.0.0.0/0', '0.0.0.0/0.0.0.0'].includes(address)) return true
  if (isIP(host) === 6 && host !== '::' && address === '::/0') return true
  return LOOPBACK.includes(host) && ['samehost', 'samenet', 'localhost', '127.0.0.0/8',
    '127.0.0.1/32', '127.0.0.1/255.255.255.255', '::1/128'].includes(address)
}
