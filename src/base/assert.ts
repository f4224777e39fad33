/**
 * Assertions: a broken invariant stops the operation at once.
 *
 * The message names the invariant; it never carries a row value or a secret.
 */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${invariant}`)
}

/** Closes a switch over a union: the compiler finds the forgotten case. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${typeof value}`)
}
