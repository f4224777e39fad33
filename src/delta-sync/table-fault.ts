/** Why a table stops while the others go on. */
import { SlipwayError } from '../base/errors.ts'
import { MirrorGap } from './mirrored-table.ts'

export interface TableFault { readonly reason: string; readonly cure: string }

/** In words for slipway.tables; null: the fault is not the table's. */
export function tableFault(error: unknown): TableFault | null {
  if (error instanceof MirrorGap) {
    return { reason: `the mirror lost track of it: ${error.message}`,
      cure: 'SELECT slipway.include(…) on the table copies it anew.' }
  }
  if (error instanceof SlipwayError
    && (error.code === 'value-unmirrorable' || error.code === 'internal')) {
    return { reason: error.message, cure: error.hint }
  }
  return null
}
