/**
 * SessionFormat: the session's settings that decide how values look as text.
 *
 * A setting that we cannot follow refuses the values it touches; nothing is approximated.
 */
import { UTC_OFFSETS, type ZoneOffsets } from './zone-offsets.ts'

export interface SessionFormat {
  readonly isoDates: boolean
  readonly postgresIntervals: boolean
  readonly extraFloatDigits: number
  /** null: another value than hex or escape. */
  readonly byteaOutput: 'hex' | 'escape' | null
  readonly zone: ZoneOffsets
  /** The session prints every type as the mirror's own connection does. */
  readonly likeMirror: boolean
}

export interface FormatSettings {
  readonly dateStyle: string
  readonly intervalStyle: string
  readonly extraFloatDigits: number
  readonly byteaOutput: string
}

export function sessionFormat(settings: FormatSettings, zone: ZoneOffsets): SessionFormat {
  const isoDates = settings.dateStyle.toUpperCase().startsWith('ISO')
  const postgresIntervals = settings.intervalStyle === 'postgres'
  const { byteaOutput } = settings
  return {
    isoDates, postgresIntervals, zone,
    extraFloatDigits: settings.extraFloatDigits,
    byteaOutput: byteaOutput === 'hex' || byteaOutput === 'escape' ? byteaOutput : null,
    likeMirror: isoDates && postgresIntervals && settings.extraFloatDigits > 0 &&
      byteaOutput === 'hex' && zone === UTC_OFFSETS,
  }
}

/** A value or type that cannot be shown as PostgreSQL would: the statement runs there. */
export class EncodingRefusal extends Error {
  override readonly name = 'EncodingRefusal'
}
