/**
 * Refusal: why a statement stays in PostgreSQL. Thrown inside the router only; the routing
 * function turns it into its result.
 *
 * R1  `reason` is safe to show: it names objects of PostgreSQL's own, never a literal,
 *     a parameter or a row's value.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.reason = reason
  }
}

export function refuse(reason: string): never {
  throw new Refusal(reason)
}
