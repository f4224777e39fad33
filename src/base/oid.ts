/** Oid: PostgreSQL's object identifier, unsigned 32 bit. Made only by `oid`. */
declare const oidTag: unique symbol
export type Oid = number & { readonly [oidTag]: true }

export function oid(value: number): Oid {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new RangeError('an OID is an unsigned 32-bit number')
  }
  return value as Oid
}
