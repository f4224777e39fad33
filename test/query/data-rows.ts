/** What a PostgreSQL client would read: DataRow messages and raw results, as buffers. */
import type pg from 'pg'

export type RawRow = readonly (Buffer | null)[]

export function readDataRows(bytes: Buffer): RawRow[] {
  const rows: RawRow[] = []
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== 0x44) throw new Error('not a DataRow message')
    const end = at + 1 + bytes.readInt32BE(at + 1)
    const cells: (Buffer | null)[] = []
    let cell = at + 7
    for (let left = bytes.readInt16BE(at + 5); left > 0; left--) {
      const length = bytes.readInt32BE(cell)
      cell += 4
      cells.push(length < 0 ? null : bytes.subarray(cell, cell + length))
      if (length > 0) cell += length
    }
    if (cell !== end) throw new Error('a DataRow of another length than it says')
    rows.push(cells)
    at = end
  }
  return rows
}

/** PostgreSQL's own text for a result. */
export async function textRows(
  client: pg.Client, sql: string,
): Promise<{ readonly rows: RawRow[]; readonly fields: pg.FieldDef[] }> {
  const result = await client.query({
    text: sql, values: [], rowMode: 'array', queryMode: 'extended',
    types: { getTypeParser: () => (value: string) => value },
  } as pg.QueryArrayConfig)
  const rows = (result.rows as (string | null)[][]).map((row) =>
    row.map((value) => value === null ? null : Buffer.from(value)))
  return { rows, fields: result.fields }
}

/** PostgreSQL's own binary form of column `v`, by its type's send function. */
export async function binaryRows(
  client: pg.Client, sql: string,
): Promise<{ readonly rows: RawRow[]; readonly fields: pg.FieldDef[] }> {
  const { fields } = await textRows(client, sql)
  const send = await textRows(client,
    `select typsend::text from pg_type where oid = ${fields[0]!.dataTypeID}`)
  const { rows } = await textRows(client,
    `select encode(${send.rows[0]![0]!.toString()}(v), 'hex') from (${sql}) x`)
  const cells = rows.map((row) =>
    row.map((cell) => cell === null ? null : Buffer.from(cell.toString(), 'hex')))
  return { rows: cells, fields }
}
