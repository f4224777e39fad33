/**
 * TextRows: a result as PostgreSQL's text, whichever engine answered.
 *
 * Both engines' answers come to this form, so that each output format is written once.
 */
export type TextRow = readonly (string | null)[]

export interface ResultColumn {
  readonly name: string
  readonly typeOid: number
  readonly typmod: number
  /** As pg_typeof() names it. */
  readonly typeName: string
}

const DATA_ROW_HEADER = 7

/** The rows of DataRow messages whose columns are all in text format, UTF-8. */
export function decodeDataRows(messages: Buffer): TextRow[] {
  const rows: TextRow[] = []
  for (let at = 0; at < messages.length;) {
    const end = at + 1 + messages.readInt32BE(at + 1)
    const row: (string | null)[] = []
    for (let cell = at + DATA_ROW_HEADER; cell < end;) {
      const length = messages.readInt32BE(cell)
      cell += 4
      row.push(length < 0 ? null : messages.toString('utf8', cell, cell + length))
      if (length > 0) cell += length
    }
    rows.push(row)
    at = end
  }
  return rows
}
