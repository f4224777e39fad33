/**
 * Message codes: the first byte of each message, one table a direction.
 *
 * Source: PostgreSQL documentation, "Message Formats"; src/include/libpq/protocol.h.
 */
export const FRONTEND = {
  bind: 0x42, close: 0x43, copyData: 0x64, copyDone: 0x63, copyFail: 0x66, describe: 0x44,
  execute: 0x45, flush: 0x48, functionCall: 0x46, parse: 0x50, password: 0x70, query: 0x51,
  sync: 0x53, terminate: 0x58,
} as const

export const BACKEND = {
  authentication: 0x52, backendKeyData: 0x4b, bindComplete: 0x32, closeComplete: 0x33,
  commandComplete: 0x43, copyBothResponse: 0x57, copyInResponse: 0x47, copyOutResponse: 0x48,
  dataRow: 0x44, emptyQuery: 0x49, error: 0x45, noData: 0x6e, notice: 0x4e, notification: 0x41,
  negotiateVersion: 0x76, parameterDescription: 0x74, parameterStatus: 0x53, parseComplete: 0x31,
  portalSuspended: 0x73, readyForQuery: 0x5a, rowDescription: 0x54,
} as const

/** The transaction state that ReadyForQuery carries: idle, in a block, in a failed block. */
export type TransactionStatus = 'I' | 'T' | 'E'

export function transactionStatus(byte: number | undefined): TransactionStatus {
  return byte === 0x54 ? 'T' : byte === 0x45 ? 'E' : 'I'
}

/** Letter and length: what stands before every body. */
export const HEADER_BYTES = 5
