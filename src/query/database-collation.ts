/**
 * What the mirrored database's default collation does to the order and the case of text.
 *
 * Source: pg_database.datlocprovider, datcollate, datlocale (17 and later).
 */
import type { RouterContext } from '../router/plan.ts'
import type { RunSql } from './zone-offsets.ts'

const BYTE_ORDER_LOCALES = new Set(['C', 'POSIX', 'C.UTF-8', 'C.UTF8', 'C.utf8'])

export async function databaseCollation(run: RunSql): Promise<RouterContext['collation']> {
  const [row] = await run(`select datlocprovider::text, datcollate::text,
      coalesce(to_jsonb(d) ->> 'datlocale', '')
    from pg_catalog.pg_database d where datname = current_database()`, [])
  const [provider, collate, locale] = row ?? []
  // Every locale of the builtin provider orders by code point.
  if (provider === 'b') return { binaryOrder: true, unicodeCase: locale === 'C.UTF-8' }
  const binaryOrder = provider === 'c' && BYTE_ORDER_LOCALES.has(collate ?? '')
  return { binaryOrder, unicodeCase: false }
}
