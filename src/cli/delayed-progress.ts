/** DelayedProgress: a progress bar for work that turns out to take longer than two seconds. */
import { ProgressBar } from './progress-bar.ts'

const SILENT_MS = 2_000

export class DelayedProgress {
  readonly #title: string
  readonly #startedMs = Date.now()
  #bar: ProgressBar | null = null

  constructor(title: string) {
    this.#title = title
  }

  update(done: number, total: number): void {
    if (this.#bar === null && Date.now() - this.#startedMs < SILENT_MS) return
    this.#bar ??= new ProgressBar({ title: this.#title, total, out: process.stderr })
    this.#bar.update(done)
  }

  end(): void {
    this.#bar?.end()
  }
}
