/**
 * SqlClient: node-postgres with every value as PostgreSQL's text, so that answers can be
 * compared as text whoever gave them.
 */
import pg from 'pg'

export interface Address {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string
}

/** Rows as arrays of text. `columns`: names with type OIDs, as RowDescription has them. */
export interface TextResult {
  readonly columns: readonly { readonly name: string; readonly typeOid: number }[]
  readonly rows: readonly (readonly (string | null)[])[]
}

const TEXT_ONLY = { getTypeParser: () => (value: string | Buffer) => String(value) }

export class SqlClient implements AsyncDisposable {
  readonly client: pg.Client

  private constructor(client: pg.Client) {
    this.client = client
  }

  static async connect(address: Address, options: pg.ClientConfig = {}): Promise<SqlClient> {
    const client = new pg.Client({ ...address, types: TEXT_ONLY, ...options })
    // A connection that a test kills must not end the whole run: the next query says so.
    client.on('error', () => {})
    await client.connect()
    return new SqlClient(client)
  }

  async query(sql: string, params?: readonly unknown[]): Promise<TextResult> {
    const config = { text: sql, rowMode: 'array' as const }
    const result = await this.client.query<(string | null)[]>(
      params === undefined ? config : { ...config, values: [...params] })
    // Several statements in one text: node-postgres answers with a list, typed as one.
    const last = Array.isArray(result) ? (result as typeof result[]).at(-1) ?? result : result
    return {
      columns: last.fields.map((field) => ({ name: field.name, typeOid: field.dataTypeID })),
      rows: last.rows,
    }
  }

  /** The first value of the first row. */
  async value(sql: string, params?: readonly unknown[]): Promise<string | null> {
    return (await this.query(sql, params)).rows[0]?.[0] ?? null
  }

  /** SQLSTATE of the error that `sql` must raise; throws when it raises none. */
  async refusal(sql: string): Promise<{ readonly sqlState: string; readonly message: string }> {
    try {
      await this.client.query(sql)
    } catch (error) {
      if (error instanceof pg.DatabaseError) {
        return { sqlState: error.code ?? '', message: error.message }
      }
      throw error
    }
    throw new Error('the statement was expected to be refused')
  }

  async end(): Promise<void> {
    await this.client.end().catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}
