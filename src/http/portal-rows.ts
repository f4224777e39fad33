/**
 * PortalRows: one statement's rows from PostgreSQL, page by page, as text.
 *
 * L1  The next page is asked for only when the reader wants it: the server waits meanwhile.
 * L2  After `end` or an error the connection is in step again (Sync was sent).
 */
import type { Connection, Submittable } from 'pg'
import { Deferred } from '../base/deferred.ts'
import { SlipwayError } from '../base/errors.ts'
import type { TextRow } from '../query/text-rows.ts'

const PAGE_ROWS = 2048

type Page =
  | { readonly kind: 'rows'; readonly rows: readonly TextRow[]; readonly last: boolean }
  | { readonly kind: 'error'; readonly error: unknown }

/** pg's connection as it is; the published types ask for an argument that is ignored. */
interface Wire {
  bind(config: {
    readonly portal: string; readonly statement: string
    readonly values: readonly (string | null)[]
  }): void
  execute(config: { readonly portal: string; readonly rows: number }): void
  flush(): void
  sync(): void
  sendCopyFail(message: string): void
}

export class PortalRows implements Submittable {
  readonly #statement: string
  readonly #params: readonly (string | null)[]
  readonly #ready = new Deferred<void>()
  #rows: TextRow[] = []
  #page = new Deferred<Page>()
  #wire: Wire | null = null
  #synced = false

  /** `statement`: name of a prepared statement of this connection. */
  constructor(statement: string, params: readonly (string | null)[]) {
    this.#statement = statement
    this.#params = params
  }

  /** Pages in order, the last one possibly empty. Ends the portal when given up. */
  async * pages(): AsyncGenerator<readonly TextRow[]> {
    try {
      for (;;) {
        const page = await this.#page.promise
        if (page.kind === 'error') throw page.error
        yield page.rows
        if (page.last) return
        this.#page = new Deferred<Page>()
        this.#execute()
      }
    } finally {
      this.#sync()
      await this.#ready.promise
    }
  }

  submit(connection: Connection): void {
    this.#wire = connection as unknown as Wire
    this.#wire.bind({ portal: '', statement: this.#statement, values: this.#params })
    this.#execute()
  }

  handleRowDescription(): void {}

  handleDataRow(message: { readonly fields: (string | null)[] }): void {
    this.#rows.push(message.fields)
  }

  handlePortalSuspended(): void {
    this.#deliver(false)
  }

  handleCommandComplete(): void {
    this.#deliver(true)
    this.#sync()
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete()
  }

  handleCopyInResponse(): void {
    this.#wire?.sendCopyFail('COPY FROM STDIN needs the PostgreSQL protocol')
  }

  handleCopyData(): void {
    this.#fail(new SlipwayError('usage', 'COPY TO STDOUT needs the PostgreSQL protocol'))
  }

  handleError(error: Error): void {
    this.#fail(error)
    this.#sync()
    // pg no longer hands this query the ReadyForQuery that ends it.
    this.#ready.resolve()
  }

  handleReadyForQuery(): void {
    this.#ready.resolve()
  }

  #execute(): void {
    this.#wire?.execute({ portal: '', rows: PAGE_ROWS })
    this.#wire?.flush()
  }

  #deliver(last: boolean): void {
    this.#page.resolve({ kind: 'rows', rows: this.#rows, last })
    this.#rows = []
  }

  #fail(error: unknown): void {
    this.#page.resolve({ kind: 'error', error })
  }

  #sync(): void {
    if (this.#synced) return
    this.#synced = true
    this.#wire?.sync()
  }
}
