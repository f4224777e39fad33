/**
 * IdentMap: which roles a name that was proved elsewhere may take, as pg_ident.conf says.
 *
 * I1  Without a map the role is the name. With one, a line of the map must let it in: `/` begins
 *     a regular expression, whose first group is \1 in the role; `all` is any role.
 *
 * Source: PostgreSQL documentation, "User Name Maps"; src/backend/libpq/hba.c.
 */
import { SlipwayError } from '../base/errors.ts'

export interface IdentMap {
  mayBecome(name: string, role: string): boolean
}

export const SAME_NAME: IdentMap = { mayBecome: (name, role) => name === role }

interface Rule {
  readonly matches: (name: string, role: string) => boolean
}

const FIELD = /"(?:[^"]|"")*"|[^\s"#]+/g

/** The lines of `map` among `lines`. Throws 'usage' naming the line that cannot be read. */
export function parseIdentMap(lines: readonly string[], map: string): IdentMap {
  const rules = lines.flatMap((line, index) => {
    if (line.trim().startsWith('#')) return []
    const [name = '', system, role, ...more] = line.match(FIELD) ?? []
    if (system === undefined || role === undefined || more.length > 0) {
      throw refusal(index, 'it reads MAP SYSTEM-NAME ROLE')
    }
    return unquoted(name) === map ? [ruleOf(system, role, index)] : []
  })
  return { mayBecome: (name, role) => rules.some((rule) => rule.matches(name, role)) }
}

function ruleOf(system: string, role: string, index: number): Rule {
  if (role.startsWith('+')) throw refusal(index, 'a group of roles is not known to the gateway')
  const pattern = expression(system, index)
  const target = expression(role, index)
  const wanted = unquoted(role)
  return {
    matches: (name, asked) => {
      const found = pattern === null ? null : pattern.exec(name)
      if (pattern === null ? unquoted(system) !== name : found === null) return false
      if (role === 'all') return true
      if (target !== null) return target.test(asked)
      return wanted.replace('\\1', () => found?.[1] ?? '\\1') === asked
    },
  }
}

/** null: the text is no regular expression. */
function expression(field: string, index: number): RegExp | null {
  const text = unquoted(field)
  if (!text.startsWith('/')) return null
  try {
    return new RegExp(text.slice(1), 'u')
  } catch (error) {
    throw refusal(index, 'its regular expression cannot be read', error)
  }
}

function unquoted(field: string): string {
  return field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field
}

function refusal(index: number, why: string, cause?: unknown): SlipwayError {
  return new SlipwayError('usage', `"postgres.ident" line ${index + 1}: ${why}`, { cause })
}
