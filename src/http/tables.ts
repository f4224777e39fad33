/**
 * Tables: slipway.tables over HTTP, as the request's role may see it.
 */
import { SlipwayError } from '../base/errors.ts'
import type { RoleSession } from './role-session.ts'

export interface TableSelection {
  readonly schema: string
  readonly name: string
}

type TableRow = Readonly<Record<string, unknown>>

/** All rows, or the one of `selection`. Throws 'not-found'. */
export async function readTables(
  session: RoleSession, selection: TableSelection | null,
): Promise<TableRow | { readonly tables: readonly TableRow[] }> {
  // to_jsonb keeps every column under its own name and type, whatever the view has.
  const { rows } = await session.client.query<{ readonly row: TableRow }>(
    'select to_jsonb(t) as row from slipway.tables t order by 1')
  const tables = rows.map(({ row }) => row)
  if (selection === null) return { tables }
  const found = tables.find((table) =>
    table['schema'] === selection.schema && table['name'] === selection.name)
  if (found === undefined) {
    throw new SlipwayError('not-found', 'there is no such table in slipway.tables', {
      hint: 'Ask for /v1/tables/{schema}.{table}; /v1/tables lists them all.',
    })
  }
  return found
}
