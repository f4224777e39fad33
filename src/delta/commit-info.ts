/**
 * commitInfo: the first action of every commit of ours: who did what, and when.
 */
import { randomUUID } from 'node:crypto'
import type { CommitInfo, Metadata } from './actions.ts'

/** `metadata`: the table's once the commit stands; it says whether in-commit time is kept. */
export function commitInfoOf(options: {
  readonly operation: string
  readonly operationParameters: Readonly<Record<string, string>>
  readonly timestampMs: number
  readonly isBlindAppend: boolean
  readonly metadata: Metadata
}): CommitInfo {
  const keepsTime = options.metadata.configuration['delta.enableInCommitTimestamps'] === 'true'
  return {
    ...keepsTime ? { inCommitTimestamp: options.timestampMs } : {},
    timestamp: options.timestampMs,
    operation: options.operation,
    operationParameters: options.operationParameters,
    engineInfo: 'Slipway',
    isBlindAppend: options.isBlindAppend,
    txnId: randomUUID(),
  }
}
