/** SQL text for DuckDB: every name quoted, every literal escaped. */

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

export function listOf(texts: readonly string[]): string {
  return `[${texts.map(literal).join(', ')}]`
}

/** Names of live and dead tables are ours: letters, digits, underscore. */
export function ownName(name: string): string {
  if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new Error('invariant broken: a name of ours')
  return `"${name}"`
}
