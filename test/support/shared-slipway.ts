/**
 * The instance that all black-box tests share (test/support/global-setup.ts), and a schema of a
 * test file's own in it, made anew.
 */
import { inject } from 'vitest'
import { mirrored, tableFolder } from './mirror.ts'
import { agreement, compareTable, type Comparison, type Reader } from './readers.ts'
import type { SlipwayAddress } from './slipway.ts'
import { SqlClient } from './sql-client.ts'

export class SharedSchema {
  readonly slipway: SlipwayAddress
  readonly name: string

  private constructor(slipway: SlipwayAddress, name: string) {
    this.slipway = slipway
    this.name = name
  }

  static async create(name: string): Promise<SharedSchema> {
    const schema = new SharedSchema(inject('slipway'), name)
    await using client = await schema.connect()
    await client.query(`DROP SCHEMA IF EXISTS ${name} CASCADE`)
    await client.query(`CREATE SCHEMA ${name}`)
    return schema
  }

  /** A connection whose search_path is this schema, from its startup packet on. */
  connect(options: Parameters<typeof SqlClient.connect>[1] = {}): Promise<SqlClient> {
    return SqlClient.connect(this.slipway.address,
      { options: `-c search_path=${this.name},public`, ...options })
  }

  mirrored(client: SqlClient, tables: readonly string[], withinMs = 60_000): Promise<void> {
    return mirrored(client, tables, { schema: this.name, withinMs })
  }

  folder(table: string): string {
    return tableFolder(this.slipway, table, this.name)
  }

  /** Flushes, then asks stock readers; `expected` is what a test compares the answer with. */
  async compare(
    client: SqlClient, table: string, readers?: readonly Reader[],
  ): Promise<{ found: Comparison; expected: Comparison }> {
    await client.query('SELECT slipway.flush()')
    const rows = await client.value(`SELECT count(*) FROM ${this.name}."${table}"`)
    const found = await compareTable(inject('readers'), {
      address: this.slipway.address, table: `${this.name}."${table}"`, path: this.folder(table),
      ...(readers === undefined ? {} : { readers }),
    })
    return { found, expected: agreement(Number(rows), readers) }
  }
}
