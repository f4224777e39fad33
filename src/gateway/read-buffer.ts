/**
 * ReadBuffer: the memory that every socket of the process is read into, one read at a time.
 *
 * R1  What a view shows is valid until the next read; who keeps bytes copies them.
 */

/** Of one read; COPY fills it, most messages have some hundred bytes. */
export const READ_BYTES_MAX = 64 * 1024
export const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES_MAX)

/** The first bytes of READ_BUFFER, by how many: most reads need no new view. */
const VIEWS = Array.from({ length: 1024 }, (_, bytes) => READ_BUFFER.subarray(0, bytes))

/** What a read left in READ_BUFFER. */
export function firstBytes(bytes: number): Buffer {
  return (bytes < VIEWS.length ? VIEWS[bytes] : undefined) ?? READ_BUFFER.subarray(0, bytes)
}
