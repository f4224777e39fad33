/**
 * NodeTree: PostgreSQL's text form of an analysed query, read into generic nodes.
 *
 * N1  Fields are found by name; what a reader does not ask for has no effect.
 * N2  A name chosen by a user is one token whatever it contains, or the tree is refused:
 *     no alias can add, hide or change a node.
 * N3  Size, depth and number of nodes are bounded; anything malformed throws TreeSyntaxError.
 *
 * Source: PostgreSQL 16–18, nodes/outfuncs.c (outToken, outDatum), nodes/read.c
 * (pg_strtok), nodes/print.c (format_node_dump, which wraps lines at 78 bytes).
 */

/** A token is a string; `<>` is null; `(…)` an array; `len [ bytes ]` a Buffer. */
export type TreeValue = string | null | TreeNode | Buffer | readonly TreeValue[]

export function isTreeList(value: TreeValue): value is readonly TreeValue[] {
  return Array.isArray(value)
}

export class TreeSyntaxError extends Error {
  override readonly name = 'TreeSyntaxError'
}

const TREE_LENGTH_MAX = 8 * 1024 * 1024
const TREE_DEPTH_MAX = 400
const TREE_NODES_MAX = 200_000
/** What a by-value Datum prints, however short its type. */
const DATUM_BYTES = 8
/** 78 bytes of UTF-8 in characters, at the least. */
const CUT_LENGTH_MIN = 19
const INTEGER = /^-?\d{1,10}$/

export class TreeNode {
  readonly tag: string
  readonly fields: ReadonlyMap<string, TreeValue>

  constructor(tag: string, fields: ReadonlyMap<string, TreeValue>) {
    this.tag = tag
    this.fields = fields
  }

  /** The field's value; absent and `<>` are both null. */
  get(field: string): TreeValue {
    return this.fields.get(field) ?? null
  }

  node(field: string): TreeNode {
    const value = this.get(field)
    if (value instanceof TreeNode) return value
    throw new TreeSyntaxError(`${this.tag} has no node in ${field}`)
  }

  nodeOrNull(field: string): TreeNode | null {
    const value = this.get(field)
    return value === null ? null : this.node(field)
  }

  /** A list of nodes; `<>` is the empty list. */
  nodes(field: string): readonly TreeNode[] {
    const value = this.get(field)
    if (value === null) return []
    if (isTreeList(value) && value.every((item) => item instanceof TreeNode)) return value
    throw new TreeSyntaxError(`${this.tag} has no list of nodes in ${field}`)
  }

  /** A list of integers: `(i 1 2)`, `(o 25 1700)`, `(b 8 9)`. */
  integers(field: string): readonly number[] {
    const value = this.get(field)
    if (value === null) return []
    if (!isTreeList(value)) throw new TreeSyntaxError(`${this.tag} has no list in ${field}`)
    return value.map((item) => this.#integer(item, field))
  }

  int(field: string): number {
    return this.#integer(this.get(field), field)
  }

  bool(field: string): boolean {
    const value = this.get(field)
    if (value === 'true') return true
    if (value === 'false') return false
    throw new TreeSyntaxError(`${this.tag} has no boolean in ${field}`)
  }

  text(field: string): string {
    const value = this.get(field)
    if (typeof value === 'string') return value
    throw new TreeSyntaxError(`${this.tag} has no text in ${field}`)
  }

  #integer(value: TreeValue, field: string): number {
    if (typeof value !== 'string' || !INTEGER.test(value)) {
      throw new TreeSyntaxError(`${this.tag} has no integer in ${field}`)
    }
    return Number(value)
  }
}

/** Parses the text of one tree, usually a list of one QUERY. */
export function parseNodeTree(text: string): TreeValue {
  if (text.length > TREE_LENGTH_MAX) throw new TreeSyntaxError('the tree is too long')
  // debug_pretty_print's format indents, and cuts numbers anywhere.
  if (text.includes('\n ')) throw new TreeSyntaxError('the tree is pretty-printed')
  refuseCutTokens(text)
  return new TreeParser(text).parse()
}

/**
 * N2: a run of 78 bytes without a space is cut with nothing removed, so that half a name
 * would read as a token of its own. Such a line holds no space after its first byte.
 */
function refuseCutTokens(text: string): void {
  for (let start = 0; ;) {
    const end = text.indexOf('\n', start)
    if (end < 0) return
    if (end - start >= CUT_LENGTH_MIN) {
      const space = text.lastIndexOf(' ', end - 1)
      if (space <= start && text.slice(end).trim() !== '') {
        throw new TreeSyntaxError('a token of the tree is cut by a line break')
      }
    }
    start = end + 1
  }
}

const SPACE = 32, NEWLINE = 10, TAB = 9, BACKSLASH = 92
const OPEN_LIST = 40, CLOSE_LIST = 41, OPEN_NODE = 123, CLOSE_NODE = 125, COLON = 58

class TreeParser {
  readonly #text: string
  #at = 0
  #nodes = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): TreeValue {
    const value = this.#value(0)
    this.#skipSpace()
    if (this.#at !== this.#text.length) throw new TreeSyntaxError('text after the tree')
    return value
  }

  #value(depth: number): TreeValue {
    if (depth > TREE_DEPTH_MAX) throw new TreeSyntaxError('the tree is too deep')
    this.#skipSpace()
    const code = this.#text.charCodeAt(this.#at)
    if (code === OPEN_NODE) return this.#node(depth)
    if (code === OPEN_LIST) return this.#list(depth)
    const token = this.#token()
    return token === '<>' ? null : token
  }

  #node(depth: number): TreeNode {
    if (++this.#nodes > TREE_NODES_MAX) throw new TreeSyntaxError('the tree is too large')
    this.#at++
    const tag = this.#token()
    const fields = new Map<string, TreeValue>()
    for (;;) {
      this.#skipSpace()
      const code = this.#text.charCodeAt(this.#at)
      if (code === CLOSE_NODE) { this.#at++; return new TreeNode(tag, fields) }
      if (code !== COLON) throw new TreeSyntaxError(`${tag} has a value without a field`)
      const field = this.#token().slice(1)
      if (fields.has(field)) throw new TreeSyntaxError(`${tag} has ${field} twice`)
      fields.set(field, field === 'constvalue' ? this.#datum() : this.#value(depth + 1))
    }
  }

  #list(depth: number): readonly TreeValue[] {
    this.#at++
    const items: TreeValue[] = []
    for (;;) {
      this.#skipSpace()
      if (this.#text.charCodeAt(this.#at) === CLOSE_LIST) { this.#at++; break }
      items.push(this.#value(depth + 1))
    }
    const marker = items[0]
    // Strings keep their quotes, so that a bare letter can only be the kind of the list.
    if (marker === 'i' || marker === 'o' || marker === 'b' || marker === 'x') items.shift()
    return items
  }

  /** `len [ signed bytes ]`; by-value types print a whole Datum whatever `len` says. */
  #datum(): Buffer | null {
    this.#skipSpace()
    const length = this.#token()
    if (length === '<>') return null
    this.#skipSpace()
    if (this.#token() !== '[') throw new TreeSyntaxError('a constant without its bytes')
    const bytes: number[] = []
    for (;;) {
      this.#skipSpace()
      const token = this.#token()
      if (token === ']') break
      const byte = Number(token)
      if (!INTEGER.test(token) || byte < -128 || byte > 255) {
        throw new TreeSyntaxError('a constant holds what is no byte')
      }
      bytes.push(byte & 0xff)
    }
    if (bytes.length !== Number(length) && bytes.length !== DATUM_BYTES) {
      throw new TreeSyntaxError('a constant has another length than it says')
    }
    return Buffer.from(bytes)
  }

  /** Ends before unescaped white space or a bracket; escapes stay, they carry no meaning. */
  #token(): string {
    const text = this.#text, start = this.#at
    let at = start
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === BACKSLASH) { at++; continue }
      if (code === SPACE || code === NEWLINE || code === TAB || code === OPEN_LIST ||
        code === CLOSE_LIST || code === OPEN_NODE || code === CLOSE_NODE) break
    }
    if (at === start || at > text.length) throw new TreeSyntaxError('the tree ends too early')
    this.#at = at
    return text.slice(start, at)
  }

  #skipSpace(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== SPACE && code !== NEWLINE && code !== TAB) return
    }
  }
}
