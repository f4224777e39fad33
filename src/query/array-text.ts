/**
 * ArrayText: reads array_out's text of a one-dimensional array.
 */

/** null for other dimensions, explicit bounds and anything malformed. */
export function parseArrayText(text: string): (string | null)[] | null {
  if (!text.startsWith('{') || !text.endsWith('}')) return null
  const items: (string | null)[] = []
  const end = text.length - 1
  let at = 1
  while (at < end) {
    const item = text[at] === '"' ? quotedItem(text, at) : bareItem(text, at, end)
    if (item === null) return null
    items.push(item.value)
    at = item.next
    if (at < end && text[at] !== ',') return null
    at++
  }
  return items
}

interface Item {
  readonly value: string | null
  readonly next: number
}

function quotedItem(text: string, from: number): Item | null {
  let value = ''
  for (let at = from + 1; at < text.length; at++) {
    const character = text[at]!
    if (character === '"') return { value, next: at + 1 }
    if (character === '\\') value += text[++at] ?? ''
    else value += character
  }
  return null
}

function bareItem(text: string, from: number, end: number): Item | null {
  if (text[from] === '{') return null
  const comma = text.indexOf(',', from)
  const next = comma < 0 || comma > end ? end : comma
  const value = text.slice(from, next)
  return { value: value === 'NULL' ? null : value, next }
}
