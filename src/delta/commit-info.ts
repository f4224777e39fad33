/**
 * commitInfo: the first action of every commit of ours: who did what, and when.
 */
import { randomUUID } from 'node:crypto'
import type { Action, CommitInfo, Metadata } from './actions.ts'

/** `metadata`: the table's once the commit stands; it says whether in-commit time is kept. */
export function commitInfoOf(options: {
  readonly operation: string
  readonly operationParameters: Readonly<Record<string, string>>
  readonly timestampMs: number
  readonly operationMetrics?: Readonly<Record<string, string>>
  readonly isBlindAppend: boolean
  readonly tags?: Readonly<Record<string, string>>
  readonly metadata: Metadata
}): CommitInfo {
  const keepsTime = options.metadata.configuration['delta.enableInCommitTimestamps'] === 'true'
  return {
    ...keepsTime ? { inCommitTimestamp: options.timestampMs } : {},
    timestamp: options.timestampMs,
    operation: options.operation,
    operationParameters: options.operationParameters,
    ...options.operationMetrics === undefined ? {}
      : { operationMetrics: options.operationMetrics },
    engineInfo: 'Slipway',
    isBlindAppend: options.isBlindAppend,
    ...options.tags === undefined ? {} : { tags: options.tags },
    txnId: randomUUID(),
  }
}

export function txnIdOf(actions: readonly Action[]): string | null {
  for (const action of actions) {
    if ('commitInfo' in action) return action.commitInfo.txnId ?? null
  }
  return null
}
