/**
 * Differential: one statement in PostgreSQL and, when the router takes it, in DuckDB over the
 * same rows; both answers as PostgreSQL's text.
 */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import pg from 'pg'
import { oid, type Oid } from '../../src/base/oid.ts'
import { LSN_ZERO } from '../../src/base/lsn.ts'
import { duckdbTypeOf, mirrorTypeOf, type MirrorType } from '../../src/mirror/mirror-type.ts'
import type { TableSchema } from '../../src/mirror/table-schema.ts'
import { RoutedRows } from '../../src/query/routed-rows.ts'
import { sessionFormat, type SessionFormat } from '../../src/query/session-format.ts'
import { decodeDataRows, type TextRow } from '../../src/query/text-rows.ts'
import { ZoneCatalog } from '../../src/query/zone-offsets.ts'
import { MACRO_STATEMENTS } from '../../src/router/macros.ts'
import type { ColumnarPlan, RouterContext, RouterParameter } from '../../src/router/plan.ts'
import { routeStatement, type DescribedColumn } from '../../src/router/route.ts'

export interface Analysis {
  readonly tree: string
  readonly columns: readonly DescribedColumn[]
  readonly rows: readonly TextRow[]
}

export type Verdict =
  | { readonly kind: 'equal'; readonly rows: number }
  | { readonly kind: 'kept'; readonly reason: string }
  /** DuckDB or the encoder refused at run time: PostgreSQL would answer. */
  | { readonly kind: 'raised'; readonly message: string }
  | { readonly kind: 'differs'; readonly sql: string; readonly postgres: string
      readonly columnar: string }

const CATALOG_SQL = `
  select c.oid::int, n.nspname, c.relname, a.attnum::int, a.attname, t.oid::int,
         a.atttypmod::int, case when t.typcategory = 'A' then t.typelem::int else 0 end,
         a.attnotnull,
         coalesce((select array_position(i.indkey::int2[], a.attnum) + 1 from pg_index i
                   where i.indrelid = c.oid and i.indisprimary), 0)::int
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
  where c.relkind = 'r' and n.nspname = $1 and a.attnum > 0 and not a.attisdropped
  order by c.oid, a.attnum`

export class Differential {
  readonly client: pg.Client
  readonly duckdb: DuckDBConnection
  readonly tables = new Map<Oid, TableSchema>()
  readonly context: RouterContext
  readonly #session: SessionFormat
  #tree: string | null = null
  #rows: DuckDBConnection

  private constructor(options: {
    readonly client: pg.Client; readonly duckdb: DuckDBConnection
    readonly context: RouterContext; readonly session: SessionFormat
  }) {
    this.client = options.client
    this.duckdb = options.duckdb
    this.#rows = options.duckdb
    this.context = options.context
    this.#session = options.session
    this.client.on('notice', (notice) => {
      if (notice.message === 'rewritten parse tree:') this.#tree ??= notice.detail ?? null
    })
  }

  static async open(client: pg.Client, timeZone: string): Promise<Differential> {
    await client.query(`set timezone = '${timeZone}'; set debug_pretty_print = off`)
    const zones = new ZoneCatalog({ run: async (sql, values) =>
      (await client.query<(string | null)[]>({ text: sql, values: [...values],
        rowMode: 'array' })).rows })
    const session = sessionFormat({ dateStyle: 'ISO, MDY', intervalStyle: 'postgres',
      extraFloatDigits: 1, byteaOutput: 'hex' }, await zones.offsets(timeZone))
    const version = await client.query<{ v: string }>(
      `select current_setting('server_version_num') v`)
    const duckdb = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect()
    await duckdb.run(`SET TimeZone = '${timeZone}'`)
    await duckdb.run(`SET default_null_order = 'NULLS_LAST_ON_ASC_FIRST_ON_DESC'`)
    for (const statement of MACRO_STATEMENTS) await duckdb.run(statement)
    const serverVersion = Math.floor(Number(version.rows[0]?.v) / 10_000)
    return new Differential({ client, duckdb, session, context: {
      timeZone, transactionTimeUs: 0n, serverVersion,
      collation: { binaryOrder: true, unicodeCase: serverVersion >= 17 },
    } })
  }

  /** Copies every table of `schema` into DuckDB, as the mirror holds it. */
  async mirror(schema: string): Promise<void> {
    const { rows } = await this.client.query<CatalogRow>(
      { text: CATALOG_SQL, values: [schema], rowMode: 'array' })
    for (const relid of new Set(rows.map((row) => row[0]))) {
      const table = schemaOf(rows.filter((row) => row[0] === relid))
      this.tables.set(table.relid, table)
      await this.#copy(table)
    }
  }

  async #copy(table: TableSchema): Promise<void> {
    const columns = table.columns.map((column) =>
      `c${column.attnum} ${duckdbTypeOf(column.mirror)}`)
    await this.duckdb.run(`CREATE TABLE r${table.relid} (${columns.join(', ')})`)
    const names = table.columns.map((column) => textOf(column.name, column.mirror))
    const { rows } = await this.client.query<(string | null)[]>({
      text: `select ${names.join(', ')} from ${pg.escapeIdentifier(table.schema)}.` +
        pg.escapeIdentifier(table.name), rowMode: 'array' })
    for (let start = 0; start < rows.length; start += 500) {
      const values = rows.slice(start, start + 500).map((row) => `(${row.map((value, index) =>
        cell(value, table.columns[index]?.mirror)).join(', ')})`)
      await this.duckdb.run(`INSERT INTO r${table.relid} VALUES ${values.join(', ')}`)
    }
  }

  /** Reads what `other` has mirrored. */
  adopt(other: Differential): void {
    this.#rows = other.duckdb
    for (const [relid, table] of other.tables) this.tables.set(relid, table)
  }

  /** Runs the statement in PostgreSQL and keeps the tree that it printed on the way. */
  analyse(sql: string): Promise<Analysis> {
    return this.analysePrepared(sql, [])
  }

  async analysePrepared(sql: string, values: readonly string[]): Promise<Analysis> {
    await this.client.query('set debug_print_rewritten = on; set client_min_messages = log')
    this.#tree = null
    try {
      const result = await this.client.query<(string | null)[]>({
        text: sql, values: [...values], rowMode: 'array', queryMode: 'extended',
        types: { getTypeParser: () => (value: string) => value } } as pg.QueryArrayConfig)
      const columns = result.fields.map((field) => ({ name: field.name,
        typeOid: oid(field.dataTypeID), typmod: field.dataTypeModifier }))
      return { tree: this.#tree ?? '', columns, rows: result.rows }
    } finally {
      await this.client.query('set debug_print_rewritten = off; set client_min_messages = notice')
    }
  }

  route(analysis: Analysis, parameters: readonly RouterParameter[] = []):
  ReturnType<typeof routeStatement> {
    return routeStatement({ ...analysis, parameters, context: this.context,
      table: (relid) => this.tables.get(relid) ?? null })
  }

  async run(plan: ColumnarPlan): Promise<readonly TextRow[]> {
    const sql = sqlOf(plan)
    const result = await this.#rows.stream(sql)
    const rows = await RoutedRows.start({
      plan, session: () => Promise.resolve(this.#session), resultFormats: [], rowsMax: 0,
      deadline: { error: () => null, [Symbol.dispose]: () => {} },
      answer: {
        readLsn: LSN_ZERO, waitedMs: 0, sql, scan: { filesRead: 0, filesPruned: 0, tailRows: 0 },
        columnTypes: result.columnTypes(),
        chunks: (async function * () {
          for (;;) {
            const chunk = await result.fetchChunk()
            if (chunk === null || chunk.rowCount === 0) return
            yield chunk
          }
        })(),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      },
    })
    const found: TextRow[] = []
    for await (const batch of rows.batches()) found.push(...decodeDataRows(batch.bytes))
    return found
  }

  async compare(sql: string): Promise<Verdict> {
    let analysis: Analysis
    try { analysis = await this.analyse(sql) } catch (error) {
      return { kind: 'kept', reason: `PostgreSQL: ${(error as Error).message}` }
    }
    const result = this.route(analysis)
    if (result.kind === 'postgres') return { kind: 'kept', reason: result.reason }
    let rows: readonly TextRow[]
    try { rows = await this.run(result.plan) } catch (error) {
      return { kind: 'raised', message: (error as Error).message }
    }
    const wanted = analysis.rows.map((row) => JSON.stringify(row))
    const found = rows.map((row) => JSON.stringify(row))
    // Without ORDER BY the order is nobody's promise.
    if (!/order\s+by/i.test(sql)) { wanted.sort(); found.sort() }
    if (wanted.join('\n') === found.join('\n')) return { kind: 'equal', rows: rows.length }
    return { kind: 'differs', sql: sqlOf(result.plan), postgres: wanted.join('\n'),
      columnar: found.join('\n') }
  }
}

type CatalogRow = [number, string, string, number, string, number, number, number, boolean, number]

function schemaOf(rows: readonly CatalogRow[]): TableSchema {
  const [first] = rows
  if (first === undefined) throw new Error('a table without columns')
  return {
    relid: oid(first[0]), schema: first[1], name: first[2],
    columns: rows.map((row) => ({
      attnum: row[3], name: row[4], typeOid: oid(row[5]), typmod: row[6], notNull: row[8],
      mirror: mirrorTypeOf({ typeOid: oid(row[5]), typmod: row[6], elementOid: oid(row[7]) }),
    })),
    primaryKey: rows.filter((row) => row[9] > 0).sort((a, b) => a[9] - b[9]).map((row) => row[3]),
  }
}

/** How PostgreSQL writes a column for `cell` to read. */
function textOf(name: string, mirror: MirrorType): string {
  const quoted = pg.escapeIdentifier(name)
  if (mirror.kind === 'array') return `to_json(${quoted})::text`
  if (mirror.kind === 'bpchar') return `rtrim(${quoted}, ' ')`
  if (mirror.kind === 'timestamptz') return `(${quoted} at time zone 'UTC')::text || '+00'`
  return `${quoted}::text`
}

function cell(value: string | null, mirror: MirrorType | undefined): string {
  if (value === null || mirror === undefined) return 'NULL'
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
  if (mirror.kind === 'array') {
    const items = JSON.parse(value) as readonly (string | number | null)[]
    return `CAST([${items.map((item) => item === null ? 'NULL' : quote(String(item)))
      .join(', ')}] AS ${duckdbTypeOf(mirror)})`
  }
  if (mirror.kind === 'bytea') {
    return `CAST(${quote(value.slice(2).replace(/../g, '\\x$&'))} AS BLOB)`
  }
  return `CAST(${quote(value)} AS ${duckdbTypeOf(mirror)})`
}

function sqlOf(plan: ColumnarPlan): string {
  return plan.parts.map((part) => {
    if (typeof part === 'string') return part
    const columns = part.columns.length === 0 ? '1 AS c0'
      : part.columns.map((attnum) => `c${attnum}`).join(', ')
    return `(SELECT ${columns} FROM r${part.relid})`
  }).join('')
}
