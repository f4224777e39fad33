/**
 * Lsn: a byte position in PostgreSQL's write-ahead log, unsigned 64 bit.
 *
 * L1  An Lsn is made only here, so a bare bigint cannot be mistaken for one.
 * L2  Text order is never used: `0/A` < `0/10` only as numbers.
 */
declare const lsnTag: unique symbol
export type Lsn = bigint & { readonly [lsnTag]: true }

const MAX = (1n << 64n) - 1n

export const LSN_ZERO = 0n as Lsn

/** Parses PostgreSQL's `X/Y` form. Throws RangeError on anything else. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
  if (match === null) throw new RangeError('an LSN reads X/Y in hexadecimal')
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn
}

/** The wire form: 64 bits, big-endian in pgoutput; a number in Delta's txn action. */
export function lsnFromBigint(value: bigint): Lsn {
  if (value < 0n || value > MAX) throw new RangeError('an LSN is an unsigned 64-bit number')
  return value as Lsn
}

export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase()
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b
}
