/** FunctionNames: names of functions by OID, for the reasons that a user reads. */
const NAMES: ReadonlyMap<number, string> = new Map()

export function functionName(funcid: number): string {
  return NAMES.get(funcid) ?? (funcid >= 16_384 ? 'of the user' : `number ${funcid}`)
}
