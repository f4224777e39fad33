/**
 * CsvEncoder: RFC 4180 with PostgreSQL's conventions: NULL is empty, the empty string "".
 */
import type { ResultColumn, TextRow } from './text-rows.ts'

const NEEDS_QUOTES = /[",\r\n]|^$|^\\\.$/

export function csvHeader(columns: readonly ResultColumn[]): string {
  return csvLine(columns.map((column) => column.name))
}

export function csvLine(row: TextRow): string {
  return `${row.map((text) => text === null ? '' : csvField(text)).join(',')}\r\n`
}

function csvField(text: string): string {
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
