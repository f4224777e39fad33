/**
 * What the supervisor and its child processes say to each other over Node's IPC channel.
 *
 * W1  A child that loses the channel ends itself: no part outlives its supervisor.
 * W2  A question is answered once, by what both ends know the kind of; or never, so that
 *     whoever asks sets a time.
 */
import type { ErrorCode } from './errors.ts'

export type ToWorker<Options> =
  | { readonly kind: 'start'; readonly options: Options }
  /** Files that may have been replaced are read again. */
  | { readonly kind: 'reload' }
  | { readonly kind: 'ask'; readonly id: number }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'stop' }

export type FromWorker<Info> =
  | { readonly kind: 'ask'; readonly id: number }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  /** The process listens to its channel: before that a message could be lost. */
  | { readonly kind: 'listening' }
  | { readonly kind: 'ready'; readonly info: Info }
  /** The part cannot start and a restart would not help. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string
      readonly hint: string }
