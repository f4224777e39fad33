/**
 * PersistentMap: an immutable map from text, whose changed copies share what did not change.
 *
 * P1  `with` and `without` cost O(log n) and leave the old map as it was: a snapshot of a
 *     million files makes the next one for the price of what the commit holds.
 * P2  The order of iteration is that of the keys' hashes: the same for the same keys.
 *
 * Source: Bagwell, "Ideal Hash Trees" (2001); 5 bits of a 32-bit hash a level.
 */
interface Leaf<V> { readonly hash: number; readonly key: string; value: V }
/** Several keys of one hash. */
interface Bucket<V> { readonly hash: number; readonly leaves: Leaf<V>[] }
interface Branch<V> { bitmap: number; readonly children: Node<V>[]; readonly owner: object | null }
type Node<V> = Leaf<V> | Bucket<V> | Branch<V>

const BITS = 5
const MASK = 31

export class PersistentMap<V> {
  readonly size: number
  readonly #root: Branch<V>

  private constructor(root: Branch<V>, size: number) {
    this.#root = root
    this.size = size
  }

  static empty<V>(): PersistentMap<V> {
    return new PersistentMap<V>({ bitmap: 0, children: [], owner: null }, 0)
  }

  get(key: string): V | undefined {
    return valueIn(this.#root, key)
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  /** Many changes at once, in place where nothing is shared. */
  edit(): MapEditor<V> {
    return new MapEditor(this.#root, this.size,
      (root, size) => new PersistentMap(root, size))
  }

  with(key: string, value: V): PersistentMap<V> {
    const editor = this.edit()
    editor.set(key, value)
    return editor.done()
  }

  without(key: string): PersistentMap<V> {
    const editor = this.edit()
    editor.delete(key)
    return editor.done()
  }

  *values(): Generator<V> {
    const pending: Node<V>[] = [this.#root]
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if ('bitmap' in node) {
        for (let at = node.children.length - 1; at >= 0; at--) {
          const child = node.children[at]
          if (child !== undefined) pending.push(child)
        }
      } else if ('leaves' in node) {
        for (const leaf of node.leaves) yield leaf.value
      } else {
        yield node.value
      }
    }
  }
}

/** Owns the nodes it has copied, so a bulk load copies each at most once. */
export class MapEditor<V> {
  #root: Branch<V>
  #size: number
  readonly #owner = {}
  readonly #finish: (root: Branch<V>, size: number) => PersistentMap<V>

  constructor(root: Branch<V>, size: number,
    finish: (root: Branch<V>, size: number) => PersistentMap<V>) {
    this.#root = root
    this.#size = size
    this.#finish = finish
  }

  get(key: string): V | undefined {
    return valueIn(this.#root, key)
  }

  set(key: string, value: V): void {
    this.#root = this.#insert(this.#root, 0, { hash: hashOf(key), key, value })
  }

  delete(key: string): void {
    this.#root = this.#remove(this.#root, 0, hashOf(key), key) ?? this.#branch(0, [])
  }

  /** The map so far; the editor must not be used again. */
  done(): PersistentMap<V> {
    return this.#finish(this.#root, this.#size)
  }

  #branch(bitmap: number, children: Node<V>[]): Branch<V> {
    return { bitmap, children, owner: this.#owner }
  }

  #own(node: Branch<V>): Branch<V> {
    return node.owner === this.#owner ? node : this.#branch(node.bitmap, [...node.children])
  }

  #insert(node: Branch<V>, shift: number, leaf: Leaf<V>): Branch<V> {
    const own = this.#own(node)
    const bit = 1 << (leaf.hash >>> shift & MASK)
    const at = placeOf(own.bitmap, bit)
    if ((own.bitmap & bit) === 0) {
      own.bitmap |= bit
      own.children.splice(at, 0, leaf)
      this.#size++
      return own
    }
    const child = own.children[at]
    if (child !== undefined) own.children[at] = this.#merge(child, shift + BITS, leaf)
    return own
  }

  #merge(child: Node<V>, shift: number, leaf: Leaf<V>): Node<V> {
    if ('bitmap' in child) return this.#insert(child, shift, leaf)
    if (child.hash !== leaf.hash) return this.#split(child, shift, leaf)
    const old = 'leaves' in child ? child.leaves : [child]
    const others = old.filter((other) => other.key !== leaf.key)
    if (others.length === old.length) this.#size++
    return others.length === 0 ? leaf : { hash: leaf.hash, leaves: [...others, leaf] }
  }

  #split(old: Leaf<V> | Bucket<V>, shift: number, leaf: Leaf<V>): Branch<V> {
    const bit = 1 << (old.hash >>> shift & MASK)
    return this.#insert(this.#branch(bit, [old]), shift, leaf)
  }

  /** The node without the key; null when nothing is left of it. */
  #remove(node: Branch<V>, shift: number, hash: number, key: string): Branch<V> | null {
    const bit = 1 << (hash >>> shift & MASK)
    if ((node.bitmap & bit) === 0) return node
    const at = placeOf(node.bitmap, bit)
    const child = node.children[at]
    if (child === undefined) return node
    const rest = this.#removeFrom(child, shift + BITS, hash, key)
    if (rest === child) return node
    const own = this.#own(node)
    if (rest !== null) {
      own.children[at] = rest
      return own
    }
    own.bitmap &= ~bit
    own.children.splice(at, 1)
    return own.children.length === 0 ? null : own
  }

  #removeFrom(child: Node<V>, shift: number, hash: number, key: string): Node<V> | null {
    if ('bitmap' in child) return this.#remove(child, shift, hash, key)
    if ('leaves' in child) {
      const others = child.leaves.filter((leaf) => leaf.key !== key)
      if (others.length === child.leaves.length) return child
      this.#size--
      const [only] = others
      return others.length === 1 && only !== undefined ? only : { hash, leaves: others }
    }
    if (child.key !== key) return child
    this.#size--
    return null
  }
}

function valueIn<V>(root: Branch<V>, key: string): V | undefined {
  const hash = hashOf(key)
  let node: Node<V> = root
  for (let shift = 0; 'bitmap' in node; shift += BITS) {
    const bit = 1 << (hash >>> shift & MASK)
    if ((node.bitmap & bit) === 0) return undefined
    const child: Node<V> | undefined = node.children[placeOf(node.bitmap, bit)]
    if (child === undefined) return undefined
    node = child
  }
  if ('leaves' in node) return node.leaves.find((leaf) => leaf.key === key)?.value
  return node.key === key ? node.value : undefined
}

function placeOf(bitmap: number, bit: number): number {
  let rest = bitmap & (bit - 1)
  rest -= rest >>> 1 & 0x55555555
  rest = (rest & 0x33333333) + (rest >>> 2 & 0x33333333)
  return Math.imul(rest + (rest >>> 4) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** FNV-1a over code units, then a final mix so that low bits depend on all of them. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  }
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b)
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35)
  return (hash ^ hash >>> 16) >>> 0
}
