/**
 * Text tables for terminals: columns aligned, numbers to the right, as psql prints them.
 */
export interface TextTable {
  readonly columns: readonly { readonly name: string; readonly align: 'left' | 'right' }[]
  /** null is shown as an empty cell. */
  readonly rows: readonly (readonly (string | null)[])[]
}

export function formatTextTable(table: TextTable): string {
  const widths = table.columns.map((column, at) => Math.max(
    displayWidth(column.name),
    ...table.rows.map((row) => displayWidth(row[at] ?? '')),
  ))
  const line = (cells: readonly (string | null)[]): string => cells
    .map((cell, at) => pad(cell ?? '', widths[at] ?? 0, table.columns[at]?.align ?? 'left'))
    .join(' | ')
    .trimEnd()
  const rule = widths.map((width) => '-'.repeat(width)).join('-+-')
  return [line(table.columns.map((column) => column.name)), rule, ...table.rows.map(line)]
    .map((text) => `${text}\n`)
    .join('')
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blank = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? blank + text : text + blank
}

function displayWidth(text: string): number {
  return [...text].length
}

/** RFC 4180: quoted where needed, NULL an empty field, "" an empty text. */
export function formatCsv(table: TextTable): string {
  const cell = (value: string | null): string => {
    if (value === null) return ''
    return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
  }
  return [table.columns.map((column) => column.name), ...table.rows]
    .map((row) => row.map(cell).join(',') + '\n')
    .join('')
}
