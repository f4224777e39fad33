/**
 * Whether a copy's snapshot already shows a transaction of the stream.
 *
 * Q1  The rule is PostgreSQL's own for pg_snapshot: below xmin, or below xmax and not in
 *     progress (src/backend/utils/adt/xid8funcs.c, is_visible_fxid).
 */
import type { CopyVisibility } from '../mirror/replication.ts'

const EPOCH = 1n << 32n

/** `xid`: 32 bits, as pgoutput has it; its epoch is the one that brings it nearest to xmax. */
export function isVisible(visibility: CopyVisibility, xid: number): boolean {
  const full = fullXid(xid, visibility.xmax)
  if (full < visibility.xmin) return true
  return full < visibility.xmax && !visibility.inProgress.has(full)
}

export function fullXid(xid: number, near: bigint): bigint {
  const candidate = (near & ~(EPOCH - 1n)) | BigInt(xid)
  if (candidate - near > EPOCH / 2n) return candidate - EPOCH
  if (near - candidate > EPOCH / 2n) return candidate + EPOCH
  return candidate
}
