/**
 * JsonEncoder: rows of PostgreSQL's text as JSON values.
 *
 * J1  int8 and numeric are strings, since a JSON number may lose their digits; int2, int4
 *     and finite floats are numbers; NaN and the infinities are strings.
 * J2  json and jsonb are embedded as they are; line breaks in json become blanks, so that a
 *     row stays on its line in NDJSON.
 * J3  One-dimensional arrays of the types that are not opaque are JSON arrays; everything
 *     else is a string with PostgreSQL's text.
 */
import { parseArrayText } from './array-text.ts'
import { elementOf, PG } from './pg-types.ts'
import type { ResultColumn, TextRow } from './text-rows.ts'

type JsonCell = (text: string) => string

export class JsonEncoder {
  readonly #cells: readonly JsonCell[]
  readonly #names: readonly string[]

  constructor(columns: readonly ResultColumn[]) {
    this.#cells = columns.map((column) => cellEncoder(column.typeOid))
    this.#names = columns.map((column) => JSON.stringify(column.name))
  }

  /** `[1,"a",null]` */
  array(row: TextRow): string {
    return `[${this.#encode(row).join(',')}]`
  }

  /** `{"id":1,"name":"a"}`; of columns with the same name the last one counts for readers. */
  object(row: TextRow): string {
    const values = this.#encode(row)
    return `{${this.#names.map((name, index) => `${name}:${values[index]}`).join(',')}}`
  }

  #encode(row: TextRow): string[] {
    return row.map((text, index) => text === null ? 'null' : this.#cells[index]!(text))
  }
}

function cellEncoder(typeOid: number): JsonCell {
  switch (typeOid) {
    case PG.bool: return (text) => text === 't' ? 'true' : 'false'
    case PG.int2: case PG.int4: case PG.oid: return (text) => text
    case PG.float4: case PG.float8: return floatCell
    case PG.json: case PG.jsonb: return (text) => text.replaceAll(/[\r\n]/g, ' ')
    default: {
      const element = elementOf(typeOid)
      return element === null ? (text) => JSON.stringify(text) : arrayCell(cellEncoder(element))
    }
  }
}

/** PostgreSQL's finite float text is JSON's, but for an exponent's plus sign, which is too. */
function floatCell(text: string): string {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0x30 && last <= 0x39 ? text : JSON.stringify(text)
}

function arrayCell(element: JsonCell): JsonCell {
  return (text) => {
    const items = parseArrayText(text)
    if (items === null) return JSON.stringify(text)
    return `[${items.map((item) => item === null ? 'null' : element(item)).join(',')}]`
  }
}
