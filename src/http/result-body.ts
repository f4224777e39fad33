/**
 * ResultBody: an answer as a stream of bytes in one of the formats.
 *
 * P1  Rows are encoded as they are read: what is held is one batch.
 * P2  The body of a JSON answer ends with its closing brace only if every row was written.
 */
import { formatLsn } from '../base/lsn.ts'
import { ArrowEncoder } from '../query/arrow-encoder.ts'
import { csvHeader, csvLine } from '../query/csv-encoder.ts'
import { JsonEncoder } from '../query/json-encoder.ts'
import type { SqlAnswer } from './sql-answer.ts'
import type { ResultFormat } from './sql-request.ts'

export function resultBody(
  answer: SqlAnswer, format: ResultFormat, startedAt: number,
): AsyncGenerator<Uint8Array> {
  switch (format) {
    case 'json': return jsonBody(answer, startedAt)
    case 'ndjson': return lines(answer, null, rowLines(answer))
    case 'csv': return lines(answer, csvHeader(answer.columns), csvLine)
    case 'arrow': return arrowBody(answer)
  }
}

async function * jsonBody(answer: SqlAnswer, startedAt: number): AsyncGenerator<Uint8Array> {
  const encoder = new JsonEncoder(answer.columns)
  const columns = answer.columns.map(({ name, typeName }) => ({ name, type: typeName }))
  yield Buffer.from(`{"columns":${JSON.stringify(columns)},"rows":[`)
  let first = true
  for await (const rows of answer.batches) {
    if (rows.length === 0) continue
    const text = rows.map((row) => encoder.array(row)).join(',\n')
    yield Buffer.from(first ? `\n${text}` : `,\n${text}`)
    first = false
  }
  const readLsn = answer.readLsn === null ? null : formatLsn(answer.readLsn)
  const elapsedMs = Math.round((performance.now() - startedAt) * 1000) / 1000
  const rest = { route: answer.route, readLsn, elapsedMs }
  yield Buffer.from(`\n],${JSON.stringify(rest).slice(1)}\n`)
}

function rowLines(answer: SqlAnswer): (row: readonly (string | null)[]) => string {
  const encoder = new JsonEncoder(answer.columns)
  return (row) => `${encoder.object(row)}\n`
}

async function * lines(
  answer: SqlAnswer, header: string | null, line: (row: readonly (string | null)[]) => string,
): AsyncGenerator<Uint8Array> {
  if (header !== null) yield Buffer.from(header)
  for await (const rows of answer.batches) {
    if (rows.length > 0) yield Buffer.from(rows.map(line).join(''))
  }
}

async function * arrowBody(answer: SqlAnswer): AsyncGenerator<Uint8Array> {
  const encoder = new ArrowEncoder(answer.columns)
  yield encoder.header()
  for await (const rows of answer.batches) if (rows.length > 0) yield encoder.batch(rows)
  yield encoder.end()
}
