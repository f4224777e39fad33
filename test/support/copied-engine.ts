/**
 * CopiedEngine: a real DuckDB that holds copies of a PostgreSQL's tables, behind the port that
 * QueryService reads through. For tests of the read path that need no replication.
 */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { SlipwayError } from '../../src/base/errors.ts'
import { oid, type Oid } from '../../src/base/oid.ts'
import { duckdbTypeOf, mirrorTypeOf } from '../../src/mirror/mirror-type.ts'
import { columnAlias, type ColumnSchema, type TableSchema } from '../../src/mirror/table-schema.ts'
import { MACRO_STATEMENTS } from '../../src/router/macros.ts'
import type { ColumnarEngine } from '../../src/query/query-service.ts'
import type { ColumnarRows } from '../../src/query/routed-rows.ts'
import type { RelationRef } from '../../src/router/plan.ts'
import type pg from 'pg'

type Request = Parameters<ColumnarEngine['execute']>[0]

export class CopiedEngine implements ColumnarEngine {
  readonly #instance: DuckDBInstance
  readonly #tables = new Map<Oid, TableSchema>()
  /** Requests so far, newest last. */
  readonly requests: Request[] = []

  private constructor(instance: DuckDBInstance) {
    this.#instance = instance
  }

  static async open(): Promise<CopiedEngine> {
    const instance = await DuckDBInstance.create(':memory:', {
      default_null_order: 'NULLS_LAST_ON_ASC_FIRST_ON_DESC',
    })
    const connection = await instance.connect()
    for (const statement of MACRO_STATEMENTS) await connection.run(statement)
    connection.closeSync()
    return new CopiedEngine(instance)
  }

  /** Copies a table by its text form. */
  async copy(client: pg.Client, name: string): Promise<void> {
    const schema = await describeTable(client, name)
    const columns = schema.columns.map((column) => ({
      name: columnAlias(column.attnum), type: duckdbTypeOf(column.mirror),
    }))
    const { rows } = await client.query<(string | null)[]>({
      text: `select ${schema.columns.map(sentText).join(', ')} from ${name}`, rowMode: 'array',
    })
    const connection = await this.#instance.connect()
    await connection.run("SET TimeZone = 'UTC'")
    await connection.run(`CREATE TABLE t${schema.relid} (
      ${columns.map((column) => `${column.name} ${column.type}`).join(', ')})`)
    const target = schema.columns
      .map((column, index) => readText(column, `$${index + 1}`)).join(', ')
    const insert = await connection.prepare(`INSERT INTO t${schema.relid} SELECT ${target}`)
    await connection.run('BEGIN')
    for (const row of rows) {
      row.forEach((value, index) => {
        if (value === null) insert.bindNull(index + 1)
        else insert.bindVarchar(index + 1, value)
      })
      await insert.run()
    }
    await connection.run('COMMIT')
    connection.closeSync()
    this.#tables.set(schema.relid, schema)
  }

  /** Changes the copies, so that a test sees which engine answered. */
  async change(sql: string): Promise<void> {
    const connection = await this.#instance.connect()
    await connection.run(sql)
    connection.closeSync()
  }

  schema(relid: Oid): TableSchema | null {
    return this.#tables.get(relid) ?? null
  }

  refusal(): string {
    return 'the table is not mirrored'
  }

  async execute(request: Request): Promise<ColumnarRows> {
    this.requests.push(request)
    const sql = request.parts.map((part) =>
      typeof part === 'string' ? part : relationSql(part)).join('')
    const connection = await this.#instance.connect()
    const interrupt = (): void => connection.interrupt()
    request.signal.addEventListener('abort', interrupt)
    const release = (): void => {
      request.signal.removeEventListener('abort', interrupt)
      connection.closeSync()
    }
    try {
      await connection.run(`SET TimeZone = '${request.timeZone}'`)
      await connection.run('BEGIN')
      const result = await connection.stream(sql)
      return {
        readLsn: request.readLsn, waitedMs: 0, sql,
        scan: { filesRead: 0, filesPruned: 0, tailRows: 0 },
        columnTypes: result.columnTypes(), chunks: chunksOf(connection, result),
        [Symbol.asyncDispose]: () => { release(); return Promise.resolve() },
      }
    } catch (error) {
      release()
      throw error
    }
  }
}

async function * chunksOf(
  connection: DuckDBConnection, result: Awaited<ReturnType<DuckDBConnection['stream']>>,
): ColumnarRows['chunks'] {
  for (;;) {
    const chunk = await result.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) break
    yield chunk
  }
  // A stream that fails looks like one that ends: the transaction tells them apart.
  await connection.run('SELECT 1')
}

/** A column as text that DuckDB can be told to read exactly. */
function sentText({ name, mirror }: ColumnSchema): string {
  if (mirror.kind === 'bytea') return `encode("${name}", 'hex')`
  if (mirror.kind === 'array') return `to_json("${name}")::text`
  return mirror.kind === 'timestamptz' ? `("${name}" at time zone 'UTC')::text` : `"${name}"::text`
}

function readText({ mirror }: ColumnSchema, parameter: string): string {
  const type = duckdbTypeOf(mirror)
  if (mirror.kind === 'bytea') return `from_hex(${parameter}::VARCHAR)`
  if (mirror.kind === 'array') {
    return `from_json(${parameter}::JSON, '["${duckdbTypeOf(mirror.element)}"]')`
  }
  return `CAST(${parameter}::VARCHAR AS ${type})`
}

function relationSql(relation: RelationRef): string {
  const columns = relation.columns.length === 0 ? '0 AS c0'
    : relation.columns.map(columnAlias).join(', ')
  return `(SELECT ${columns} FROM t${relation.relid})`
}

async function describeTable(client: pg.Client, name: string): Promise<TableSchema> {
  const { rows } = await client.query<{
    readonly relid: number; readonly attnum: number; readonly name: string
    readonly type: number; readonly typmod: number; readonly element: number
    readonly required: boolean
  }>(`select attrelid::int as relid, attnum, attname as name, atttypid::int as type,
      atttypmod as typmod, case when typcategory = 'A' then typelem::int else 0 end as element,
      attnotnull as required
    from pg_attribute join pg_type t on t.oid = atttypid
    where attrelid = $1::regclass and attnum > 0 order by attnum`, [name])
  const [first] = rows
  if (first === undefined) throw new SlipwayError('not-found', 'no such table')
  return {
    relid: oid(first.relid), schema: 'public', name, primaryKey: [1],
    columns: rows.map((row) => ({
      attnum: row.attnum, name: row.name, typeOid: oid(row.type), typmod: row.typmod,
      notNull: row.required,
      mirror: mirrorTypeOf({ typeOid: oid(row.type), typmod: row.typmod,
        elementOid: row.element }),
    })),
  }
}
